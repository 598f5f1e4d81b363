"""A training in a child process, and its files after it or its parent is killed."""

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from model.config import TrainConfig
from model.errors import DatasetError, TrainingBusyError, TrainingError, TrainingStoppedError
from model.registry import find_bundle, model_names
from model.runs import interrupted_trainings, running_trainings, start_or_resume, start_run, unfinished_trainings
from model.runs.process import run_training
from model.runs.stopping import stopped_by_signals
from model.workspace import Workspace
from tests.support.slowness import slowness
from tests.support.waiting import wait_until

KILLS = int(os.environ.get("TOPGRAFT_TEST_KILLS", "6"))

# It trains until it is stopped.
ENDLESS = {
    "name": "child",
    "backbone": "MobileNetV3Small",
    "weights": "none",
    "image_size": 32,
    "epochs": 10_000,
    "patience": 10_000,
}

# As DEEPaaS does it: a main process, and a worker that a pool has spawned.
SERVICE = """
import json, multiprocessing, sys, time
from pathlib import Path
from model.config import TrainConfig
from model.runs.process import run_training
from model.workspace import Workspace
pool = multiprocessing.get_context("spawn").Pool(1)
pool.apply_async(run_training, (TrainConfig(**json.loads(sys.argv[2])), Workspace(Path(sys.argv[1]))))
print(pool._pool[0].pid, flush=True)
sys.stdin.readline()
pool.terminate()
"""

PARENT = """
import sys
from pathlib import Path
from model.config import TrainConfig
from model.runs.process import run_training
from model.workspace import Workspace
run_training(TrainConfig(dataset=sys.argv[2], name="child", image_size=96, folds=0), Workspace(Path(sys.argv[1])))
"""


def test_an_error_of_the_child_is_raised_in_the_parent(workspace):
    with pytest.raises(DatasetError, match="nowhere"):
        run_training(TrainConfig(dataset=str(workspace.root / "nowhere")), workspace)
    assert running_trainings(workspace) == []


def test_a_child_killed_for_lack_of_memory_is_reported_as_such(workspace, shapes):
    """The kernel's out-of-memory killer sends the same signal, and nothing else can be seen of it."""
    raised = _run_and_signal(workspace, shapes, signal.SIGKILL)
    assert type(raised) is TrainingError and "batch_size" in raised.message
    [status] = interrupted_trainings(workspace)
    assert (status.name, status.state) == ("child", "killed")
    assert "batch_size" in status.message and "topgraft resume child" in status.message
    assert _processes_of(workspace) == []


def test_a_child_asked_to_stop_is_cancelled(workspace, shapes):
    raised = _run_and_signal(workspace, shapes, signal.SIGTERM)
    assert isinstance(raised, TrainingStoppedError)
    assert running_trainings(workspace) == [] and model_names(workspace) == []
    assert _states(workspace) == [("child", "cancelled")]


def test_a_child_that_crashes_has_failed(workspace, shapes):
    raised = _run_and_signal(workspace, shapes, signal.SIGSEGV)
    assert type(raised) is TrainingError and "SIGSEGV" in raised.message
    assert _states(workspace) == [("child", "failed")]


@pytest.mark.parametrize(
    ("who", "number", "state"),
    [
        # DEEPaaS kills the worker to delete a training.
        ("worker", signal.SIGKILL, "cancelled"),
        # It asks its workers to end when it is stopped itself.
        ("worker", signal.SIGTERM, "interrupted"),
        ("service", signal.SIGKILL, "interrupted"),
    ],
)
def test_the_child_is_stopped_within_five_seconds_by_any_caller(workspace, shapes, who, number, state):
    with _service(workspace, TrainConfig(dataset=str(shapes), **ENDLESS)) as (service, worker):
        _pid_of_child(workspace)
        assert len(_trainers(workspace)) == 1
        started = time.monotonic()
        os.kill(worker if who == "worker" else service.pid, number)
        if who == "service":
            service.wait()
        wait_until(lambda: running_trainings(workspace) == [], 5)
        wait_until(lambda: _trainers(workspace) == [], 5)
        assert time.monotonic() - started < 5 * slowness()
        assert _states(workspace) == [("child", state)]
        assert model_names(workspace) == []


def test_a_training_of_a_stopped_service_is_interrupted(workspace, shapes):
    with _service(workspace, TrainConfig(dataset=str(shapes), **ENDLESS)) as (service, _worker):
        _pid_of_child(workspace)
        service.communicate(b"stop\n", timeout=20)
        wait_until(lambda: _processes_of(workspace) == [], 5)
    assert _states(workspace) == [("child", "interrupted")]


DEAF = """
import signal, sys, time
from pathlib import Path
from model.config import TrainConfig
from model.runs.stopping import stopped_by_signals
from model.runs import start_run
from model.workspace import Workspace
run = start_run(TrainConfig(name="deaf"), Workspace(Path(sys.argv[1])))
with run.lock, stopped_by_signals(run):
    {}
"""
# A callback into Python from native code, such as a data pipeline's, prints what is raised in it and continues.
SWALLOWS = """while True:
        try:
            print("ready", flush=True)
            time.sleep(60)
        except Exception:
            pass"""
# Python's handlers run between two of its instructions: here, minutes later.
NATIVE = 'import hashlib; print("ready", flush=True); hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000_000)'


