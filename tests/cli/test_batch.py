"""`pipelines/batch.sh`: exit status, and resuming when it is run again."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import COMMAND, ROOT, environment_of_tests, heed_interrupts
from tests.support.waiting import wait_until

SCRIPT = ROOT / "pipelines" / "batch.sh"
OPTIONS = ("--image-size", "64", "--epochs", "3", "--folds", "0")

Job = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def job(workspace: Path) -> Iterator[Job]:
    """Start the script in the empty workspace, with the command of this environment as `topgraft`."""
    programs = workspace / "programs"
    programs.mkdir()
    python, *rest = COMMAND
    quoted = " ".join(f"'{word}'" for word in (python, *rest))
    (programs / "topgraft").write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
    (programs / "topgraft").chmod(0o755)

    started: list[subprocess.Popen[str]] = []

    def start(*options: str, **environment: str) -> "subprocess.Popen[str]":
        path = {"PATH": f"{programs}:{os.environ['PATH']}"}
        running = subprocess.Popen(
            [SCRIPT, *options],
            cwd=workspace,
            env=environment_of_tests(workspace) | path | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,
        )
        started.append(running)
        return running

    yield start
    for running in started:
        running.terminate()
        running.communicate(timeout=30)


def test_missing_variables_are_named(job: Job) -> None:
    running = job(DATASET="photos", NAME="")
    _, said = running.communicate(timeout=20)
    assert running.returncode == 2 and "NAME=''" in said


def test_the_exit_status_of_a_failed_training_is_returned(job: Job, workspace: Path) -> None:
    (workspace / "data" / "photos").mkdir()
    running = job(DATASET="photos", NAME="mine", UPLOAD_TO=str(workspace / "sent"))
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 3 and json.loads(said)["exit_status"] == 3
    assert not (workspace / "sent").exists()


@pytest.mark.slow  # TensorFlow is loaded, twice
def test_sigterm_stops_it_at_once_and_a_second_run_trains_and_uploads(job: Job, workspace: Path, photos: Path) -> None:
    (workspace / "sent").mkdir()
    target = {"DATASET": "photos", "NAME": "mine", "UPLOAD_TO": str(workspace / "sent")}
    preempted = job(*OPTIONS, **target)
    wait_until((workspace / "models" / ".running" / "mine" / "work" / "fingerprint").exists, 60, preempted)
    preempted.send_signal(signal.SIGTERM)
    preempted.communicate(timeout=20)
    assert preempted.returncode == 130
    assert not any((workspace / "sent").iterdir())

    again = job(*OPTIONS, **target)
    _, problems = again.communicate(timeout=300)
    assert again.returncode == 0, problems
    assert (workspace / "models" / "mine" / "manifest.json").exists()
    assert (workspace / "sent" / "mine.tar.xz").exists()

    unsent = job(*OPTIONS, **target | {"UPLOAD_TO": "nowhere:models"})
    _, problems = unsent.communicate(timeout=120)
    assert unsent.returncode in (2, 5) and "nowhere" in problems
