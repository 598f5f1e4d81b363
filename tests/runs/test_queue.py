"""The queue of trainings: who waits, how long, and in which order."""

import threading
import time
from pathlib import Path

import pytest

from model.config import TrainConfig
from model.errors import TrainingBusyError
from model.runs import Run, queued_trainings, running_trainings, start_or_resume, start_run, wait_in_queue
from model.runs import queue as queues
from model.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(queues, "_SECONDS_BETWEEN_CHECKS", 0.02)
    return Workspace(tmp_path)


class Queue:
    """Reserves trainings that may wait, and keeps them: forgotten, a lock is closed."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._held: list[Run] = []

    def __call__(self, name: str) -> Run:
        self._held.append(start_run(TrainConfig(name=name, queue=True), self._workspace))
        return self._held[-1]


@pytest.fixture
def queue(workspace: Workspace) -> Queue:
    return Queue(workspace)


def names(statuses) -> list[str]:
    return [status.name for status in statuses]


def test_queued_trainings_start_in_the_order_of_arrival(workspace: Workspace, queue: Queue):
    running = queue("m")
    waiting = [queue(name) for name in ("z", "a", "k")]
    assert [(status.name, status.place) for status in queued_trainings(workspace)] == [("z", 1), ("a", 2), ("k", 3)]
    order: list[str] = []

    def train(run: Run) -> None:
        wait_in_queue(run, workspace)
        order.append(run.name)
        assert names(running_trainings(workspace)) == [run.name]
        time.sleep(0.05)
        run.end("failed", "over")
        run.lock.close()

    threads = [threading.Thread(target=train, args=(run,)) for run in reversed(waiting)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert order == []
    running.lock.close()
    for thread in threads:
        thread.join(10)
    assert order == ["z", "a", "k"]


def test_a_dead_process_leaves_the_queue(workspace: Workspace, queue: Queue):
    running = queue("running")
    dead, waiting = queue("dead"), queue("waiting")
    dead.lock.close()
    running.lock.close()
    started = time.monotonic()
    wait_in_queue(waiting, workspace)
    assert time.monotonic() - started < 5
    assert names(running_trainings(workspace)) == ["waiting"]


def test_a_new_training_does_not_overtake_queued_ones(workspace: Workspace, queue: Queue):
    """The slot is free for a moment, before the first in the queue has noticed."""
    running = queue("running")
    queue("waiting")
    running.lock.close()
    with pytest.raises(TrainingBusyError, match="waiting"):
        start_run(TrainConfig(name="late"), workspace)
    assert names(queued_trainings(workspace)) == ["waiting"]


def test_several_trainings_run_up_to_the_limit(workspace: Workspace, queue: Queue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOPGRAFT_MAX_TRAININGS", "2")
    first, _second, third, fourth = (queue(name) for name in ("first", "second", "third", "fourth"))
    assert names(running_trainings(workspace)) == ["first", "second"]
    first.lock.close()
    wait_in_queue(third, workspace)
    assert names(running_trainings(workspace)) == ["second", "third"]
    assert [(status.name, status.place) for status in queued_trainings(workspace)] == [("fourth", 1)]
    assert fourth.status.state == "queued"


def test_without_queue_a_training_is_refused_with_the_advice_to_queue(workspace: Workspace, queue: Queue):
    queue("running")
    with pytest.raises(TrainingBusyError, match="queue"):
        start_or_resume(TrainConfig(name="b"), workspace)


def test_the_service_queues_only_if_the_deployer_allows_it(workspace: Workspace, queue: Queue, monkeypatch):
    queue("running")
    with pytest.raises(TrainingBusyError, match=r"at most 0 trainings may be queued.*TOPGRAFT_MAX_QUEUED"):
        start_or_resume(TrainConfig(name="b", queue=True), workspace, in_service=True)
    monkeypatch.setenv("TOPGRAFT_MAX_QUEUED", "1")
    allowed, _ = start_or_resume(TrainConfig(name="b", queue=True), workspace, in_service=True)
    assert allowed.status.place == 1
    with pytest.raises(TrainingBusyError, match="at most 1"):
        start_or_resume(TrainConfig(name="c", queue=True), workspace, in_service=True)


@pytest.mark.parametrize("text", ["-1", "many", "1.5"])
def test_an_invalid_limit_falls_back_to_the_default(
    workspace: Workspace, queue: Queue, monkeypatch: pytest.MonkeyPatch, text: str
):
    queue("running")
    monkeypatch.setenv("TOPGRAFT_MAX_QUEUED", text)
    with pytest.raises(TrainingBusyError, match=r"at most 0 trainings may be queued.*TOPGRAFT_MAX_QUEUED"):
        start_or_resume(TrainConfig(name="b", queue=True), workspace, in_service=True)
    start_or_resume(TrainConfig(name="b", queue=True), workspace)[0].lock.close()


def test_waiting_takes_little_processor_time(workspace: Workspace, queue: Queue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queues, "_SECONDS_BETWEEN_CHECKS", 1.0)
    running, waiting = queue("running"), queue("waiting")
    thread = threading.Thread(target=wait_in_queue, args=(waiting, workspace))
    thread.start()
    before = time.process_time()
    time.sleep(2)
    spent = time.process_time() - before
    running.lock.close()
    thread.join(10)
    assert not thread.is_alive() and spent < 0.2
