"""Metrics against values computed by hand and by scikit-learn; confidence intervals against simulation."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from model.errors import DatasetError
from model.evaluation.metrics import (
    ClassCounts,
    balanced_accuracy,
    bootstrap_interval,
    calibration_error,
    calibration_error_interval,
    confusion_matrix,
    cross_entropies,
    evaluate_predictions,
    expected_calibration_error,
    is_in_top,
    macro_f1,
    reliability,
)
from model.evaluation.resampling import resample
from model.measurements import effective_fraction, wilson_interval

INTERVALS = ("accuracy", "top5_accuracy", "macro_f1", "balanced_accuracy")


def _answers(labels: list[int], predicted: list[int], classes: int, confidence: float = 0.7) -> tuple:
    probabilities = np.full((len(labels), classes), (1 - confidence) / (classes - 1))
    probabilities[np.arange(len(labels)), predicted] = confidence
    return probabilities, np.array(labels), tuple(f"class {index}" for index in range(classes))


def test_metrics_match_values_computed_by_hand() -> None:
    # a: 3 images, 2 correct. b: 2 images, 1 correct. c: no images, predicted once. d: neither.
    metrics = evaluate_predictions(*_answers([0, 0, 0, 1, 1], [0, 0, 1, 1, 2], classes=4))
    assert metrics["images"] == 5
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["top5_accuracy"] == 1
    assert metrics["confusion_matrix"] == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    f1 = [2 * 2 / (3 + 2), 2 * 1 / (2 + 2), 0.0, 0.0]
    rows = metrics["per_class"]
    assert [(row["class"], row["support"], row["predicted"]) for row in rows] == [
        ("class 0", 3, 2),
        ("class 1", 2, 2),
        ("class 2", 0, 1),
        ("class 3", 0, 0),
    ]
    assert [row["precision"] for row in rows] == [1, 0.5, 0, 0]
    assert [row["recall"] for row in rows] == pytest.approx([2 / 3, 1 / 2, 0, 0])
    assert [row["f1"] for row in rows] == pytest.approx(f1)
    assert rows[0]["precision_interval"] == list(wilson_interval(2, 2))
    assert rows[0]["recall_interval"] == list(wilson_interval(2, 3))
    assert rows[0]["f1_interval"] == list(wilson_interval(2, 2.5))
    assert rows[2]["recall_interval"] is None and rows[3]["f1_interval"] is None
    assert metrics["macro_f1"] == pytest.approx(sum(f1) / 3)
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics["expected_calibration_error"] == pytest.approx(0.7 - 0.6)


@given(st.integers(2, 7), st.integers(1, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_metrics_agree_with_scikit_learn(classes: int, images: int, seed: int) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), images)
    labels = rng.integers(0, classes, images)
    predicted = probabilities.argmax(axis=1)
    metrics = evaluate_predictions(probabilities, labels, [str(index) for index in range(classes)])
    f1 = sklearn_metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    recalls = sklearn_metrics.recall_score(labels, predicted, average=None, labels=np.unique(labels), zero_division=0)
    precisions = sklearn_metrics.precision_score(
        labels, predicted, average=None, labels=range(classes), zero_division=0
    )
    matrix = sklearn_metrics.confusion_matrix(labels, predicted, labels=range(classes))
    assert metrics["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted))
    assert metrics["macro_f1"] == pytest.approx(f1)
    assert metrics["balanced_accuracy"] == pytest.approx(recalls.mean())
    assert [row["precision"] for row in metrics["per_class"]] == pytest.approx(precisions.tolist())
    assert metrics["confusion_matrix"] == matrix.tolist()
    for name in INTERVALS:
        low, high = metrics[f"{name}_interval"]
        assert 0 <= low <= metrics[name] <= high <= 1
    assert json.loads(json.dumps(metrics)) == metrics


def test_top_5_counts_the_true_class_among_five() -> None:
    probabilities = np.tile(np.arange(8, 0, -1) / 36, (8, 1))
    assert is_in_top(probabilities, np.arange(8), 5).tolist() == [True] * 5 + [False] * 3
    metrics = evaluate_predictions(probabilities, np.arange(8), [str(index) for index in range(8)])
    assert metrics["top5_accuracy"] == 5 / 8
    assert metrics["accuracy"] == 1 / 8


def test_equal_probabilities_rank_by_class_order() -> None:
    probabilities = np.full((3, 3), 1 / 3)
    assert is_in_top(probabilities, np.arange(3), 1).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    # Newcombe (1998), table I, method 3.
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_interval_has_its_published_values(successes: int, trials: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(successes, trials) == pytest.approx(expected, abs=6e-5)
    low, high = wilson_interval(trials - successes, trials)
    assert (1 - high, 1 - low) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 7), (7, 7), (950, 1000)])
def test_wilson_interval_of_whole_numbers_is_that_of_scipy(successes: int, trials: int) -> None:
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((interval.low, interval.high), abs=1e-7)


def test_intervals_match_the_recorded_values() -> None:
    matrix = np.array([[5, 2, 2], [1, 7, 3], [4, 2, 9]])
    assert bootstrap_interval(matrix, macro_f1) == pytest.approx((0.41467264814039007, 0.7458441619950571), abs=1e-12)
    wide = bootstrap_interval(matrix, balanced_accuracy, folds=5)
    assert wide == pytest.approx((0.32894484056248763, 0.8587431917211328), abs=1e-12)


def test_a_resample_has_as_many_images_drawn_with_replacement() -> None:
    counts = resample(np.ones(50, int), seed=0, resamples=200)
    assert counts.shape == (200, 50) and (counts.sum(axis=1) == 50).all()
    # An image is missing from (1 - 1/n)^n of the resamples, about 1/e.
    assert (counts == 0).mean() == pytest.approx(0.98**50, abs=0.02)
    assert (resample(np.array([0, 3, 1]), seed=0)[:, 0] == 0).all()


def test_cross_entropies_are_those_of_the_probabilities() -> None:
    logits = np.array([[0.0, 1.0], [1000.0, 0.0]])
    assert cross_entropies(logits, np.array([1, 0])) == pytest.approx([np.log(1 + np.exp(-1)), 0.0])


def test_bootstrap_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(1)
    recalls = np.array([0.9, 0.6, 0.75])
    covered = 0
    for trial in range(100):
        labels = np.repeat(np.arange(3), 40)
        right = rng.random(120) < recalls[labels]
        matrix = confusion_matrix(labels, np.where(right, labels, (labels + 1) % 3), 3)
        low, high = bootstrap_interval(matrix, balanced_accuracy, seed=trial)
        covered += low <= recalls.mean() <= high
        assert 0.05 < high - low < 0.3
    assert covered >= 88


def test_bootstrap_is_deterministic() -> None:
    matrix = np.array([[5, 2], [1, 7]])
    assert bootstrap_interval(matrix, macro_f1) == bootstrap_interval(matrix, macro_f1)
    assert bootstrap_interval(matrix, macro_f1) != bootstrap_interval(matrix, macro_f1, seed=1)


def test_a_faultless_small_test_does_not_claim_certainty() -> None:
    metrics = evaluate_predictions(*_answers([0, 1, 1], [0, 1, 1], classes=2))
    assert metrics["macro_f1"] == 1
    assert metrics["macro_f1_interval"] == metrics["accuracy_interval"] == [pytest.approx(0.4385, abs=1e-3), 1.0]


def test_metrics_of_several_confusion_matrices_are_vectorised() -> None:
    hits = np.array([[2, 1], [0, 0]])
    counts = ClassCounts(hits, support=np.array([[2, 2], [1, 0]]), predicted=np.array([[3, 1], [0, 1]]))
    assert balanced_accuracy(counts) == pytest.approx([(1 + 0.5) / 2, 0])
    assert macro_f1(counts) == pytest.approx([(4 / 5 + 2 / 3) / 2, 0])


def test_reliability_bins_predictions_by_confidence() -> None:
    probabilities = np.array([[0.55, 0.45], [0.6, 0.4], [0.62, 0.38], [1.0, 0.0]])
    groups = reliability(probabilities, np.array([0, 1, 0, 0]), bins=5)
    assert [(group.low, group.high, group.images) for group in groups] == [(0.4, 0.6, 2), (0.6, 0.8, 1), (0.8, 1.0, 1)]
    assert [group.accuracy for group in groups] == [0.5, 1, 1]
    assert groups[0].confidence == pytest.approx(0.575)
    error = expected_calibration_error(probabilities, np.array([0, 1, 0, 0]), bins=5)
    assert error == pytest.approx((2 * 0.075 + 0.38 + 0) / 4)


def _drawn(images: int, temperature: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three classes, too confident for a temperature below 1, and labels drawn by the right ones."""
    logits = 2 * rng.normal(size=(images, 3))
    right = softmax(logits, axis=1)
    return softmax(logits / temperature, axis=1), (right.cumsum(axis=1) > rng.random((images, 1))).argmax(axis=1)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_chance_adds_little_to_the_corrected_calibration_error(temperature: float) -> None:
    rng = np.random.default_rng(0)
    true = expected_calibration_error(*_drawn(200_000, temperature, rng))
    drawn = [_drawn(60, temperature, rng) for _ in range(60)]
    corrected = np.mean([calibration_error(*each) for each in drawn])
    plain = np.mean([expected_calibration_error(*each) for each in drawn])
    assert abs(corrected - true) < 0.6 * (plain - true)
    assert all(calibration_error(*each) <= expected_calibration_error(*each) for each in drawn)
    assert calibration_error(*_drawn(200_000, 0.6, rng)) == pytest.approx(
        expected_calibration_error(*_drawn(200_000, 0.6, rng)), rel=0.05
    )


