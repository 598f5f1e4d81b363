"""What GET tells of the trainings that are no model yet, after a restart too: all of it is read from disk."""

import dataclasses

import pytest

from api import plugin
from model.config import TrainConfig
from model.runs import start_run
from model.workspace import Workspace


def test_each_unfinished_training_is_told_with_its_state(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_MAX_TRAININGS", "2")
    failed = start_run(TrainConfig(name="failed"), workspace)
    failed.end("failed", "the disk is full")
    failed.lock.close()
    start_run(TrainConfig(name="interrupted", auto_resume=True), workspace).lock.close()
    running = [start_run(TrainConfig(name=name), workspace) for name in ("first", "second")]
    waiting = start_run(TrainConfig(name="waiting", queue=True), workspace)
    running[0].write_status(
        dataclasses.replace(running[0].status, phase="features", per_second=7.5, unit="images", eta_seconds=4.0)
    )
    told = {training["name"]: training for training in plugin.get_metadata()["trainings"]}
    assert {name: training["state"] for name, training in told.items()} == {
        "first": "running",
        "second": "running",
        "waiting": "queued",
        "failed": "failed",
        "interrupted": "interrupted",
    }
    assert (told["first"]["per_second"], told["first"]["unit"], told["first"]["eta_seconds"]) == (7.5, "images", 4.0)
    assert told["waiting"]["place"] == 1
    assert told["failed"]["message"] == "the disk is full"
    assert "pid" not in told["first"]
    waiting.lock.close()


def test_warming_outside_a_service_starts_no_training(workspace: Workspace) -> None:
    start_run(TrainConfig(name="batch", auto_resume=True), workspace).lock.close()
    plugin.warm()
    assert [training["state"] for training in plugin.get_metadata()["trainings"]] == ["interrupted"]
