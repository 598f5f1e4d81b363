"""A workspace in a temporary folder, models without a network, uploads as DEEPaaS makes them."""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from api import plugin, worker
from model.bundle import ONNX_MODEL, Bundle, Manifest, open_bundle, write_manifest
from model.config import PREDICT_DEFAULTS, PredictConfig
from model.dataset.images import decode_image
from model.errors import ImageError, ModelDamagedError
from model.results import Prediction
from model.workspace import Workspace

CLASSES = ("dark", "bright", "other")


class Upload(NamedTuple):
    """DEEPaaS's UploadedFile."""

    name: str
    filename: str
    content_type: str
    original_filename: str


class FakePredictor:
    """Says `bright` or `dark`; sees the mean of the pixels."""

    size = (8, 8)
    judged_by = ("confidence",)

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        if (bundle.directory / ONNX_MODEL).read_bytes() == b"corrupt":
            raise ModelDamagedError(f"the model {bundle.name} cannot be loaded")

    def decode(self, content: bytes) -> np.ndarray:
        return decode_image(content, self.size)

    def predict(
        self, images: Iterable[tuple[str, bytes]], config: PredictConfig = PREDICT_DEFAULTS
    ) -> Iterator[Prediction]:
        for name, content in images:
            try:
                brightness = float(self.decode(content).mean() / 255)
            except ImageError as error:
                yield Prediction(name, error=error.message)
                continue
            ranked = sorted(zip((1 - brightness, brightness, 0.0), CLASSES, strict=True), reverse=True)[: config.top_k]
            yield Prediction(name, tuple(label for _, label in ranked), tuple(value for value, _ in ranked))

    def class_index(self, name: str) -> int:
        return CLASSES.index(name)

    def activation_maps(self, image: np.ndarray) -> np.ndarray:
        return np.ones((2, 2, len(CLASSES)), np.float32)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace that the plug-in finds, and a process that remembers nothing."""
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    listing = worker.Listing()
    monkeypatch.setattr(plugin, "LISTING", listing)
    monkeypatch.setattr(plugin, "PREDICTORS", worker.Predictors(listing))
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


def photo(brightness: int = 200, form: str = "JPEG", size: tuple[int, int] = (32, 24)) -> bytes:
    """A gray picture of (width, height) `size`."""
    stream = io.BytesIO()
    Image.new("RGB", size, (brightness,) * 3).save(stream, form)
    return stream.getvalue()
