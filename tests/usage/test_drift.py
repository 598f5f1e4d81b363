"""Drift detection: false-alarm rate, detection rate, and no verdict with too few photos."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.bundle import FEATURE_SCALE
from model.evaluation.significance import holm
from model.evaluation.unknown import describe_held_out
from model.serving.reference_features import ReferenceFeatures, build_reference_features
from model.usage.drift import MIN_HELD_OUT, MIN_PHOTOS, SIGNIFICANCE_LEVEL, Drift, judge_drift
from model.usage.sample import MAX_ROWS, Sample

FEATURES = 200
CLASSES = 4
CHECKS = 150


def features(rng: np.random.Generator, count: int, mix: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)) -> np.ndarray:
    """Features of photos of some classes, as after a ReLU."""
    centres = np.random.default_rng(7).gamma(1.0, size=(CLASSES, FEATURES))
    labels = rng.choice(CLASSES, count, p=np.array(mix) / sum(mix))
    return np.maximum(centres[labels] + rng.normal(0, 0.4, (count, FEATURES)), 0).astype(np.float32)


@functools.cache
def model() -> ReferenceFeatures:
    """The stored reference features of photos."""
    rng = np.random.default_rng(0)
    learned = np.concatenate([features(rng, 25, tuple(np.eye(CLASSES)[label])) for label in range(CLASSES)])
    labels = np.repeat(np.arange(CLASSES), 25)
    return build_reference_features(learned, labels, [str(number) for number in range(100)])


def described(asked: np.ndarray) -> np.ndarray:
    """Photos as the model describes them."""
    parts = [asked[start : start + 1000] for start in range(0, len(asked), 1000)]
    return np.concatenate([describe_held_out(model(), part) for part in parts])


def compare(held_out: np.ndarray, asked: np.ndarray) -> Drift:
    """A drift check of described photos."""
    sample = Sample()
    for row in asked.tolist():
        sample.add(row)
    return judge_drift(np.round(held_out * FEATURE_SCALE).astype(int), sample.rows)


def check(rng: np.random.Generator, asked: np.ndarray, held_out: int = 60) -> Drift:
    """Compare photos with held-out ones."""
    return compare(described(features(rng, held_out)), described(asked))


def alarms(checks: int) -> float:
    """Fraction of checks that report drift for photos of the same kind, each with other held-out photos."""
    rng = np.random.default_rng(1)
    asked = described(features(rng, checks * 120)).reshape(checks, 120, -1)
    others = described(features(rng, checks * 60)).reshape(checks, 60, -1)
    seen = [compare(*pair).verdict for pair in zip(others, asked, strict=True)]
    assert set(seen) <= {"drift", "no drift seen"}
    return seen.count("drift") / checks


def test_photos_of_the_same_kind_raise_no_more_false_alarms_than_the_level_allows() -> None:
    # At a rate of SIGNIFICANCE_LEVEL, more than seven of 150 come about less than once in a thousand times.
    assert alarms(CHECKS) <= 7 / CHECKS
    assert SIGNIFICANCE_LEVEL == 0.01


def test_repeated_photos_would_cause_false_alarms_if_counted_each_time() -> None:
    """The sample of distinct photos prevents this; it also shows that the test above can fail."""
    rng = np.random.default_rng(1)
    held_out = np.round(described(features(rng, 60)) * FEATURE_SCALE).astype(int)
    alarmed = 0
    for _ in range(20):
        again = np.repeat(described(features(rng, 15)), 8, axis=0)
        rows = np.round(again * FEATURE_SCALE).astype(int).tolist()
        alarmed += judge_drift(held_out, list(map(tuple, rows))).verdict == "drift"
        assert compare(held_out / FEATURE_SCALE, again).verdict == "too few photos"
    assert alarmed >= 5


@pytest.mark.parametrize(
    ("change", "min_power"),
    [
        ("another kind of photos", 1.0),
        ("a brighter camera", 0.9),
        ("one class only", 0.95),
        ("noise", 1.0),
    ],
)
def test_photos_of_another_kind_are_detected(change: str, min_power: float) -> None:
    rng = np.random.default_rng(2)

    def changed() -> np.ndarray:
        if change == "another kind of photos":
            return rng.gamma(1.0, size=(MIN_PHOTOS, FEATURES)).astype(np.float32)
        if change == "a brighter camera":
            return features(rng, 200) + np.linspace(0, 0.5, FEATURES, dtype=np.float32)
        if change == "one class only":
            return features(rng, 200, (1, 0, 0, 0))
        return np.abs(rng.normal(size=(MIN_PHOTOS, FEATURES))).astype(np.float32)

    seen = [check(rng, changed()) for _ in range(20)]
    assert sum(drift.verdict == "drift" for drift in seen) / 20 >= min_power
    detected = seen[0]
    assert (
        detected.effect is not None
        and detected.effect > 0.2
        and detected.p_value is not None
        and detected.p_value < SIGNIFICANCE_LEVEL
    )
    assert "has changed" in detected.reason and f"effect {detected.effect:.2f}" in detected.reason


def test_more_photos_raise_the_significance_but_not_the_effect_size() -> None:
    rng = np.random.default_rng(3)
    mix = (3.0, 1.0, 1.0, 1.0)
    few, many = (check(rng, features(rng, count, mix), held_out=2000) for count in (60, MAX_ROWS))
    assert few.p_value is not None and many.p_value is not None and many.p_value < 1e-6 < few.p_value
    assert few.effect is not None and many.effect is not None and many.effect < 1.5 * few.effect


def test_too_few_photos_give_no_verdict() -> None:
    rng = np.random.default_rng(0)
    few = check(rng, features(rng, MIN_PHOTOS - 1))
    assert (few.verdict, few.p_value, few.photos) == ("too few photos", None, MIN_PHOTOS - 1)
    repeated = check(rng, np.repeat(features(rng, 3), 100, axis=0))
    assert (repeated.verdict, repeated.photos) == ("too few photos", 3)
    assert check(rng, features(rng, 100), held_out=MIN_HELD_OUT - 1).verdict == "not judged"
    assert "older version" in judge_drift(None, [(1, 2)]).reason
    assert check(rng, features(rng, MIN_PHOTOS), held_out=MIN_HELD_OUT).p_value is not None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_corrected_p_values_agree_with_the_holm_procedure(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for level in (0.01, 0.05, 0.5):
        rejected: set[int] = set()
        for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if (len(p_values) - rank) * p_values[place] >= level:
                break
            rejected.add(place)
        assert {place for place, value in enumerate(corrected) if value < level} == rejected
