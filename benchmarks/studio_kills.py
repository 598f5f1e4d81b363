"""The studio killed by SIGKILL at random moments, while it receives photos, changes classes and trains.

How: a real studio. One client uploads photos in small pieces, another renames and merges classes and moves photos, a
training runs. After each kill, each photo that has been received whole must be in the dataset once, and no change may
be half made; the next studio continues. At the end every photo that was sent, and the model of every training, must be
there once. Moments are drawn with a fixed seed.
"""

import contextlib
import dataclasses
import hashlib
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

from benchmarks.tables import markdown_table, verdict
from model.curation import changes, journal
from model.registry import Registry
from model.workspace import Workspace
from tests.support.photos import encoded, random_image
from tests.support.shapes import write_shapes
from tests.support.studio_server import Studio, running_studio
from tests.support.waiting import wait_until

KILLS = 20
PHOTOS = 30
CLASSES = ("elm", "oak", "ash")
_SHAPES, _EDITED = "shapes", "edited"
_TRAINING = {"preset": "quick", "image_size": 64, "epochs": 3000, "patience": 3000, "dataset": _SHAPES}
_SECONDS_UNTIL_KILL = (0.2, 2.5)
_BYTES = {"Content-Type": "application/octet-stream"}


@dataclasses.dataclass
class Upload:
    """Files that are sent: path -> content; `name` is what the studio calls the upload."""

    files: dict[str, bytes]
    name: str = ""
    is_complete: bool = False


@dataclasses.dataclass
class Play:
    """What is done to the studio, and what has become of it.

    Attributes:
        sent: the uploads that were begun.
        trainings: names of the trainings that were started.
        busy: work -> number of kills during it.
        lost, doubled: numbers of photos and models.
        half_made: number of changes that were not completed.
        entries: number of changes in the journal.
    """

    home: Path
    draw: random.Random = dataclasses.field(default_factory=lambda: random.Random(7))
    sent: list["Upload"] = dataclasses.field(default_factory=list)
    trainings: list[str] = dataclasses.field(default_factory=list)
    busy: Counter[str] = dataclasses.field(default_factory=Counter)
    running: set[str] = dataclasses.field(default_factory=set)
    lost: int = 0
    doubled: int = 0
    half_made: int = 0
    entries: int = 0

    @property
    def dataset(self) -> Path:
        return self.home / "data" / _EDITED

    @contextlib.contextmanager
    def doing(self, work: str) -> Iterator[None]:
        """Record that a request of this kind is on its way."""
        self.running.add(work)
        yield
        self.running.discard(work)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory:
        play = Play(Path(directory))
        write_shapes(play.home / "data" / _SHAPES, 10)
        changes.create_dataset(play.home / "data", _EDITED)
        for _ in range(KILLS):
            with running_studio(play.home) as studio:
                _disturb(play, studio)
            _check(play, at_the_end=False)
        with running_studio(play.home) as studio:
            _complete(play, studio)
        _check(play, at_the_end=True)
    during = ", ".join(f"{count} during {work}" for work, count in sorted(play.busy.items()))
    found = (("lost", play.lost), ("doubled", play.doubled), ("half made", play.half_made))
    rows = [(f"photos, models or changes {name}", f"{count}", verdict("0", count == 0)) for name, count in found]
    photos = sum(len(upload.files) for upload in play.sent)
    rows.insert(0, ("kills", f"{KILLS}: {during}", ""))
    rows.insert(1, ("played", f"photos: {photos}, changes: {play.entries}, trainings: {len(play.trainings)}", ""))
    print(markdown_table(["studio", "measured", "goal"], rows))


def _disturb(play: Play, studio: Studio) -> None:
    """Upload, change and train until the studio is killed at a random moment."""
    client = studio.session()
    _ensure_training(play, studio, client)
    workers = [
        threading.Thread(target=_until_killed, args=(work, play, studio, studio.session()))
        for work in (_upload, _change)
    ]
    for worker in workers:
        worker.start()
    time.sleep(play.draw.uniform(*_SECONDS_UNTIL_KILL))
    active = [row for row in _get(studio, client, "api/trainings") if row["state"] == "running"]
    play.busy.update(play.running | ({"a training"} if active else set()))
    studio.process.kill()
    studio.process.wait()
    for worker in workers:
        worker.join()
    play.running.clear()


def _until_killed(work: Callable[[Play, Studio, requests.Session], None], *arguments: Any) -> None:
    with contextlib.suppress(requests.ConnectionError):
        while True:
            work(*arguments)


def _upload(play: Play, studio: Studio, client: requests.Session) -> None:
    """Continue the last upload, or begin another one if it is complete."""
    if not play.sent or play.sent[-1].is_complete:
        play.sent.append(Upload(_new_files(len(play.sent))))
    with play.doing("an upload"):
        _send(studio, client, play.sent[-1])


