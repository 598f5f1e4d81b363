"""Whether more photos would help: gains with intervals, and the classes to collect."""

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from model.dataset.training_data import TrainingData
from model.evaluation.learning_curve import LearningCurve, advice, collect_advice
from model.results import Sample
from model.training.cross_validation import settled_out_of_fold
from model.training.head import train_head
from model.training.head_candidates import Head, HeadOptions, LabelledFeatures
from model.training.learning_sizes import measure_learning_curve
from tests.evaluation.study_photos import photo_features

OPTIONS = HeadOptions(epochs=20, patience=5, batch_size=32, learning_rate=0.5, l2=1e-3, seed=0)


def _curve(half: dict[str, float], whole: dict[str, float], images: int = 100) -> LearningCurve:
    names = tuple(half)
    labels = np.repeat(np.arange(len(names)), images)
    rows = [
        np.concatenate([np.arange(images) < recalls[name] * images for name in names]).astype(float)
        for recalls in (half, half, half, whole)
    ]
    return LearningCurve(names, (25, 50, 100, 200), labels, np.array(rows), "test photos")


def test_the_classes_that_gain_are_collected_first() -> None:
    half = {"yield": 0.6, "stop": 1.0, "priority_road": 0.5, "danger": 0.7}
    whole = {"yield": 0.75, "stop": 1.0, "priority_road": 0.8, "danger": 0.7}
    curve = _curve(half, whole)
    assert [row.name for row in curve.class_gains][:2] == ["priority_road", "yield"]
    sentences = advice(curve)
    assert sentences[0].startswith("From 100 to 200 training photos, the accuracy changed by +11.2 points")
    assert sentences[1] == (
        "Collect more photos of priority_road and yield first: their recall still rose with more photos."
    )
    assert "danger and stop gained little from more photos: less than 5 points of recall." in sentences
    assert sentences[-1].startswith("Check the labels of danger")


def test_a_gain_on_few_photos_is_qualified() -> None:
    names = [f"c{number}" for number in range(9)]
    sentence = collect_advice(_curve(dict.fromkeys(names, 0.2), dict.fromkeys(names, 0.8), images=5))
    assert sentence.startswith("Collect more photos of c0, c1 and c2 first:")
    assert sentence.endswith("though for each class by itself the photos measured are too few to exclude chance.")
    # One photo of five: no class is named, though all of them gained.
    one = collect_advice(_curve(dict.fromkeys(names, 0.6), dict.fromkeys(names, 0.8), images=5))
    assert one.startswith("Collect more photos of all classes:")


@pytest.mark.parametrize("images", [5, 12, 30])
def test_nothing_is_advised_that_chance_explains(images: int) -> None:
    # No photo changed, or one: neither a gain, nor that more photos are of no use.
    for whole in (0.6, 0.6 + 1 / images, 0.6 - 1 / images):
        curve = _curve({"a": 0.6, "b": 0.6}, {"a": whole, "b": 0.6}, images)
        text = " ".join(advice(curve))
        assert not any(word in text for word in ("Collect", "gained", "Check the labels"))
        assert all(row.gain_interval[0] < 0 < row.gain_interval[1] for row in curve.class_gains)
    # The interval is wider in cross-validation.
    folds = dataclasses.replace(curve, folds=5)
    assert folds.gain(1)[1][1] > curve.gain(1)[1][1] > 0


@pytest.mark.parametrize(
    ("gains", "doubt"),
    [
        ({"a": 0.3, "b": 0.1, "c": 0.2}, ", though for b the photos measured are too few to exclude chance."),
        ({"a": 0.3, "b": 0.1, "c": 0.1}, ", though for b and c the photos measured are too few to exclude chance."),
        ({"a": 0.3, "b": 0.02, "c": 0.02}, "Collect more photos of a first: its recall still rose with more photos."),
        ({"a": 0.3, "b": 0.2, "c": 0.2}, "first: their recall still rose with more photos."),
        ({"a": 0.3, "b": 0.0, "c": 0.0}, "Collect more photos of a first: its recall still rose with more photos."),
    ],
)
def test_only_classes_whose_own_gain_may_be_chance_are_doubted(gains: dict[str, float], doubt: str) -> None:
    half = dict.fromkeys(gains, 0.5)
    curve = _curve(half, {name: 0.5 + gain for name, gain in gains.items()}, images=50)
    assert collect_advice(curve).endswith(doubt)
    rows = {row.name: row.is_beyond_chance for row in curve.class_gains}
    assert rows == {name: gain > 0.1 for name, gain in gains.items()}


