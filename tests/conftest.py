"""Fixtures of all tests: a small dataset of photos, and a workspace to train in."""

import functools
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model.bundle import Bundle, Manifest, open_bundle, write_manifest
from model.bundle_files import ONNX_MODEL
from model.networks.tensorflow_import import import_tensorflow
from model.workspace import Workspace
from tests.support.caches import new_cache
from tests.support.fake_predictor import CLASSES, FakePredictor
from tests.support.shapes import write_shapes
from tests.support.tiny_network import REPLACED, build_tiny_network


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
        # A conversion to ONNX has unfrozen all objects.
        if gc.get_freeze_count() == 0:
            gc.freeze()
        _freeze_keras()


def _has_networks() -> bool:
    """Whether Keras has named a layer or a tensor since its session was last cleared."""
    from keras.src.backend.common.global_state import get_global_attribute

    return bool(get_global_attribute("object_name_uids"))


@functools.cache
def _freeze_keras() -> None:
    """Leave the modules of Keras and TensorFlow out of garbage collection, too."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _cache_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache without the features of earlier runs, with which no test would extract any."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TOPGRAFT_CACHE", str(new_cache(tmp_path_factory.mktemp("cache"))))
        yield


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without the features of other tests, for a test of when features are extracted."""
    cache = new_cache(tmp_path / "cache")
    monkeypatch.setenv("TOPGRAFT_CACHE", str(cache))
    return cache


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos for each of three classes."""
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes", 12)


@pytest.fixture(scope="module")
def tiny_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MobileNetV3Small is replaced by a network that is built, traced and converted at once."""
    import_tensorflow()
    with pytest.MonkeyPatch.context() as patched:
        # Its converted graph must not be taken for that of the real network.
        patched.setenv("TOPGRAFT_CACHE", str(tmp_path_factory.mktemp("cache_of_tiny_network")))
        patched.setattr(f"keras.applications.{REPLACED}", build_tiny_network)
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    return Workspace(tmp_path)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that were loaded, in order; loading makes a `FakePredictor`."""
    names: list[str] = []

    def load_predictor(bundle: Bundle, threads: int | None = None) -> FakePredictor:
        names.append(bundle.name)
        return FakePredictor(bundle)

    monkeypatch.setattr("model.serving.predictor.load_predictor", load_predictor)
    return names


@pytest.fixture
def add_model(workspace: Workspace) -> Callable[..., Bundle]:
    """Write a model with a manifest and a file in place of the network."""

    def add(name: str, created: str = "2026-01-01T00:00:00Z", content: bytes = b"network", **changes: Any) -> Bundle:
        directory = workspace.models / name
        directory.mkdir(exist_ok=True)
        (directory / ONNX_MODEL).write_bytes(content)
        fields: dict[str, Any] = {
            "versions": {},
            "classes": CLASSES,
            "backbone": "EfficientNetLite0",
            "image_size": 8,
            "resize": "squash",
            "scaling": "lite",
            "train_config": {},
            "dataset": {},
            "metrics": {"test": {"accuracy": 0.9}},
            "temperature": 1.0,
            "thresholds": {},
            "engine": "onnx",
            "parity": {},
        }
        write_manifest(directory, Manifest(name=name, created=created, files={}, **fields | changes))
        return open_bundle(directory)

    return add
