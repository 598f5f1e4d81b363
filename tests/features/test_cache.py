"""The caches of features and of converted backbones; a damaged or unwritable cache does not stop a training."""

import contextlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from model.backbones import BACKBONES
from model.features.cache import FeatureCache
from model.files.checksums import file_sha256
from model.networks.converted_backbone import converted_backbone
from model.results import InputSpec, Progress, Sample, no_progress
from tests.support.shapes import CLASSES

LITE0 = BACKBONES["EfficientNetLite0"]


@pytest.fixture
def samples(shapes: Path) -> list[Sample]:
    return [Sample(shapes / name / "000.jpg", f"{name}/000.jpg", label) for label, name in enumerate(CLASSES)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _extract(samples: list[Sample], asked: list[int]) -> np.ndarray:
    def extract(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        return images.reshape(len(images), -1)[:, :5].astype(np.float32)

    hashes = {sample.name: file_sha256(sample.path) for sample in samples}
    return FeatureCache(LITE0, InputSpec.square(32)).extract(extract, samples, hashes, no_progress)


def test_features_are_extracted_once(samples):
    asked: list[int] = []
    first, second = _extract(samples, asked), _extract(samples, asked)
    assert asked == [3] and np.array_equal(first, second)


def test_an_interrupted_extraction_is_resumed_to_the_same_features(shapes, monkeypatch, tmp_path):
    monkeypatch.setattr("model.features.cache._MAX_UNSAVED_IMAGES", 16)
    samples = [Sample(path, path.name + path.parent.name, 0) for path in sorted(shapes.rglob("*.jpg"))]
    hashes = {sample.name: file_sha256(sample.path) for sample in samples}
    asked: list[int] = []

    def extract(images: np.ndarray) -> np.ndarray:
        """Features that depend on the batch, as those of a network may in their last bits."""
        asked.append(len(images))
        return images.reshape(len(images), -1)[:, :5] + images.mean(dtype=np.float32)

    def run(progress: Progress) -> np.ndarray:
        return FeatureCache(LITE0, InputSpec.square(32)).extract(extract, samples, hashes, progress)

    def interrupt(_phase: str, done: int, _total: int, /, **_metrics: float) -> None:
        if done == 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupt)
    assert asked == [8, 8, 8]
    asked.clear()
    resumed = run(no_progress)
    assert asked == [8, 8, 4]
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path / "another"))
    assert np.array_equal(resumed, run(no_progress))


def test_a_damaged_cache_is_reported_and_created_again(samples, caplog):
    asked: list[int] = []
    _extract(samples, asked)
    FeatureCache(LITE0, InputSpec.square(32)).path.write_bytes(b"garbage" * 1000)
    _extract(samples, asked)
    assert "is created again" in caplog.text
    _extract(samples, asked)
    assert asked == [3, 3]


def test_a_cache_locked_by_another_training_is_not_used(samples, monkeypatch, caplog):
    _extract(samples, [])
    path = FeatureCache(LITE0, InputSpec.square(32)).path
    connect = sqlite3.connect
    with contextlib.closing(connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(sqlite3, "connect", lambda path, **_options: connect(path, timeout=0.05))
        assert _extract(samples, []).shape == (3, 5)
    assert path.exists() and "it is not used" in caplog.text


def test_an_unwritable_cache_is_reported_and_not_used(samples, cache, caplog):
    cache.write_text("a file where the folder should be")
    assert _extract(samples, []).shape == (3, 5)
    assert "TOPGRAFT_CACHE" in caplog.text


def test_a_damaged_backbone_is_converted_again(cache, monkeypatch, caplog):
    class Graph:
        def SerializeToString(self) -> bytes:
            return b"a graph"

    converted: list[str] = []

    def convert(network: object) -> Graph:
        converted.append("once")
        return Graph()

    monkeypatch.setattr("model.networks.pretrained.build_backbone", lambda *_arguments: "a network")
    monkeypatch.setattr("model.networks.onnx_export.convert_backbone", convert)
    assert [converted_backbone(LITE0, 64) for _ in range(2)] == [b"a graph"] * 2
    assert len(converted) == 1
    (path,) = (cache / "backbones").glob("*.checked-onnx")
    path.write_bytes(path.read_bytes()[:-1])
    assert converted_backbone(LITE0, 64) == b"a graph"
    assert len(converted) == 2 and "damaged" in caplog.text