def test_three_photos_of_five_are_no_gain_beyond_chance() -> None:
    # The bootstrap excludes 0; a sign test of three photos does not.
    few = _curve({"a": 0.2}, {"a": 0.8}, images=5)
    assert few.gain()[1][0] > 0 and not few.class_gains[0].is_beyond_chance
    assert collect_advice(few).startswith("No class can be named")
    half, whole = (np.concatenate([np.arange(5) < few, np.arange(50) < many]) for few, many in ((1, 25), (4, 40)))
    correct = np.array([half, half, half, whole], float)
    curve = LearningCurve(("a", "b"), (1, 2, 4, 8), np.repeat([0, 1], [5, 50]), correct, "test photos")
    assert {row.name: row.is_beyond_chance for row in curve.class_gains} == {"a": False, "b": True}
    assert collect_advice(curve).endswith("though for a the photos measured are too few to exclude chance.")


def test_gains_of_several_classes_are_corrected_for_their_number() -> None:
    half, whole = dict.fromkeys("abcdef", 0.5), dict.fromkeys("abcdef", 0.5) | {"a": 0.8}
    # Six of 20 photos: p is 0.03, and 0.19 for the best of six classes.
    assert not _curve(half, whole, images=20).class_gains[0].is_beyond_chance
    assert _curve({"a": 0.5}, {"a": 0.8}, images=20).class_gains[0].is_beyond_chance


def test_no_class_is_named_for_a_gain_that_may_be_chance() -> None:
    curve = _curve({"a": 0.6, "b": 0.8}, {"a": 0.8, "b": 0.6}, images=5)
    assert "No class can be named" in " ".join(advice(curve)) and "Collect" not in " ".join(advice(curve))
    assert collect_advice(curve).startswith("No class can be named")


def test_accuracy_and_gain_are_those_of_the_photos() -> None:
    curve = _curve({"a": 0.5, "b": 0.9}, {"a": 0.7, "b": 0.9}, images=50)
    assert [round(value, 3) for value, _ in curve.accuracy()] == [0.7, 0.7, 0.7, 0.8]
    gain, (low, high) = curve.gain(0)
    assert gain == pytest.approx(0.2) and 0.08 < low < 0.12 and 0.28 < high < 0.33


def test_the_gain_of_many_photos_takes_little_memory() -> None:
    curve = _curve({"a": 0.5}, {"a": 0.7}, images=100_000)
    tracemalloc.start()
    gain, (low, high) = curve.gain()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert gain == pytest.approx(0.2)
    # A fifth of the photos gained: the standard error is that of a fraction.
    assert (low, high) == pytest.approx((0.2 - 0.0025, 0.2 + 0.0025), abs=3e-4)
    assert peak < 20_000_000


def _data(images: int, held_out: int) -> tuple[TrainingData, np.ndarray, Head]:
    photos = photo_features(images)
    rows = np.arange(images)
    splits = {"train": rows[held_out:], "val": rows[: held_out // 2], "test": rows[held_out // 2 : held_out]}
    names = tuple(sample.name for sample in photos.samples)
    source = tuple(Sample(Path(), name, label) for name, label in zip(names, photos.labels.tolist(), strict=True))
    data = TrainingData(photos.classes, names, photos.labels, rows, {}, splits, source)
    train = LabelledFeatures(
        photos.features[splits["train"]], photos.labels[splits["train"]], np.ones(images - held_out)
    )
    return data, photos.features, train_head(train, train, 3, OPTIONS)


def test_heads_are_measured_on_photos_that_none_was_trained_on() -> None:
    data, features, head = _data(200, held_out=80)
    curve = measure_learning_curve(data, features, head, OPTIONS, None)
    assert curve is not None and curve.photos == (15, 30, 60, 120)
    assert len(curve.labels) == 80 and curve.measured_on == "validation and test photos"
    assert curve.correct.shape == (4, 80) and curve.accuracy()[-1][0] > 0.8


def test_few_photos_are_measured_by_folds() -> None:
    data, features, head = _data(80, held_out=10)
    train = data.select(data.rows("train"))
    images = LabelledFeatures(features[data.rows("train")], train.labels, np.ones(70))
    out_of_fold = settled_out_of_fold(train, images, head, OPTIONS, 0)
    curve = measure_learning_curve(data, features, head, OPTIONS, out_of_fold)
    assert curve is not None and curve.photos == (7, 14, 28, 56) and curve.folds == 5
    assert len(curve.labels) == 70
    assert measure_learning_curve(data, features, head, OPTIONS, None) is None


def test_it_is_off_under_thirty_photos() -> None:
    data, features, head = _data(99, held_out=70)
    assert measure_learning_curve(data, features, head, OPTIONS, None) is None
