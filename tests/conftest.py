"""Fixtures of all tests: a small dataset of photos, and a workspace to train in."""

import functools
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.workspace import Workspace
from tests.support.shapes import write_shapes


def pytest_collection_finish() -> None:
    """Leave the test items and all modules out of garbage collection, which then takes a hundredth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _free_networks() -> Iterator[None]:
    """Free the networks that a test has made: a real training has a process of its own."""
    yield
    if "keras" in sys.modules and _has_networks():
        import keras

        keras.backend.clear_session(free_memory=False)
        gc.collect()
        _freeze_keras()


def _has_networks() -> bool:
    """Whether Keras has named a layer or a tensor since its session was last cleared."""
    from keras.src.backend.common.global_state import get_global_attribute

    return bool(get_global_attribute("object_name_uids"))


@functools.cache
def _freeze_keras() -> None:
    """Leave the modules of Keras and TensorFlow out of garbage collection, too."""
    gc.freeze()


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
