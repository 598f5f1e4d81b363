"""Faults of transfers: nothing is lost, no partial file has the final name, and repeating the call succeeds."""

import dataclasses
import subprocess
from collections.abc import Iterator

import pytest

from tests.support import storage_faults
from tests.support.kills import kill_at_random
from tests.support.storage_faults import ROWS, Row, Scene, scene_in

# One of each kind; the others are among the slow tests.
FAST = (
    "push: the quota is too small",
    "push: wrong password (401)",
    "push: locked (423), then free",
    "push: read-back differs",
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene_in(tmp_path_factory.mktemp("scene")) as scene:
        yield scene


def rows() -> Iterator[object]:
    for row in ROWS:
        yield pytest.param(row, id=row.name, marks=[] if row.name in FAST else [pytest.mark.slow])


@pytest.fixture(autouse=True)
def clean_environment() -> None:
    """The scene has its own."""


@pytest.mark.parametrize("row", list(rows()))
def test_a_fault_is_reported_by_its_cause_and_harms_nothing(row: Row, scene: Scene) -> None:
    outcome = storage_faults.play(scene, row)
    assert (outcome.answer, outcome.harmed) == (row.expected, 0)


def test_the_password_of_the_remote_is_in_no_error(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    from model.errors import StorageError
    from model.storage.settings import remote_settings
    from tests.support.storage_servers import PASSWORD

    scene.reset()
    scene.proxy.faults = [storage_faults.Fault("", "status", status=401)]
    with pytest.raises(StorageError) as raised:
        scene.act("push")
    said = raised.value.message + caplog.text
    assert PASSWORD not in said and remote_settings("rshare")["pass"] not in said and "401" in said


@pytest.mark.slow
def test_a_full_local_disk_is_reported_and_harms_nothing(scene: Scene) -> None:
    outcome = storage_faults.fill_disk(scene)
    assert (outcome.answer, outcome.harmed) == ("StorageFullError", 0)


@pytest.mark.slow
def test_concurrent_pushes_leave_one_complete_version(scene: Scene) -> None:
    assert storage_faults.push_twice_at_once(scene).harmed == 0


@pytest.mark.slow
def test_a_killed_push_or_pull_leaves_no_partial_file(scene: Scene) -> None:
    for kill in (storage_faults.kill_pushes, storage_faults.kill_pulls):
        assert dataclasses.astuple(kill(scene, 2)) == (2, "killed", 0)


def test_a_process_that_ended_before_its_kill_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    ends_at_once = ([True, True, False] * 4).__iter__()

    def start() -> "subprocess.Popen[bytes]":
        seconds = 0 if next(ends_at_once) else 30
        child = subprocess.Popen(["sleep", str(seconds)])
        if not seconds:
            child.wait()
        return child

    checked: list[bool] = []
    outcome = kill_at_random(start, lambda: None, lambda: checked.append(True) or True, 3)
    assert (outcome.trials, len(checked)) == (3, 8), "the first measures the duration; two of three had ended"
