"""The state of a training, derived from its lock and its status.json."""

import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from model import durable
from model.config import TrainConfig
from model.errors import ConfigError, TrainingBusyError
from model.results import TrainingStatus
from model.runs import (
    Run,
    interrupted_trainings,
    process_of,
    queued_trainings,
    remove_interrupted,
    resume_run,
    running_trainings,
    start_run,
    unfinished_trainings,
)
from model.runs.run import STATUS, is_locked
from model.workspace import Workspace
from tests.support.small_model import write_model


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "models").mkdir()
    return Workspace(tmp_path)


def states(workspace: Workspace) -> list[tuple[str, str]]:
    return [(status.name, status.state) for status in unfinished_trainings(workspace)]


def test_a_training_is_running_while_its_lock_is_held_then_interrupted(workspace: Workspace):
    run = start_run(TrainConfig(name="a"), workspace)
    assert states(workspace) == [("a", "running")]
    run.lock.close()
    assert states(workspace) == [("a", "interrupted")]
    assert "process ended together" in interrupted_trainings(workspace)[0].message


def test_a_queued_training_without_its_process_is_interrupted_and_can_be_resumed(workspace: Workspace):
    first = start_run(TrainConfig(name="first"), workspace)
    waiting = start_run(TrainConfig(name="waiting", queue=True), workspace)
    assert states(workspace) == [("first", "running"), ("waiting", "queued")]
    waiting.lock.close()
    assert states(workspace) == [("first", "running"), ("waiting", "interrupted")]
    first.lock.close()
    again, config = resume_run("waiting", workspace)
    assert config.queue and states(workspace) == [("waiting", "running"), ("first", "interrupted")]
    again.lock.close()
    assert remove_interrupted(workspace, "waiting") and states(workspace) == [("first", "interrupted")]


@pytest.mark.parametrize("state", ["failed", "cancelled", "killed", "interrupted"])
def test_only_the_first_final_state_is_kept(workspace: Workspace, state):
    run = start_run(TrainConfig(name="a"), workspace)
    (run.bundle).mkdir()
    run.end(state, "the reason")
    run.end("failed", "another reason")
    run.write_status(TrainingStatus("a", "running"))
    run.lock.close()
    [status] = interrupted_trainings(workspace)
    assert (status.state, status.message, run.bundle.exists()) == (state, "the reason", False)
    resume_run("a", workspace)[0].lock.close()
    assert states(workspace) == [("a", "interrupted")]


def test_the_parent_does_not_overwrite_the_state_of_the_child(workspace: Workspace):
    of_the_parent = start_run(TrainConfig(name="a"), workspace)
    of_the_child = Run("a", of_the_parent.directory, of_the_parent.destination, "", of_the_parent.lock)
    of_the_child.end("cancelled", "by the child")
    of_the_parent.end("killed", "as the parent sees it")
    assert of_the_parent.status.state == "cancelled"


def test_a_training_killed_just_after_its_model_was_published_is_done(workspace: Workspace):
    run = start_run(TrainConfig(name="a"), workspace)
    write_model(workspace.models / "a", created=run.started)
    run.lock.close()
    assert unfinished_trainings(workspace) == []
    with pytest.raises(ConfigError, match="Existing ones: none"):
        resume_run("a", workspace)
    start_run(TrainConfig(name="b"), workspace)
    assert not run.directory.exists()


def test_a_model_of_another_origin_does_not_hide_a_training_of_its_name(workspace: Workspace):
    start_run(TrainConfig(name="a"), workspace).lock.close()
    (workspace.models / "a").mkdir()
    durable.write_json(workspace.models / "a" / "manifest.json", {"created": "2020-01-01"})
    assert states(workspace) == [("a", "interrupted")]


def test_a_status_file_of_another_version_is_read(workspace: Workspace):
    run = start_run(TrainConfig(name="a"), workspace)
    content = json.loads((run.directory / STATUS).read_text()) | {"unheard_of": 1}
    durable.write_json(run.directory / STATUS, content)
    assert states(workspace) == [("a", "running")]


def test_a_training_can_be_locked_while_others_check_it(workspace: Workspace):
    """A check holds the lock for a moment."""
    start_run(TrainConfig(name="a"), workspace).lock.close()
    over = threading.Event()

    def check_status() -> None:
        while not over.is_set():
            is_locked(workspace.running / "a")

    checkers = [threading.Thread(target=check_status) for _ in range(2)]
    for checker in checkers:
        checker.start()
    try:
        for _ in range(20):
            resume_run("a", workspace)[0].lock.close()
    finally:
        over.set()
        for checker in checkers:
            checker.join()


HOLD = """
import sys
from pathlib import Path
from model.config import TrainConfig
from model.runs import start_run
from model.workspace import Workspace
from tests.support.small_model import write_model
held = start_run(TrainConfig(name="a", queue=True), Workspace(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_process_of_a_training_is_found_by_its_open_lock_not_by_its_pid(workspace: Workspace):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline()
        [status] = running_trainings(workspace)
        assert process_of(workspace, dataclasses.replace(status, pid=holder.pid)) == holder.pid
        # Alive, but no training of ours; never there; not known yet.
        for pid in (os.getpid(), 2**22 + 1, 0):
            assert process_of(workspace, dataclasses.replace(status, pid=pid)) is None
    finally:
        holder.kill()
        holder.communicate()


def test_a_running_training_cannot_be_locked_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOPGRAFT_MAX_TRAININGS", "5")
    running = start_run(TrainConfig(name="a"), workspace)
    for refused in (lambda: resume_run("a", workspace), lambda: start_run(TrainConfig(name="a"), workspace)):
        with pytest.raises(ConfigError, match="'a'"):
            refused()
    assert not queued_trainings(workspace)
    monkeypatch.setenv("TOPGRAFT_MAX_TRAININGS", "1")
    with pytest.raises(TrainingBusyError, match="a \\(start\\)"):
        start_run(TrainConfig(name="b"), workspace)
    running.lock.close()
