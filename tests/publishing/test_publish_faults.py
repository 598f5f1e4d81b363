"""Killed and concurrent publishing: nothing is lost, no partial file has its final name, repeating completes it."""

import dataclasses
from collections.abc import Iterator

import pytest

from model.workspace import Workspace
from tests.support import publishing_faults
from tests.support.publishing_faults import MODEL, Scene, scene_in
from tests.support.small_model import write_model

pytestmark = pytest.mark.slow  # many processes, one after the other

KILLS = 2


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    root = tmp_path_factory.mktemp("scene")
    write_model(root / "workspace" / "models" / MODEL)
    with scene_in(root, Workspace(root / "workspace")) as scene:
        yield scene


def test_concurrent_publishing_of_one_model_succeeds(scene: Scene) -> None:
    outcome = publishing_faults.publish_twice_at_once(scene, trials=1)
    assert dataclasses.astuple(outcome) == (1, "done", 0)


def test_concurrent_publishing_of_two_models_of_one_name_keeps_one_intact(scene: Scene) -> None:
    assert publishing_faults.publish_others_at_once(scene, trials=1).harmed == 0


def test_a_killed_publish_loses_nothing_and_is_repeatable(scene: Scene) -> None:
    outcome = publishing_faults.kill(scene, KILLS)
    assert (outcome.trials, outcome.harmed) == (KILLS, 0)
