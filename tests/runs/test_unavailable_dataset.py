"""A training whose dataset is temporarily unavailable."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from model.config import TrainConfig
from model.dataset import reading as storage
from model.errors import StorageError
from model.runs import interrupted_trainings, runs_to_resume
from model.runs.trainer import train
from model.workspace import Workspace
from tests.support.trainings import Interruption


def test_a_training_whose_mount_is_lost_during_the_checks_is_resumed_automatically(
    workspace: Workspace, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(storage, "SECONDS_BETWEEN_TRIES", (0.01, 0.01))
    mount, moved = tmp_path / "mount", tmp_path / "elsewhere"
    shutil.copytree(shapes, mount)
    config = TrainConfig(dataset=str(mount), name="m", auto_resume=True)

    def unmount(_phase: str, _done: int, _total: int, /, **_metrics: float) -> None:
        if not moved.exists():
            mount.rename(moved)
            mount.mkdir()

    def stop_after_the_checks(phase: str, done: int, total: int, /, **_metrics: float) -> None:
        if (phase, done) == ("check", total):
            raise Interruption

    with pytest.raises(StorageError, match="To resume it: topgraft resume m"):
        train(config, workspace, unmount)
    [status] = interrupted_trainings(workspace)
    assert (status.state, status.error) == ("failed", "StorageError")
    assert runs_to_resume(workspace) == ["m"]
    with pytest.raises(StorageError, match="missing or empty"):
        train(config, workspace)
    mount.rmdir()
    moved.rename(mount)
    with pytest.raises(Interruption):
        train(dataclasses.replace(config, epochs=3), workspace, stop_after_the_checks)
    [status] = interrupted_trainings(workspace)
    assert (status.state, status.automatic_starts) == ("cancelled", 2)
