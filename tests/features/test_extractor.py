"""The feature extractor: it can be sent to another process, and needs neither Keras nor TensorFlow."""

import multiprocessing
import pickle

import numpy as np
import pytest

from model.dataset.images import decode_image
from model.features.extractor import FeatureExtractor
from model.results import InputSpec
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
