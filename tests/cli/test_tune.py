"""`topgraft tune`: resumed after a kill, and without a training."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from model.config import TrainConfig
from model.schema import load
from tests.support.command import COMMAND, Run, environment_of_tests
from tests.support.waiting import wait_until

MINUTES = 0.3
TUNE = ("tune", "--dataset", "photos", "--backbones", "EfficientNetLite0", "--image-size", "64", "--epochs", "10")


# Two tunings and a training, with a backbone to convert.
@pytest.mark.slow
def test_a_killed_search_is_resumed_and_trains_its_choice(workspace: Path, photos: Path, run: Run):
    _kill_after_trials(workspace, 1)
    [row] = json.loads(run("models", "list", "--json").stdout)
    assert row["phase"] == "tune" and row["resume"] == "topgraft resume tuned"
    resumed = run("resume", "tuned", "--json")
    assert resumed.returncode == 0, resumed.stderr
    tuning = json.loads(resumed.stdout)["tuning"]
    assert tuning["trials"] > 1 and tuning["seconds"] < 1.1 * 60 * MINUTES
    assert json.loads(run("models", "show", "tuned", "--json").stdout)["files"]["tuning.json"]["size"] > 0

    # A local folder as remote storage.
    storage = {"RCLONE_CONFIG_KEPT_TYPE": "alias", "RCLONE_CONFIG_KEPT_REMOTE": str(workspace / "kept")}
    shown = run(*TUNE, "--minutes", "0.05", "--no-train", "--output", "kept:chosen.yaml", **storage)
    assert shown.returncode == 0, shown.stderr
    assert "EfficientNetLite0" in shown.stdout and "accuracy (95 % interval)" in shown.stdout
    assert [row["name"] for row in json.loads(run("models", "list", "--json").stdout)] == ["tuned"]
    options = yaml.safe_load((workspace / "kept" / "chosen.yaml").read_text(encoding="utf-8"))
    assert {"dataset": "photos", "image_size": 64, "epochs": 10}.items() <= options.items()
    load(TrainConfig, options)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--backbones", "EfficientNetLite0,EficientNetLite1"), "Did you mean: EfficientNetLite1"),
        (("--minutes", "0"), "tune_minutes"),
        (("--weights", "none"), "expected weights = imagenet"),
        (("--output", "chosen.txt"), ".yaml"),
    ],
)
def test_invalid_searches_are_refused_before_any_work(run: Run, photos: Path, wrong: tuple, message: str):
    ran = run("tune", "--dataset", "photos", "--minutes", "1", *wrong)
    assert ran.returncode == 2 and message in ran.stderr


def _kill_after_trials(workspace: Path, trials: int) -> None:
    child = subprocess.Popen(
        [*COMMAND, *TUNE, "--name", "tuned", "--minutes", str(MINUTES)],
        cwd=workspace,
        env=environment_of_tests(workspace),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        status = workspace / "models" / ".running" / "tuned" / "status.json"
        wait_until(lambda: _trials(status) >= trials, 120, child)
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()


def _trials(status: Path) -> float:
    return json.loads(status.read_text())["metrics"].get("trials", 0) if status.exists() else 0
