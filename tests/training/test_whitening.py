"""Whitening within the classes: covariance, span and degenerate features."""

import numpy as np
import pytest

from model.training.whitening import can_whiten, whitening_map


def _centred(images: int, features: int, seed: int = 0) -> np.ndarray:
    spread = np.linspace(1, 10, features)
    values = (np.random.default_rng(seed).normal(size=(images, features)) * spread).astype(np.float32)
    return values - values.mean(axis=0)


def test_the_covariance_within_the_classes_becomes_nearly_one() -> None:
    centred, labels = _centred(4000, 8), np.arange(4000) % 4
    mapped = centred @ whitening_map(centred, labels)
    covariance = np.cov(mapped.T)
    assert 0.5 < np.diag(covariance).min() < np.diag(covariance).max() < 1.01
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.1


@pytest.mark.parametrize(("images", "features"), [(6, 40), (40, 6), (40, 40)])
def test_the_map_keeps_all_that_the_images_differ_in(images: int, features: int) -> None:
    centred, labels = _centred(images, features), np.arange(images) % 3
    mapped = centred @ whitening_map(centred, labels)
    back, *_ = np.linalg.lstsq(mapped, centred, rcond=None)
    assert np.allclose(mapped @ back, centred, atol=1e-2)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_equal_features_are_mapped_to_finite_ones(value: float) -> None:
    equal = np.full((6, 5), value, np.float32) - value
    assert np.isfinite(equal @ whitening_map(equal, np.arange(6) % 3)).all()


def test_single_images_of_a_class_keep_their_distances() -> None:
    centred = _centred(3, 10)
    mapped = centred @ whitening_map(centred, np.arange(3))
    assert np.allclose(np.linalg.norm(mapped, axis=1), np.linalg.norm(centred, axis=1), rtol=1e-3)


@pytest.mark.parametrize(("labels", "expected"), [([0, 0, 1, 1], True), ([0, 1, 2], False), ([0, 0, 0, 1, 2], False)])
def test_whitening_needs_two_images_of_each_class_on_average(labels: list[int], expected: bool) -> None:
    assert can_whiten(np.array(labels)) == expected
