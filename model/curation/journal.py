"""Journal of the changes of a dataset: each is written before its files are moved, and finished after a kill.

A line of the journal is an entry, or states that the steps of an entry are done. A process that is killed leaves an
entry that is not done: the next change does its steps first. A line that was not written whole stands for nothing.
"""

import contextlib
import dataclasses
import datetime
import errno
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from model import durable
from model.curation.places import CURATION, JOURNAL, LOCK
from model.curation.space import full_disk
from model.errors import NO_SPACE, DatasetError, StorageBusyError
from model.files.renaming import rename_new
from model.locks import exclusive
from model.reading import UnreadableError, parse_json

SECONDS_TO_WAIT = 30.0
# A full disk, or one that fails or cannot be written to: the steps are made when it is well again.
_PASSING = (*NO_SPACE, errno.EIO, errno.EROFS)
_UNGUARDED = "Do not change the dataset by two programs at the same time"

Step = tuple[str, str]
"""A file or folder and its new name, both relative to the dataset. An empty first name creates the folder of the second
one; an empty second name removes the folder of the first one if nothing is in it."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A change in the journal.

    Attributes:
        number: 1 for the first change of the dataset.
        at: time, ISO 8601 in UTC.
        kind: the name of the change, such as `move_photos`.
        details: what was asked for.
        by, model: who made it, and the model that suggested it; empty if not known.
        steps: what it moves, in order.
        group: entries with the same one, such as those of one upload, are undone together; empty for a single one.
        undoes: numbers of the entries that it takes back.
        skipped: positions of the steps that were not possible, because another program had moved the file.
        done: whether all steps were made.
    """

    number: int
    at: str
    kind: str
    details: Mapping[str, Any]
    by: str = ""
    model: str = ""
    steps: tuple[Step, ...] = ()
    group: str = ""
    undoes: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()
    done: bool = False


class _Read:
    """What this process has read of a journal: it only grows."""

    def __init__(self) -> None:
        self.inode = self.size = 0
        self.entries: list[Entry] = []


_read: dict[Path, _Read] = {}
_reading = threading.Lock()


@contextlib.contextmanager
def locked(dataset: Path) -> Iterator[None]:
    """Hold the lock of a dataset, of which the changes of killed processes have been finished.

    Raises:
        DatasetError: there is no such folder.
        StorageBusyError: another process has been changing it for half a minute.
    """
    if not dataset.is_dir():
        raise DatasetError(f"{dataset}: expected the folder of a dataset, found none")
    try:
        (dataset / CURATION).mkdir(exist_ok=True)
        with exclusive(dataset / LOCK, _UNGUARDED, SECONDS_TO_WAIT):
            _finish(dataset)
            yield
    except BlockingIOError as error:
        raise StorageBusyError(f"{dataset}: another process is changing the dataset. Try again later").coded(
            "dataset_busy"
        ) from error


def entries(dataset: Path) -> list[Entry]:
    """All changes, the first one first.

    Raises:
        DatasetError: the journal is damaged.
    """
    with _reading:
        return list(_entries(dataset))


def undone(known: Sequence[Entry]) -> set[int]:
    """Numbers of the entries that later ones take back."""
    return {number for entry in known for number in entry.undoes}


def write(dataset: Path, entry: Entry) -> Entry:
    """Write an entry without a number, then make its steps; the lock of the dataset must be held.

    Returns:
        the entry with its number and the steps that were skipped.

    Raises:
        StorageFullError: no space is left; the steps are made by the next change if the entry was written.
    """
    numbered = dataclasses.replace(entry, number=len(entries(dataset)) + 1, at=_now())
    with full_disk(dataset, "The journal and the photos are whole"):
        _append(dataset, {"entry": _to_json(numbered)})
        return _make(dataset, numbered)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _finish(dataset: Path) -> None:
    """Make the steps that a killed process left, and cut off a line that it did not write whole."""
    journal = dataset / JOURNAL
    if not journal.is_file():
        return
    with open(journal, "rb+") as stream:
        end = _end_of_lines(stream)
        if end < stream.seek(0, os.SEEK_END):
            stream.truncate(end)
            os.fsync(stream.fileno())
    known = entries(dataset)
    if known and not known[-1].done:
        with full_disk(dataset, "A change is completed when there is space"):
            _make(dataset, known[-1])


