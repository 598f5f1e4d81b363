"""A workspace in a temporary folder, models without a network, uploads as DEEPaaS makes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api import plugin, worker_state
from model.bundle import Bundle, Manifest, open_bundle, write_manifest
from model.bundle_files import ONNX_MODEL
from model.workspace import Workspace
from tests.support.fake_predictor import CLASSES, FakePredictor, Upload


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace that the plug-in finds, and a process that remembers nothing."""
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    registry = worker_state.Registry()
    monkeypatch.setattr(plugin, "REGISTRY", registry)
    monkeypatch.setattr(plugin, "MODEL_CACHE", worker_state.ModelCache(registry))
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


@pytest.fixture
def upload(tmp_path: Path) -> Callable[..., Upload]:
    """Make an upload of some content: a temporary file whose name has no ending."""

    def make(content: bytes, name: str = "photo.jpg") -> Upload:
        path = tmp_path / f"tmp{len(list(tmp_path.iterdir()))}"
        path.write_bytes(content)
        return Upload("image", str(path), "application/octet-stream", name)

    return make