@pytest.mark.parametrize("busy", [SWALLOWS, NATIVE], ids=["swallowed", "native code"])
def test_a_training_that_cannot_be_interrupted_is_cancelled_all_the_same(workspace, busy):
    code = DEAF.format(busy)
    training = subprocess.Popen([sys.executable, "-c", code, str(workspace.root)], stdout=subprocess.PIPE)
    assert training.stdout.readline()
    time.sleep(0.5)
    started = time.monotonic()
    training.terminate()
    assert training.wait(10) == 130
    assert time.monotonic() - started < 5 * slowness()
    [status] = interrupted_trainings(workspace)
    assert status.state == "cancelled" and "topgraft resume deaf" in status.message


def test_an_interrupt_turned_into_another_error_by_a_library_does_not_fail_the_training(workspace):
    run = start_run(TrainConfig(name="interrupted"), workspace)
    with run.lock:
        with pytest.raises(TrainingStoppedError), stopped_by_signals(run):
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(5)
            except TrainingStoppedError as error:
                raise ImportError("a native library could not be loaded") from error
        with pytest.raises(ImportError), stopped_by_signals(run):
            raise ImportError("it is not installed")


def test_a_second_training_is_refused_at_once_while_a_child_runs(workspace, shapes):
    parent = _start_parent(workspace, shapes)
    try:
        pid = _pid_of_child(workspace)
        started = time.monotonic()
        with pytest.raises(TrainingBusyError, match="child"):
            run_training(TrainConfig(dataset=str(shapes)), workspace)
        assert time.monotonic() - started < 1 * slowness()
        assert pid != parent.pid
    finally:
        _kill(parent)


def test_the_child_dies_with_its_parent(workspace, shapes):
    parent = _start_parent(workspace, shapes)
    pid = _pid_of_child(workspace)
    _kill(parent)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 5)
    assert _states(workspace) == [("child", "interrupted")] and model_names(workspace) == []


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_only_complete_models(workspace, shapes):
    moments = random.Random(0)
    longest = 1.5 * _seconds_of_a_whole_training(workspace, shapes)
    finished = 0
    for _ in range(KILLS):
        parent = _start_parent(workspace, shapes)
        started = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            parent.wait(moments.uniform(0, longest))
            # The other load may have become less.
            longest = min(longest, 1.5 * (time.monotonic() - started))
        _kill(parent)
        wait_until(lambda: running_trainings(workspace) == [], 30)
        for name in model_names(workspace):
            find_bundle(workspace, name).verify()
            finished += 1
        for status in interrupted_trainings(workspace):
            assert status.state == "interrupted"
        _clear(workspace)
    assert 0 < finished < KILLS


def test_a_cancelled_training_that_has_not_ended_takes_no_slot(workspace, shapes):
    first, _ = start_or_resume(TrainConfig(dataset=str(shapes), name="first"), workspace)
    with first.lock:
        with pytest.raises(TrainingBusyError, match="first"):
            start_or_resume(TrainConfig(dataset=str(shapes), name="second"), workspace)
        first.end("cancelled", "The user cancelled it.")
        second, _ = start_or_resume(TrainConfig(dataset=str(shapes), name="second"), workspace)
        second.lock.close()


def _seconds_of_a_whole_training(workspace: Workspace, shapes: Path) -> float:
    started = time.monotonic()
    assert _start_parent(workspace, shapes).wait() == 0
    _clear(workspace)
    return time.monotonic() - started


def _run_and_signal(workspace: Workspace, shapes: Path, number: signal.Signals) -> Exception:
    raised: list[Exception] = []

    def run() -> None:
        try:
            run_training(TrainConfig(dataset=str(shapes), name="child", image_size=96), workspace)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    os.kill(_pid_of_child(workspace), number)
    thread.join(30)
    assert not thread.is_alive() and raised
    return raised[0]


def _start_parent(workspace: Workspace, shapes: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", PARENT, str(workspace.root), str(shapes)], stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def _service(workspace: Workspace, config: TrainConfig):
    """A service with one worker that trains; and the worker's pid."""
    options = json.dumps(dataclasses.asdict(config))
    command = [sys.executable, "-c", SERVICE, str(workspace.root), options]
    service = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield service, int(service.stdout.readline())
    finally:
        _kill(service)
        wait_until(lambda: _trainers(workspace) == [], 30)


def _states(workspace: Workspace) -> list[tuple[str, str]]:
    return [(status.name, status.state) for status in unfinished_trainings(workspace)]


def _processes_of(workspace: Workspace, program: str = "") -> list[int]:
    """Processes of this workspace without this process, or only those of a program."""
    lines = {process.pid: _command_line(process) for process in psutil.process_iter() if process.pid != os.getpid()}
    return [pid for pid, line in lines.items() if str(workspace.root) in line and program in line]


def _trainers(workspace: Workspace) -> list[int]:
    return _processes_of(workspace, "-m model.runs.process")


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _pid_of_child(workspace: Workspace) -> int:
    """The training process, once it has begun to check the dataset."""
    wait_until(lambda: any(status.phase != "start" for status in running_trainings(workspace)), 30)
    return running_trainings(workspace)[0].pid


def _kill(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


def _clear(workspace: Workspace) -> None:
    import shutil

    shutil.rmtree(workspace.models)
    workspace.models.mkdir()
