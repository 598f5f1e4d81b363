"""The feature extractor: it can be sent to another process, and needs neither Keras nor TensorFlow."""

import multiprocessing
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from model.dataset.images import decode_image
from model.features.extractor import FeatureExtractor, feature_batches
from model.results import InputSpec, Sample
from tests.support.colour_network import colour_graph
from tests.support.photos import encoded, random_image
from tests.support.without_keras import decode_and_extract

SPEC = InputSpec(24, 32, "pad")


@pytest.fixture
def extractor() -> FeatureExtractor:
    """An extractor whose features are the mean colour."""
    return FeatureExtractor(colour_graph(SPEC), SPEC, threads=1)


def test_features_are_float32_with_a_row_for_each_image(extractor: FeatureExtractor) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *SPEC.shape), np.uint8)
    features = extractor(images)
    assert features.shape == (5, 3) and features.dtype == np.float32
    np.testing.assert_allclose(features, images.mean(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 3, None])
def test_the_features_of_an_image_do_not_depend_on_its_batch(threads: int | None) -> None:
    extractor = FeatureExtractor(colour_graph(SPEC), SPEC, threads)
    images = np.random.default_rng(0).integers(0, 256, (11, *SPEC.shape), np.uint8)
    assert np.array_equal(extractor(images), np.concatenate([extractor(image[None]) for image in images]))


def test_images_are_computed_in_the_threads_that_decode_them_in_their_order(shapes: Path, monkeypatch) -> None:
    names: set[str] = set()
    call = FeatureExtractor.__call__

    def recorded(extractor: FeatureExtractor, images: np.ndarray) -> np.ndarray:
        names.add(threading.current_thread().name)
        return call(extractor, images)

    monkeypatch.setattr(FeatureExtractor, "__call__", recorded)
    samples = [Sample(path, path.name, 0) for path in sorted(shapes.rglob("*.jpg"))]
    extractor = FeatureExtractor(colour_graph(SPEC), SPEC, threads=2)
    done: list[int] = []
    batches = list(feature_batches(extractor, samples, SPEC, lambda _, number, total, **__: done.append(number)))
    assert [len(batch) for batch in batches] == [8, 8, 8, 8, 4] and done == [8, 16, 24, 32, 36]
    assert names and all(name.startswith("topgraft-decode") for name in names)
    pixels = np.stack([decode_image(sample.path.read_bytes(), SPEC) for sample in samples])
    np.testing.assert_allclose(np.concatenate(batches), pixels.mean(axis=(1, 2)), rtol=1e-5)


def test_a_gpu_takes_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = FeatureExtractor(colour_graph(SPEC), SPEC)
    monkeypatch.setattr("model.features.extractor.takes_batches", lambda session: True)
    monkeypatch.setattr("model.features.extractor.run_each", lambda *_arguments: pytest.fail("one by one"))
    assert extractor(np.zeros((3, *SPEC.shape), np.uint8)).shape == (3, 3)


def test_a_pickled_extractor_gives_the_same_features_without_its_session(extractor: FeatureExtractor) -> None:
    images = np.full((2, *SPEC.shape), 7, np.uint8)
    before = extractor(images)
    pickled = pickle.dumps(extractor)
    assert len(pickled) < len(extractor.graph) + 1000
    copy = pickle.loads(pickled)
    assert (copy.graph, copy.spec, copy.threads) == (extractor.graph, SPEC, 1)
    assert np.array_equal(copy(images), before)


def test_decoding_and_features_need_no_keras_in_a_spawned_process(extractor: FeatureExtractor) -> None:
    content = encoded(random_image(3))
    expected = decode_image(content, SPEC)
    extractor(expected[None])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        arguments = (content, pickle.dumps(SPEC), pickle.dumps(extractor))
        pixels, features = pool.apply(decode_and_extract, arguments)
    assert np.array_equal(np.frombuffer(pixels, np.uint8).reshape(SPEC.shape), expected)
    np.testing.assert_array_equal(np.float32(features), extractor(expected[None])[0])
