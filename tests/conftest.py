"""Fixtures of all tests: a small dataset of photos, and a workspace to train in."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.workspace import Workspace
from tests.support.shapes import write_shapes


@pytest.fixture(autouse=True)
def _free_networks() -> Iterator[None]:
    """Free what Keras keeps of the networks of a test: a real training has a process of its own."""
    yield
    if "keras" in sys.modules:
        import keras

        keras.backend.clear_session()
        if not gc.get_freeze_count():
            # The objects of TensorFlow itself stay: a collection that passes over them takes a hundredth of the time.
            gc.collect()
            gc.freeze()
        gc.collect()


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos for each of three classes."""
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes", 12)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    return Workspace(tmp_path)
