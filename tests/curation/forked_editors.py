"""Main program of a process that forks others, which edit a dataset until they are killed.

A line of standard input is JSON: the name of a function here, and its arguments. The answers are two lines: the ID of
the process that runs it, and its exit status. Forking takes a hundredth of the time of starting and importing.
"""

import itertools
import json
import os
import random
import signal
import sys
from pathlib import Path

from model.curation import changes, journal
from model.curation.imports import import_dataset
from model.curation.places import read_contents
from model.curation.plans import AddClass, Change, MergeClasses, MovePhotos, RemoveClass, RemovePhotos, RenameClass
from model.curation.upload_plan import Plan
from model.curation.uploads import open_upload, progress, receive, settle
from model.errors import DatasetError
from model.files.renaming import rename_new
from model.workspace import Workspace

BLOCK = 700


def edit(folder: str, seed: int) -> None:
    """Make random changes without end; each photo stays somewhere in the dataset."""
    dataset, draw = Path(folder), random.Random(seed)
    for number in itertools.count():
        content = read_contents(dataset)
        names = list(content.classes)
        photos = [photo for of_class in content.classes.values() for photo in of_class] + content.removed
        some = tuple(draw.sample(photos, min(len(photos), 5)))
        possible: list[Change | None] = [
            AddClass(f"class {seed} {number}"),
            None,
            None,
            MovePhotos(some, ""),
            RemovePhotos(some),
        ]
        if len(names) > 1:
            first, second = draw.sample(names, 2)
            possible += [RenameClass(first, f"name {seed} {number}"), MergeClasses((first,), second)]
            possible += [RemoveClass(first), MovePhotos(some, second)]
        wish = draw.choice(possible)
        try:
            changes.undo(dataset) if wish is None else changes.change(dataset, wish)
        except DatasetError:
            # Nothing to undo or to move.
            continue


def plan_of(source: Path) -> tuple[Plan, list[bytes]]:
    """Plan of the photos in a folder of class folders, and their contents."""
    files = sorted(source.rglob("*.jpg"))
    contents = [path.read_bytes() for path in files]
    sizes = map(len, contents)
    return Plan(tuple(zip((path.relative_to(source).as_posix() for path in files), sizes, strict=True)), None), contents


def send(folder: str, source: str) -> None:
    """Send photos in small blocks, four files at a time, beginning with what has not arrived yet."""
    dataset = Path(folder)
    plan, contents = plan_of(Path(source))
    begun = open_upload(dataset, plan)
    while begun.missing:
        first, last = begun.missing[0]
        part = begun.parts.get(first, 0)
        receiver = receive(dataset, begun.upload, first, part)
        content = b"".join(contents[first : min(last + 1, first + 4)])[part:]
        for start in range(0, len(content), BLOCK):
            receiver.write(content[start : start + BLOCK])
        settle(dataset, begun.upload, receiver.close())
        begun = progress(dataset, begun.upload)


def copy(folder: str, home: str, source: str, photos: int, moves: int) -> None:
    """Import a dataset, and be killed when so many photos are copied, or so many files are moved into classes."""
    moved = itertools.count(1)

    def progress(phase: str, done: int, total: int, /, **_metrics: float) -> None:
        if phase == "import" and done == photos:
            os.kill(os.getpid(), signal.SIGKILL)

    def move(source: Path, target: Path) -> None:
        rename_new(source, target)
        if next(moved) == moves:
            os.kill(os.getpid(), signal.SIGKILL)

    journal.rename_new = move
    import_dataset(Path(folder), source, Workspace(Path(home)), progress=progress)


def main() -> None:
    """Run the function of each line in a forked process."""
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            {"edit": edit, "send": send, "copy": copy}[name](*arguments)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
