"""The usage recorder of a worker: written periodically and at exit; a failing disk loses no counts."""

import fcntl
import logging
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from model.errors import ModelDamagedError
from model.provenance import utc_today
from model.usage.recorder import SECONDS_BETWEEN_WRITES, Recorder
from model.usage.store import NO_MODEL, UsageStore
from model.workspace import Workspace
from tests.support.waiting import wait_until
from tests.usage.records import PETS, record

ROOT = Path(__file__).resolve().parents[2]
# Counts, says so, and then waits to be ended in one way or the other.
WORKER = """
import sys, time
from pathlib import Path
from model.usage.recorder import Recorder
from model.workspace import Workspace
from tests.usage.records import PETS, record
recorder = Recorder(Workspace(Path(sys.argv[1])), check=lambda model: None)
for number in range(3):
    recorder.add(PETS, record(first=number))
recorder.write()
recorder.add(PETS, record(first=3))
print("counted", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "models").mkdir()
    return Workspace(tmp_path)


def photos(workspace: Workspace) -> int:
    return sum(day.photos for day in UsageStore(workspace).days(PETS).values())


def test_counts_are_written_periodically_not_with_every_request(workspace: Workspace) -> None:
    recorder = Recorder(workspace, seconds_between_writes=0.3, check=lambda model: None)
    recorder.add(PETS, record())
    assert photos(workspace) == 0
    wait_until(lambda: photos(workspace) == 1, seconds=5)
    recorder.add(NO_MODEL, record(0))
    recorder.add(PETS, record(first=1))
    wait_until(lambda: photos(workspace) == 2, seconds=5)
    assert UsageStore(workspace).days(NO_MODEL)[utc_today()].errors == {"415": 1}
    assert SECONDS_BETWEEN_WRITES <= 5


@pytest.mark.parametrize(("end", "counted"), [("return", 4), (signal.SIGKILL, 3)])
def test_a_stopped_worker_writes_all_counts_and_a_killed_one_loses_the_last_seconds(
    workspace: Workspace, end: str | int, counted: int
) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(workspace.root)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert worker.stdout is not None and worker.stdout.readline() == b"counted\n"
    if isinstance(end, int):
        worker.send_signal(end)
    worker.communicate(timeout=20)
    assert photos(workspace) == counted
    # It left no lock and no file that would stand in the way of the worker after it.
    Recorder(workspace, check=lambda model: None)._store.add(PETS, utc_today(), record(first=9))
    assert photos(workspace) == counted + 1
    assert not [path for path in workspace.monitor.rglob(".*")]


def test_counts_that_cannot_be_written_are_kept_and_reported_once(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.monitor.write_text("in the way")
    recorder = Recorder(workspace, seconds_between_writes=1000, check=lambda model: None)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            recorder.add(PETS, record(first=number))
            recorder.write()
    assert caplog.text.count("cannot be written yet") == 1
    workspace.monitor.unlink()
    recorder.write()
    assert photos(workspace) == 3


def test_a_lock_that_is_never_released_does_not_block_requests(workspace: Workspace) -> None:
    recorder = Recorder(workspace, seconds_between_writes=1000, check=lambda model: None)
    workspace.monitor.mkdir()
    with open(workspace.monitor / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        start = time.monotonic()
        recorder.add(PETS, record())
        recorder.write()
        assert time.monotonic() - start < 5
    assert photos(workspace) == 0
    recorder.write()
    assert photos(workspace) == 1


def test_after_a_reset_only_new_requests_count(workspace: Workspace) -> None:
    recorder = Recorder(workspace, seconds_between_writes=1000, check=lambda model: None)
    recorder.add(PETS, record(5))
    recorder.write()
    UsageStore(workspace).reset()
    recorder.add(PETS, record(2))
    recorder.write()
    assert photos(workspace) == 2


def test_threads_count_together(workspace: Workspace) -> None:
    recorder = Recorder(workspace, seconds_between_writes=0.01, check=lambda model: None)

    def count(thread: int) -> None:
        for number in range(200):
            recorder.add(PETS, record(first=1000 * thread + number))

    threads = [threading.Thread(target=count, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.write()
    assert photos(workspace) == 800


def test_a_failed_drift_check_is_logged_and_not_retried_immediately(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    checked: list[Path] = []

    def check(model: Path) -> None:
        checked.append(model)
        raise ModelDamagedError("held out of what?")

    recorder = Recorder(workspace, seconds_between_writes=0.05, check=check)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            recorder.add(PETS, record(first=number))
            wait_until(lambda expected=number + 1: photos(workspace) == expected, seconds=5)
        wait_until(lambda: "held out of what?" in caplog.text, seconds=5)
    assert checked == [workspace.models / "pets"]