def _end_of_lines(stream: Any) -> int:
    """Position after the last line feed."""
    position = stream.seek(0, os.SEEK_END)
    while position:
        start = max(0, position - 65_536)
        stream.seek(start)
        found = stream.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + int(found) + 1
        position = start
    return 0


def _make(dataset: Path, entry: Entry) -> Entry:
    skipped = tuple(position for position, step in enumerate(entry.steps) if not _move(dataset, step))
    for folder in {(dataset / name).parent for step in entry.steps for name in step if name}:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            durable.sync_directory(folder)
    _append(dataset, {"done": entry.number, "skipped": list(skipped)})
    return dataclasses.replace(entry, skipped=skipped, done=True)


def _move(dataset: Path, step: Step) -> bool:
    """Make a step; False if it is not possible and was not made before."""
    source, target = step
    if not source:
        try:
            (dataset / target).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return _never(error)
        return True
    if not target:
        # Another program may have put a file there, or removed the folder.
        with contextlib.suppress(OSError):
            (dataset / source).rmdir()
        return True
    try:
        (dataset / target).parent.mkdir(parents=True, exist_ok=True)
        rename_new(dataset / source, dataset / target)
    except FileNotFoundError:
        return os.path.lexists(dataset / target)
    except OSError as error:
        return _never(error)
    return True


def _never(error: OSError) -> bool:
    """False for a step that is not possible, and would stop every later change; raises what may pass."""
    if error.errno in _PASSING:
        raise error
    return False


def _append(dataset: Path, line: Mapping[str, Any]) -> None:
    """Write a line, or nothing of it."""
    text = json.dumps(line, separators=(",", ":")) + "\n"
    with open(dataset / JOURNAL, "ab") as stream:
        before = stream.tell()
        try:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(dataset / JOURNAL, before)
            raise
    if not before:
        durable.sync_directory((dataset / JOURNAL).parent)


def _entries(dataset: Path) -> list[Entry]:
    journal = dataset / JOURNAL
    try:
        status = journal.stat()
    except FileNotFoundError:
        _read.pop(journal, None)
        return []
    known = _read.setdefault(journal, _Read())
    if status.st_ino != known.inode or status.st_size < known.size:
        known = _read[journal] = _Read()
        known.inode = status.st_ino
    if status.st_size > known.size:
        with open(journal, "rb") as stream:
            stream.seek(known.size)
            added = stream.read(status.st_size - known.size)
        whole = added[: added.rfind(b"\n") + 1]
        for line in whole.splitlines():
            _add(journal, known.entries, line)
        known.size += len(whole)
    return known.entries


def _add(journal: Path, known: list[Entry], line: bytes) -> None:
    try:
        content = parse_json(line, file_names=True)
        if "entry" in content:
            known.append(_from_json(content["entry"]))
        else:
            number = content["done"]
            known[number - 1] = dataclasses.replace(known[number - 1], skipped=tuple(content["skipped"]), done=True)
    except (UnreadableError, LookupError, TypeError) as error:
        raise DatasetError(
            f"{journal}: expected the journal of a dataset, received a damaged line: {line[:100]!r}. Move the file "
            "away to begin a new journal; the photos are not affected"
        ) from error


def _to_json(entry: Entry) -> dict[str, Any]:
    content = dataclasses.asdict(entry)
    return {name: value for name, value in content.items() if value not in ("", ()) and name not in ("done", "skipped")}


def _from_json(content: Mapping[str, Any]) -> Entry:
    steps: Sequence[Sequence[str]] = content.get("steps", ())
    return Entry(
        **{
            **content,
            "steps": tuple((source, target) for source, target in steps),
            "undoes": tuple(content.get("undoes", ())),
        }
    )
