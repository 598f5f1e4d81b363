"""A process that edits a dataset, killed at random moments: no photo is lost or doubled, and the journal agrees."""

import contextlib
import functools
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from model.curation import changes
from model.curation.imports import end_import
from model.curation.places import CURATION, INCOMING, read_contents
from model.curation.plans import AddClass
from model.errors import DatasetError
from model.processes import python_environment
from tests.curation.forked_editors import send
from tests.support.photos import encoded, random_image, write_photos
from tests.support.waiting import wait_until

KILLS = 20
PHOTOS = 24


class Editors:
    """Functions of `forked_editors`, each in a process that can be killed."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests, self._answers = requests, answers

    def killed(self, seconds: float, *call: object, begun: Callable[[], bool] = lambda: True) -> bool:
        """Call a function in a process that is killed after so many seconds; whether it ran until then.

        With 0 seconds it is not killed from outside. The time begins when `begun` is true.
        """
        self._requests.write(json.dumps(call, default=str).encode() + b"\n")
        self._requests.flush()
        child = int(self._answers.readline())
        if seconds:
            wait_until(begun, 30)
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = int(self._answers.readline())
        assert status in (0, -signal.SIGKILL)
        return status != 0


@pytest.fixture(scope="module")
def editors() -> Iterator[Editors]:
    command = [sys.executable, "-m", "tests.curation.forked_editors"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=python_environment(PYTHONPATH=os.getcwd())
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        yield Editors(process.stdin, process.stdout)
        process.stdin.close()


def checksums(folder: Path) -> Counter[str]:
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.jpg"))


def has_more_changes(dataset: Path, known: int) -> bool:
    return len(changes.changes(dataset)) > known


def test_changes_that_are_killed_lose_and_double_nothing(editors: Editors, tmp_path: Path) -> None:
    dataset = write_photos(tmp_path / "colours")
    before = checksums(dataset)
    moments = random.Random(7)
    for kill in range(KILLS):
        begun = functools.partial(has_more_changes, dataset, len(changes.changes(dataset)))
        assert editors.killed(moments.uniform(0.01, 0.1), "edit", dataset, kill, begun=begun)
        changes.change(dataset, AddClass(f"after {kill}"))
        assert checksums(dataset) == before
        known = changes.changes(dataset)
        assert [entry.number for entry in known] == list(range(len(known), 0, -1))
        assert all(entry.done and not entry.skipped for entry in known)
    assert len(changes.changes(dataset)) > 3 * KILLS
    with contextlib.suppress(DatasetError):
        while True:
            assert not changes.undo(dataset).missing
    assert {name: len(photos) for name, photos in read_contents(dataset).classes.items()} == {"blue": 8, "red": 8}


def test_an_upload_that_is_killed_goes_on_and_adds_each_photo_once(editors: Editors, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(PHOTOS):
        path = source / ("oak" if number % 3 else "elm") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(random_image(number)))
    moments = random.Random(7)
    kills = number = 0
    dataset = changes.create_dataset(tmp_path, "uploaded 0")
    while kills < KILLS:
        if editors.killed(moments.uniform(0.01, 0.1), "send", dataset, source):
            kills += 1
            assert max(checksums(dataset).values(), default=1) == 1
            assert not checksums(dataset) - checksums(source)
        else:
            assert checksums(dataset) == checksums(source)
            number += 1
            dataset = changes.create_dataset(tmp_path, f"uploaded {number}")
    send(str(dataset), str(source))
    assert checksums(dataset) == checksums(source)
    assert {name: len(photos) for name, photos in read_contents(dataset).classes.items()} == {"elm": 8, "oak": 16}
    changes.undo(dataset)
    assert checksums(dataset / CURATION) == checksums(source) and not list((dataset / INCOMING).iterdir())


@pytest.mark.parametrize(("photos", "moves", "is_made"), [(0, 0, False), (9, 0, False), (-1, 1, True), (-1, 16, True)])
def test_an_import_that_is_killed_adds_all_or_nothing(
    editors: Editors, tmp_path: Path, photos: int, moves: int, is_made: bool
) -> None:
    source = write_photos(tmp_path / "data" / "colours")
    dataset = changes.create_dataset(tmp_path / "data", "mine")
    changes.change(dataset, AddClass("red"))
    assert editors.killed(0, "copy", dataset, tmp_path, "colours", photos, moves)
    made = end_import(dataset, "colours", after=1)
    assert bool(made) is is_made and not list((dataset / INCOMING).iterdir())
    assert checksums(dataset) == (checksums(source) if is_made else Counter())
    assert len(changes.changes(dataset)) == 1 + is_made
