"""Queued trainings, cancelling from another process, and a batch job that is run again."""

import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.config import TrainConfig
from model.runs import Run as TrainingRun
from model.runs import start_run
from model.workspace import Workspace
from tests.support.command import COMMAND, Run, environment_of_tests, heed_interrupts
from tests.support.slowness import slowness
from tests.support.waiting import wait_until

TRAIN = ("train", "--dataset", "photos", "--name", "mine", "--image-size", "64", "--epochs", "3")


@pytest.fixture
def other(workspace: Path) -> Iterator[Run]:
    """A training that runs, so that there is no room."""
    run = start_run(TrainConfig(name="other"), Workspace(workspace))
    yield run
    run.lock.close()


def start(workspace: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=workspace,
        env=environment_of_tests(workspace),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heed_interrupts,
    )


def status(workspace: Path, name: str = "mine") -> dict[str, Any]:
    path = workspace / "models" / ".running" / name / "status.json"
    return json.loads(path.read_text()) if path.exists() else {}


def wait_for_status(workspace: Path, child: "subprocess.Popen[str]", **expected: Any) -> None:
    wait_until(lambda: expected.items() <= status(workspace).items(), 60, child)


@pytest.mark.parametrize("by", ["ctrl-c", "command"])
def test_a_queued_training_is_listed_and_can_be_cancelled(
    workspace: Path, photos: Path, other: TrainingRun, run: Run, by: str
):
    waiting = start(workspace, *TRAIN, "--queue")
    wait_for_status(workspace, waiting, state="queued", place=1, pid=waiting.pid)
    assert "mine   queued: position 1" in run("models", "list").stdout
    started = time.monotonic()
    if by == "ctrl-c":
        waiting.send_signal(signal.SIGINT)
    else:
        cancelled = run("models", "cancel", "mine", "--json")
        assert cancelled.returncode == 0, cancelled.stderr
        row = json.loads(cancelled.stdout)
        assert (row["status"], row["resume"]) == ("cancelled", "topgraft resume mine")
    assert waiting.wait(10) == 130
    assert time.monotonic() - started < 5 * slowness()
    assert status(workspace)["state"] == "cancelled"
    assert run("models", "remove", "mine", "--yes").returncode == 0


@pytest.mark.slow  # TensorFlow is loaded
def test_a_queued_training_starts_when_a_slot_is_free(workspace: Path, photos: Path, other: TrainingRun):
    waiting = start(workspace, *TRAIN, "--queue", "--json")
    wait_for_status(workspace, waiting, state="queued", place=1)
    time.sleep(2)
    other.lock.close()
    said, _ = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, said
    assert "mine is queued after other" in said
    assert (workspace / "models" / "mine" / "manifest.json").exists()


def test_a_running_training_is_listed_with_its_speed_and_the_time_left(workspace: Path, other: TrainingRun, run: Run):
    speed = {"per_second": 5.25, "unit": "images", "eta_seconds": 5.7}
    other.write_status(dataclasses.replace(other.status, phase="features", epoch=10, epochs=40, **speed))
    assert run("models", "list").stdout == "other  running: features 10/40, 5.25 images/s, 6 s left\n"
    assert run("models").stdout == run("models", "list").stdout
    [row] = json.loads(run("models", "list", "--json").stdout)
    assert speed.items() <= row.items()


def test_without_queue_a_second_training_is_refused(workspace: Path, photos: Path, other: TrainingRun, run: Run):
    refused = run(*TRAIN)
    assert refused.returncode == 2
    assert "other (start)" in refused.stderr and "queue" in refused.stderr


def test_cancel_of_an_unknown_training_lists_the_running_ones(workspace: Path, other: TrainingRun, run: Run):
    refused = run("models", "cancel", "nothing")
    assert refused.returncode == 2 and "Available: other" in refused.stderr


def test_cancel_spares_another_process_with_the_same_pid(workspace: Path, other: TrainingRun, run: Run):
    """A pid is reused after a restart of the machine, or in another container."""
    bystander = subprocess.Popen(["sleep", "60"])
    other.write_status(dataclasses.replace(other.status, pid=bystander.pid))
    refused = run("models", "cancel", "other")
    assert refused.returncode == 2 and "not on this machine" in refused.stderr
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


@pytest.mark.slow  # TensorFlow is loaded, twice
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["machine gone", "asked to go"])
def test_a_batch_job_is_resumed_and_then_reports_done(workspace: Path, photos: Path, run: Run, number: signal.Signals):
    job = (*TRAIN, "--auto-resume", "--json")
    preempted = start(workspace, *job)
    wait_until((workspace / "models" / ".running" / "mine" / "work" / "fingerprint").exists, 60, preempted)
    os.kill(preempted.pid, number)
    preempted.communicate(timeout=20)
    started = status(workspace)["started"]

    again = run(*job)
    assert again.returncode == 0, again.stderr
    manifest = json.loads((workspace / "models" / "mine" / "manifest.json").read_text())
    assert manifest["created"] == started

    third = run(*job)
    assert third.returncode == 0, third.stderr
    result = json.loads(third.stdout)
    assert (result["status"], result["seconds"]) == ("done", 0)
    assert result["metrics"] == json.loads(again.stdout)["metrics"]
    assert "nothing to do" in result["warnings"][0]
