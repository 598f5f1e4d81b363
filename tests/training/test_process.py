"""A training in a child process: what is left when it, or who started it, is killed."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from model.bundle import find_bundle, model_names
from model.config import TrainConfig
from model.errors import DatasetError, TrainingBusyError, TrainingError, TrainingStoppedError
from model.training.process import run_training
from model.trainings import interrupted_trainings, running_trainings
from model.workspace import Workspace

PARENT = """
import sys
from pathlib import Path
from model.config import TrainConfig
from model.training.process import run_training
from model.workspace import Workspace
run_training(TrainConfig(dataset=sys.argv[2], name="child", image_size=96), Workspace(Path(sys.argv[1])))
"""


def test_the_child_trains_and_the_parent_gets_the_result_without_loading_tensorflow(workspace, shapes):
    code = PARENT.replace("run_training(", "result = run_training(") + (
        "assert result['model'] == 'child', result\nassert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(workspace.root), str(shapes)], check=True, timeout=120)
    find_bundle(workspace, "child").verify()


def test_an_error_of_the_child_arrives_as_it_was_raised(workspace):
    with pytest.raises(DatasetError, match="nowhere"):
        run_training(TrainConfig(dataset=str(workspace.root / "nowhere")), workspace)
    assert running_trainings(workspace) == []


def test_a_child_killed_as_for_its_memory_is_an_error_that_says_so(workspace, shapes):
    raised = _run_and_signal(workspace, shapes, signal.SIGKILL)
    assert isinstance(raised, TrainingError) and "batch_size" in raised.message
    assert [(status.name, status.state) for status in interrupted_trainings(workspace)] == [("child", "killed")]


def test_a_child_asked_to_stop_is_cancelled(workspace, shapes):
    raised = _run_and_signal(workspace, shapes, signal.SIGTERM)
    assert isinstance(raised, TrainingStoppedError)
    assert running_trainings(workspace) == [] and model_names(workspace) == []


def test_a_second_training_is_refused_at_once_while_a_child_runs(workspace, shapes):
    parent = _start_parent(workspace, shapes)
    try:
        pid = _pid_of_child(workspace)
        started = time.monotonic()
        with pytest.raises(TrainingBusyError, match="child"):
            run_training(TrainConfig(dataset=str(shapes)), workspace)
        assert time.monotonic() - started < 1
        assert pid != parent.pid
    finally:
        _kill(parent)


def test_the_child_dies_with_its_parent(workspace, shapes):
    parent = _start_parent(workspace, shapes)
    pid = _pid_of_child(workspace)
    _kill(parent)
    _wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the child to die")
    assert running_trainings(workspace) == [] and model_names(workspace) == []


@pytest.mark.slow
def test_kill_at_any_moment_leaves_only_whole_models(workspace, shapes):
    moments = random.Random(0)
    longest = 1.5 * _seconds_of_a_whole_training(workspace, shapes)
    finished = 0
    for _ in range(20):
        parent = _start_parent(workspace, shapes)
        with contextlib.suppress(subprocess.TimeoutExpired):
            parent.wait(moments.uniform(0, longest))
        _kill(parent)
        _wait_until(lambda: running_trainings(workspace) == [], "the child to die")
        for name in model_names(workspace):
            find_bundle(workspace, name).verify()
            finished += 1
        for status in interrupted_trainings(workspace):
            assert status.state == "interrupted"
        _clear(workspace)
    assert 0 < finished < 20


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


def _pid_of_child(workspace: Workspace) -> int:
    """The process that trains, once it has begun to look at the dataset."""
    _wait_until(
        lambda: any(status.phase != "start" for status in running_trainings(workspace)), "the training to begin"
    )
    return running_trainings(workspace)[0].pid


def _kill(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


def _clear(workspace: Workspace) -> None:
    import shutil

    shutil.rmtree(workspace.models)
    workspace.models.mkdir()


def _wait_until(condition, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