def test_the_interval_of_the_calibration_error_contains_that_of_the_model() -> None:
    rng = np.random.default_rng(0)
    error = expected_calibration_error(*_drawn(100_000, 0.6, rng))
    intervals = [calibration_error_interval(*_drawn(200, 0.6, rng)) for _ in range(40)]
    assert sum(low <= error <= high for low, high in intervals) >= 32
    narrow, wide = (calibration_error_interval(*_drawn(images, 0.6, rng)) for images in (4000, 100))
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 3


@pytest.mark.parametrize("images", [1, 5, 40])
@pytest.mark.parametrize("label", [0, 1])
def test_equal_predictions_make_no_calibration_error_certain(images: int, label: int) -> None:
    probabilities = np.tile(np.array([[0.9, 0.1]]), (images, 1))
    low, high = calibration_error_interval(probabilities, np.full(images, label))
    plain = expected_calibration_error(probabilities, np.full(images, label))
    assert 0 <= low <= calibration_error(probabilities, np.full(images, label)) <= plain <= high <= 1
    assert high - low > 0.05


def test_the_interval_of_the_calibration_error_is_repeatable_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = _drawn(300, 0.6, np.random.default_rng(1))
    first = calibration_error_interval(*drawn)
    monkeypatch.setattr("model.evaluation.metrics._MAX_CELLS", 5000)
    assert calibration_error_interval(*drawn) == pytest.approx(first)
    wider = calibration_error_interval(*drawn, folds=5)
    assert wider[1] - wider[0] > first[1] - first[0]


