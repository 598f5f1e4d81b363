"""Features in the span of the images: fewer numbers, the same heads."""

import dataclasses

import numpy as np
import pytest

from model.training.head import train_settled
from model.training.head_candidates import HeadOptions, LabelledFeatures
from model.training.span import in_span, span_features

SETTLED = HeadOptions(epochs=200, patience=10, batch_size=16, learning_rate=1.0, l2=0.01, seed=0)
LABELS = np.arange(24) % 3


def _images(views: int = 0) -> LabelledFeatures:
    centres = np.random.default_rng(0).normal(size=(3, 90))
    copies = [
        (3 + centres[LABELS] + np.random.default_rng(copy + 1).normal(size=(24, 90))).astype(np.float32)
        for copy in range(1 + views)
    ]
    return LabelledFeatures(copies[0], LABELS, np.ones(24, np.float32), tuple(copies[1:]))


def test_all_products_are_kept():
    features = _images().features
    fewer = span_features(features)
    assert fewer.shape == (24, 24)
    assert np.allclose(fewer @ fewer.T, features @ features.T, rtol=1e-5)


def test_more_images_than_features_are_unchanged():
    features = _images().features[:, :20]
    assert span_features(features) is features


def test_equal_images_and_zeros_are_finite():
    for features in (np.zeros((4, 9), np.float32), np.full((4, 9), 2.5, np.float32)):
        fewer = span_features(features)
        assert np.allclose(fewer @ fewer.T, features @ features.T, rtol=1e-5)


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("views", [0, 2])
def test_a_head_predicts_the_same_for_images_that_it_was_not_trained_on(views: int, whitened: bool):
    images = _images(views)
    options = dataclasses.replace(SETTLED, whitened=whitened)
    logits = []
    for given in (images, in_span(images)):
        train = LabelledFeatures(
            given.features[:18], LABELS[:18], given.weights[:18], tuple(v[:18] for v in given.views)
        )
        logits.append(train_settled(train, 3, options).logits(given.features[18:]))
    assert np.allclose(logits[0], logits[1], atol=2e-3)
