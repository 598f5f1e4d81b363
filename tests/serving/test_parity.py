"""Preprocessing is identical in training, evaluation, the service and the command."""

import dataclasses
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from api import plugin, worker_state
from model.bundle import Bundle, Manifest, write_manifest
from model.config import PredictConfig
from model.dataset.pipeline import decoded_batches
from model.evaluation.evaluate import evaluate_bundle
from model.intensity import IntensityRange
from model.manifest_migration import FORMAT_VERSION
from model.results import InputSpec, Sample
from model.serving.photos import Photos, predict_photos
from model.serving.predictor import Predictor

SIZE = 64
RANGE = IntensityRange(200, 710)
CLASSES = ("one", "other")


def _photo(mode: str = "RGB", size: tuple[int, int] = (300, 200)) -> Image.Image:
    rng = np.random.default_rng(3)
    blocks = np.kron(rng.integers(0, 256, (size[1] // 20, size[0] // 20, 3), np.uint8), np.ones((20, 20, 1), np.uint8))
    return Image.fromarray(blocks).convert(mode)


def _turned() -> bytes:
    photo, content = _photo(), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(content, "JPEG", exif=exif)
    return content.getvalue()


def _saved(image: Image.Image, form: str) -> bytes:
    content = io.BytesIO()
    image.save(content, form)
    return content.getvalue()


PHOTOS = {
    "turned by EXIF": _turned,
    "CMYK": lambda: _saved(_photo("CMYK"), "JPEG"),
    "palette": lambda: _saved(_photo("P"), "PNG"),
    "much larger than the network's input": lambda: _saved(_photo(size=(2000, 1500)), "JPEG"),
    "dim 16-bit": lambda: _saved(Image.fromarray(200 + np.asarray(_photo("L"), np.uint16) * 2), "TIFF"),
    "floating-point": lambda: _saved(Image.fromarray(200 + np.asarray(_photo("L"), np.float32) * 2), "TIFF"),
}


class RecordingPredictor(Predictor):
    """A predictor whose engine writes down the tensors that it is given."""

    def __init__(self, bundle: Bundle) -> None:
        self.seen: list[np.ndarray] = []

        def engine(images: np.ndarray, *_outputs: str) -> list[np.ndarray]:
            self.seen += list(images)
            return [np.tile(np.float32([0.9, 0.1]), (len(images), 1))]

        super().__init__(bundle, engine)


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
@pytest.mark.parametrize("photo", PHOTOS)
def test_training_evaluation_service_and_command_preprocess_alike(photo, resize, tmp_path, monkeypatch):
    path = tmp_path / "photo"
    path.write_bytes(PHOTOS[photo]())
    bundle = _bundle(tmp_path / "models" / "m", resize)
    predictor = RecordingPredictor(bundle)
    monkeypatch.setattr("model.serving.predictor.load_predictor", lambda *_arguments: predictor)
    monkeypatch.setattr("model.evaluation.evaluate.load_predictor", lambda *_arguments: predictor)

    trained_on = next(decoded_batches([Sample(path, "photo", 0)], InputSpec.square(SIZE, resize, RANGE), 1))[0]
    evaluate_bundle(bundle, [Sample(path, "photo", 0)])
    assert len(list(predict_photos(predictor, Photos([path]), PredictConfig()))) == 1
    _ask_the_service(path, tmp_path, monkeypatch)

    assert trained_on.shape == (SIZE, SIZE, 3) and trained_on.dtype == np.uint8
    assert len(np.unique(trained_on)) > 50
    assert len(predictor.seen) == 3
    for seen in predictor.seen:
        np.testing.assert_array_equal(seen, trained_on)


def _ask_the_service(path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_HOME", str(home))
    registry = worker_state.Registry()
    monkeypatch.setattr(plugin, "REGISTRY", registry)
    monkeypatch.setattr(plugin, "MODEL_CACHE", worker_state.ModelCache(registry))
    uploaded = home / "uploaded"
    uploaded.write_bytes(path.read_bytes())
    plugin.predict(image=SimpleNamespace(filename=str(uploaded), original_filename="photo"))


def _bundle(directory: Path, resize: str) -> Bundle:
    directory.mkdir(parents=True)
    values: dict[str, object] = {field.name: {} for field in dataclasses.fields(Manifest)}
    manifest = Manifest(
        **values
        | {
            "name": "m",
            "created": "2026-01-01T00:00:00+00:00",
            "classes": CLASSES,
            "backbone": "EfficientNetLite0",
            "image_size": SIZE,
            "resize": resize,
            "scaling": "lite",
            "temperature": 1.0,
            "engine": "onnx",
            "format_version": FORMAT_VERSION,
            "precision": "float32",
            "intensity": RANGE,
        }
    )
    return Bundle(directory, write_manifest(directory, manifest))
