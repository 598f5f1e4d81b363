"""SIGTERM of a worker process: its usage counts are written, and its exit is not delayed."""

import asyncio
import contextlib
import fcntl
import hashlib
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from api import worker_process
from api.errors import BadRequest
from api.worker import Worker, WorkerDied, WorkerDiedIdle, start_worker
from api.worker_state import USAGE
from model.runs.process import _exit_at_sigterm
from model.usage.store import NO_MODEL, UsageStore
from model.workspace import Workspace

COUNTED = 3


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_MONITOR", "1")


def be_patient() -> None:
    worker_process.SECONDS_TO_SAVE = 30.0


def compute_for_minutes(begun: Path) -> None:
    begun.touch()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000_000)


def refuse_some() -> None:
    for _ in range(COUNTED):
        with contextlib.suppress(BadRequest), USAGE.request("application/json"):
            raise BadRequest("no")


def wait_as_for_a_training(begun: Path) -> None:
    with _exit_at_sigterm():
        begun.touch()
        time.sleep(1000)


def _ended(ask: Callable[[Worker], Awaitable[None]], prepare: Callable[[], None] = be_patient) -> int | None:
    """Exit code of a worker that has counted a request, after `ask`."""

    async def run() -> int | None:
        worker = start_worker(None)
        try:
            await worker.call(1, prepare, ())
            await worker.call(2, refuse_some, ())
            await asyncio.wait_for(ask(worker), 20)
            worker.process.join(10)
            return worker.process.exitcode
        finally:
            worker.kill()

    return asyncio.run(run())


def _counted(workspace: Workspace) -> int:
    days = UsageStore(workspace).days(NO_MODEL)
    return sum(day.errors["400"] for day in days.values())


@contextlib.contextmanager
def _locked(workspace: Workspace) -> Iterator[None]:
    """Make the usage counts impossible to write."""
    workspace.monitor.mkdir(exist_ok=True)
    with open(workspace.monitor / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def test_sigterm_writes_the_counts_and_starts_nothing_new(workspace: Workspace) -> None:
    async def ask(worker: Worker) -> None:
        assert _counted(workspace) == 0
        with _locked(workspace):
            worker.terminate()
            await asyncio.sleep(0.2)
            asked = worker.call(3, abs, (-1,))
            await asyncio.sleep(0.2)
            assert not asked.done()
        # As of a worker that was ended at once: another is asked.
        with pytest.raises(WorkerDiedIdle, match="SIGTERM"):
            await asked

    assert _ended(ask) == -signal.SIGTERM
    assert _counted(workspace) == COUNTED


def test_counts_that_cannot_be_written_do_not_delay_the_exit(workspace: Workspace) -> None:
    async def ask(worker: Worker) -> None:
        with _locked(workspace):
            worker.terminate()
            started = time.monotonic()
            worker.process.join(10)
            assert time.monotonic() - started < 3

    assert _ended(ask, prepare=int) == -signal.SIGALRM
    assert _counted(workspace) == 0


def test_long_native_calls_delay_neither_the_counts_nor_the_exit(workspace: Workspace, tmp_path: Path) -> None:
    async def ask(worker: Worker) -> None:
        computing = worker.call(3, compute_for_minutes, (tmp_path / "begun",))
        while not (tmp_path / "begun").exists():
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        worker.terminate()
        with pytest.raises(WorkerDied):
            await asyncio.wait_for(computing, 10)

    assert _ended(ask) == -signal.SIGALRM
    assert _counted(workspace) == COUNTED


def test_a_worker_that_waits_for_a_training_stops_it_and_writes_its_counts(
    workspace: Workspace, tmp_path: Path
) -> None:
    async def ask(worker: Worker) -> None:
        waiting = worker.call(3, wait_as_for_a_training, (tmp_path / "begun",))
        while not (tmp_path / "begun").exists():
            await asyncio.sleep(0.02)
        worker.terminate()
        with pytest.raises(WorkerDied, match="143"):
            await waiting

    assert _ended(ask) == 128 + signal.SIGTERM
    assert _counted(workspace) == COUNTED
