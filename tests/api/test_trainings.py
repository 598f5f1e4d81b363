"""Unfinished trainings in the metadata; they are read from disk, so they are there after a restart."""

import dataclasses

import pytest

from api import plugin
from model.config import TrainConfig
from model.runs import start_run
from model.workspace import Workspace


def test_unfinished_trainings_are_listed_with_their_state(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    listed = {training["name"]: training for training in plugin.get_metadata()["trainings"]}
    assert {name: training["state"] for name, training in listed.items()} == {
        "first": "running",
        "second": "running",
        "waiting": "queued",
        "failed": "failed",
        "interrupted": "interrupted",
    }
    assert (listed["first"]["per_second"], listed["first"]["unit"], listed["first"]["eta_seconds"]) == (
        7.5,
        "images",
        4.0,
    )
    assert listed["waiting"]["place"] == 1
    assert listed["failed"]["message"] == "the disk is full"
    assert "pid" not in listed["first"]
    waiting.lock.close()


def test_warm_up_outside_a_service_starts_no_training(workspace: Workspace) -> None:
    start_run(TrainConfig(name="batch", auto_resume=True), workspace).lock.close()
    plugin.warm()
    assert [training["state"] for training in plugin.get_metadata()["trainings"]] == ["interrupted"]