def _new_files(number: int) -> dict[str, bytes]:
    """Photos of which no two are alike."""
    seeds = range(number * PHOTOS, (number + 1) * PHOTOS)
    return {f"{CLASSES[seed % len(CLASSES)]}/{seed}.jpg": encoded(random_image(seed)) for seed in seeds}


def _send(studio: Studio, client: requests.Session, upload: Upload) -> None:
    """Send one file that is missing, in two pieces."""
    path = f"{studio.url}api/datasets/{_EDITED}/uploads"
    plan = {"files": [[name, len(content)] for name, content in upload.files.items()], "class_name": None}
    begun = client.post(path, params={"upload": upload.name}, json=plan, timeout=60).json()
    upload.name, upload.is_complete = begun["upload"], begun["complete"]
    if upload.is_complete:
        return
    first = begun["missing"][0][0]
    content, offset = list(upload.files.values())[first], begun["parts"].get(str(first), 0)
    middle = (offset + len(content)) // 2
    for start, end in ((offset, middle), (middle, len(content))):
        url = f"{path}/{upload.name}?first={first}&offset={start}"
        answer = client.put(url, data=content[start:end], headers=_BYTES, timeout=60)
        answer.raise_for_status()
        upload.is_complete = answer.json()["complete"]


def _change(play: Play, studio: Studio, client: requests.Session) -> None:
    """Rename or merge classes, or move photos."""
    described = _get(studio, client, f"api/datasets/{_EDITED}")
    names = [one["name"] for one in described["classes"]]
    photos = [photo for one in described["classes"] for photo in one["covers"]]
    if len(names) < 2:
        time.sleep(0.05)
        return
    first, second = play.draw.sample(names, 2)
    wish: dict[str, Any] = play.draw.choice(
        [
            {"kind": "rename_class", "name": first, "new_name": f"{first[:3]} {play.draw.randrange(10**6)}"},
            {"kind": "merge_classes", "names": [first], "into": second},
            {"kind": "move_photos", "photos": photos[:3], "to": second},
            {"kind": "remove_photos", "photos": photos[:1]},
        ]
    )
    with play.doing("a change"):
        client.post(f"{studio.url}api/datasets/{_EDITED}/changes", json=wish, timeout=60)


def _ensure_training(play: Play, studio: Studio, client: requests.Session) -> None:
    """One training runs: one that was interrupted, or a new one."""
    rows = _get(studio, client, "api/trainings")
    if any(row["state"] in ("running", "queued") for row in rows):
        return
    if _resume(studio, client, rows):
        return
    name = f"killed-{len(play.trainings)}"
    play.trainings.append(name)
    client.post(f"{studio.url}api/trainings", json=_TRAINING | {"name": name}, timeout=60).raise_for_status()


def _resume(studio: Studio, client: requests.Session, rows: list[dict[str, Any]]) -> bool:
    """Resume a training that was interrupted; False if there is none."""
    resumable = [row["name"] for row in rows if row["resumable"]]
    if resumable:
        client.post(f"{studio.url}api/trainings/{resumable[0]}/resume", timeout=60).raise_for_status()
    return bool(resumable)


def _complete(play: Play, studio: Studio) -> None:
    """Send the rest of all uploads, and let all trainings end."""
    client = studio.session()
    for upload in play.sent:
        while not upload.is_complete:
            _send(studio, client, upload)
    expected = set(play.trainings)

    def all_trained() -> bool:
        models = {row["name"] for row in _get(studio, client, "api/state")["models"]}
        if not expected <= models:
            _resume(studio, client, _get(studio, client, "api/trainings"))
        return expected <= models

    wait_until(all_trained, 600)


def _get(studio: Studio, client: requests.Session, path: str) -> Any:
    return client.get(studio.url + path, timeout=60).json()


def _check(play: Play, at_the_end: bool) -> None:
    """Count what was lost, doubled or left half made."""
    with journal.locked(play.dataset):
        pass
    sent = Counter(_digest(content) for upload in play.sent for content in upload.files.values())
    found = Counter(_digest(path.read_bytes()) for path in play.dataset.rglob("*.jpg"))
    added = sum(
        bool(source and target) and source.startswith(".curation/incoming/")
        for entry in journal.entries(play.dataset)
        for source, target in entry.steps
    )
    play.doubled += sum(count - 1 for count in found.values()) + len(found - sent)
    play.lost += added - len(found) if not at_the_end else len(sent - found)
    entries = journal.entries(play.dataset)
    play.entries = len(entries)
    play.half_made += sum(not entry.done or bool(entry.skipped) for entry in entries)
    if at_the_end:
        models = Counter(model.name for model in Registry().models(Workspace(play.home)))
        play.lost += len(set(play.trainings) - set(models))
        play.doubled += sum(models.values()) - len(set(play.trainings) & set(models))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
