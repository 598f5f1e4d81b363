"""List and watch interrupted trainings and those of other processes."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.command import COMMAND, Run, environment_of_tests, heed_interrupts, topgraft
from tests.support.slowness import slowness
from tests.support.waiting import wait_until


@pytest.fixture
def training(workspace: Path, photos: Path):
    """A training of the dataset `photos` in a process of its own, running."""
    child = subprocess.Popen(
        [*COMMAND, "train", "--dataset", "photos", "--name", "under-way", "--image-size", "64"],
        cwd=workspace,
        env=environment_of_tests(workspace),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=heed_interrupts,
    )
    status = workspace / "models" / ".running" / "under-way" / "status.json"
    wait_until(lambda: status.exists() and json.loads(status.read_text())["phase"] != "start", 60, child)
    yield child
    child.kill()
    child.wait()


@pytest.mark.parametrize(
    ("number", "state", "exit_status"),
    [(signal.SIGKILL, "interrupted", -9), (signal.SIGTERM, "cancelled", 130), (signal.SIGINT, "cancelled", 130)],
)
def test_an_interrupted_training_is_listed_with_the_command_to_resume_it(
    training, run: Run, number: signal.Signals, state: str, exit_status: int
):
    stopped = time.monotonic()
    training.send_signal(number)
    assert training.wait(20) == exit_status
    assert time.monotonic() - stopped < 5 * slowness()
    (row,) = json.loads(run("models", "--json").stdout)
    assert (row["name"], row["status"], row["resume"]) == ("under-way", state, "topgraft resume under-way")
    assert run("models", "remove", "under-way", "--yes").returncode == 0
    assert json.loads(run("models", "list", "--json").stdout) == []


@pytest.mark.slow
def test_watch_follows_a_training_until_it_is_done(training, workspace: Path):
    watched = topgraft("models", "watch", "under-way", cwd=workspace)
    assert watched.returncode == 0, watched.stderr
    assert "under-way is trained" in watched.stdout


def test_watch_of_a_killed_training_shows_how_to_resume(training, run: Run):
    training.kill()
    training.wait()
    watched = run("models", "watch", "under-way")
    assert watched.returncode == 130 and "topgraft resume under-way" in watched.stderr


def test_watch_of_a_failed_training_shows_once_how_to_resume_and_exits_with_1(training, workspace: Path, run: Run):
    training.kill()
    training.wait()
    path = workspace / "models" / ".running" / "under-way" / "status.json"
    status = json.loads(path.read_text())
    message = "The GPU is gone. To resume it: topgraft resume under-way"
    path.write_text(json.dumps(status | {"state": "failed", "message": message}))
    watched = run("models", "watch", "under-way")
    assert watched.returncode == 1 and watched.stderr.count("topgraft resume under-way") == 1


def test_watch_of_an_unknown_training_is_an_error(run: Run):
    assert run("models", "watch", "nothing").returncode == 4


def test_no_model_is_removed_if_one_of_the_names_is_unknown(training, run: Run):
    training.kill()
    training.wait()
    assert run("models", "remove", "under-way", "nothing", "--yes").returncode == 4
    assert [row["name"] for row in json.loads(run("models", "list", "--json").stdout)] == ["under-way"]