def test_a_thousand_classes_are_quick_enough() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random((3000, 1000), np.float32)
    metrics = evaluate_predictions(probabilities, rng.integers(0, 1000, 3000), [str(index) for index in range(1000)])
    assert metrics["images"] == 3000


def test_wrong_shapes_and_labels_are_named() -> None:
    probabilities, labels, classes = _answers([0, 1], [0, 1], classes=2)
    with pytest.raises(DatasetError, match="at least one labelled image"):
        evaluate_predictions(probabilities[:0], labels[:0], classes)
    with pytest.raises(ValueError, match=r"expected shape \(2, 3\).*received \(2, 2\)"):
        evaluate_predictions(probabilities, labels, ("a", "b", "c"))
    with pytest.raises(ValueError, match="expected 0 to 1, received 0 to 2"):
        evaluate_predictions(probabilities, labels * 2, classes)


def test_intervals_of_cross_validation_are_wider_around_the_same_numbers() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    probabilities = rng.dirichlet((1, 1, 1), 60) + 0.3 * np.eye(3)[labels]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    independent, folded = (evaluate_predictions(probabilities, labels, ("a", "b", "c"), folds) for folds in (0, 10))
    for name in ("accuracy", "macro_f1", "balanced_accuracy"):
        assert folded[name] == independent[name] < 1
        (low, high), (wide_low, wide_high) = independent[f"{name}_interval"], folded[f"{name}_interval"]
        assert 0 <= wide_low < low < folded[name] < high < wide_high <= 1
        assert 1.2 < (wide_high - wide_low) / (high - low) < 1.5


def test_cross_validated_images_count_about_half_in_intervals() -> None:
    assert [effective_fraction(folds) for folds in (0, 1)] == [1.0, 1.0]
    assert effective_fraction(2) == pytest.approx(1 / 3) and effective_fraction(10) == pytest.approx(9 / 19)
