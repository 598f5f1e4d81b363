"""The threshold for unknown images keeps its rate of false alarms, with few images too."""

import numpy as np
import pytest

from model.evaluation import unknown
from model.evaluation.unknown import (
    MIN_DISTANCES,
    describe_held_out,
    distance_threshold,
    is_extrapolated,
    out_of_fold_distances,
    reference_distances,
)
from model.serving.reference_features import build_reference_features


def _class_features(images: int, classes: int = 3, features: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of the same classes for every seed, each class around its own mean."""
    means = np.random.default_rng(7).gamma(2.0, size=(classes, features))
    labels = np.arange(images) % classes
    noise = np.random.default_rng(seed).gamma(2.0, size=(images, features))
    return (means[labels] * noise).astype(np.float32), labels


def _rate(images: int, draw, draws: int = 400) -> float:
    rng = np.random.default_rng(0)
    return float(np.mean([(draw(rng, 500) > distance_threshold(draw(rng, images))).mean() for _ in range(draws)]))


@pytest.mark.parametrize("images", [99, 150, 1000])
@pytest.mark.parametrize("shape", ["normal", "uniform", "exponential"])
def test_new_images_exceed_the_threshold_at_the_stated_rate_whatever_their_distribution(images, shape):
    assert 0.004 < _rate(images, lambda rng, count: getattr(rng, shape)(size=count)) <= 0.0125
    assert not is_extrapolated(images)


@pytest.mark.parametrize("images", [MIN_DISTANCES, 20, 98])
def test_with_few_images_the_rate_is_extrapolated_for_normally_distributed_distances(images):
    assert _rate(images, lambda rng, count: rng.normal(0.7, 0.08, count)) == pytest.approx(0.01, abs=0.004)
    assert is_extrapolated(images)


def test_fewer_than_ten_images_give_no_threshold():
    assert distance_threshold(np.linspace(0.5, 0.6, MIN_DISTANCES - 1)) is None
    assert distance_threshold(np.empty(0)) is None


def test_out_of_fold_distances_are_those_of_new_images():
    features, labels = _class_features(120)
    unseen = out_of_fold_distances(features, labels, np.arange(120))
    reference = build_reference_features(features, labels, [""] * 120)
    new = reference_distances(reference, _class_features(300, seed=1)[0])
    learned = reference_distances(reference, features)
    assert unseen.shape == (120,)
    assert np.median(unseen) == pytest.approx(np.median(new), rel=0.05)
    assert np.median(learned) < 0.95 * np.median(new)


def test_images_of_a_group_are_not_compared_with_each_other():
    features, labels = _class_features(60)
    twins, groups = np.repeat(features, 5, axis=0), np.repeat(np.arange(60), 5)
    apart = out_of_fold_distances(twins, np.repeat(labels, 5), groups)
    together = out_of_fold_distances(twins, np.repeat(labels, 5), np.arange(300))
    assert apart.min() > 0.05 and np.median(together) < 0.01


def test_images_of_one_group_have_no_out_of_fold_distances():
    features, labels = _class_features(12)
    assert np.isnan(out_of_fold_distances(features, labels, np.zeros(12, int))).all()


@pytest.mark.parametrize("images", [12, 1001])
def test_the_order_of_out_of_fold_distances_is_that_of_the_images(images):
    features, labels = _class_features(images)
    features[5] = 0
    features[5, 0] = 1
    distances = out_of_fold_distances(features, labels, np.arange(images))
    assert distances.argmax() == 5 and not np.isnan(distances).any()


def test_distances_are_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features = rng.gamma(2, 1, (300, 40)).astype(np.float32)
    reference = build_reference_features(features[:200], np.arange(200) % 4, [""] * 200)
    at_once = reference_distances(reference, features[200:]), describe_held_out(reference, features[200:])
    monkeypatch.setattr(unknown, "_MAX_DISTANCES", 50 * 200 + 1)
    in_blocks = reference_distances(reference, features[200:]), describe_held_out(reference, features[200:])
    for expected, found in zip(at_once, in_blocks, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert describe_held_out(reference, features[:0]).shape == (0, at_once[1].shape[1])
