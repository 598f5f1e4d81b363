"""Fixtures of featurizing: photos, and a network that is built in milliseconds."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle import Bundle, open_bundle
from model.results import InputSpec
from model.scale.featurize import FeaturizeResult, featurize
from model.scale.network import Network
from model.scale.parts import Done
from model.scale.source import SplitOptions
from model.scale.work import Task
from model.workspace import Workspace
from tests.support.colour_network import colour_graph
from tests.support.photos import write_photos
from tests.support.small_model import NAME, write_small_model

SPEC = InputSpec.square(32)
SPLITS = SplitOptions(val_fraction=0.2, test_fraction=0.2, seed=1)


def in_this_process(task: Task, numbers: Sequence[int]) -> Iterator[Done]:
    """Engine that works in the process of the test."""
    for number in numbers:
        yield task.write(number)


@pytest.fixture(scope="session")
def network() -> Network:
    """A network whose features are the mean colour."""
    return Network("colour", colour_graph(SPEC), SPEC)


@pytest.fixture
def bundle(workspace: Workspace) -> Bundle:
    """A model with reference features, whose network answers the mean colour."""
    colours = np.random.default_rng(0).uniform(0, 255, (40, 3))
    write_small_model(workspace.models / NAME, learned_colours=colours)
    return open_bundle(workspace.models / NAME)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight photos for each of two classes."""
    return write_photos(tmp_path / "photos")


@pytest.fixture
def run(network: Network, photos: Path, tmp_path: Path) -> Callable[..., FeaturizeResult]:
    """Featurize the photos into `out`, in this process and in chunks of five unless stated otherwise."""

    def featurize_photos(source: Any = photos, out: Any = tmp_path / "out", **options: Any) -> FeaturizeResult:
        chosen = {"splits": SPLITS, "max_photos": 5, "engine": in_this_process, "network": network} | options
        return featurize(str(source), str(out), **chosen)

    return featurize_photos
