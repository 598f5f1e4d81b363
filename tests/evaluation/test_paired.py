"""Paired comparison: a model is better only if the difference is significant over resampled images."""

import numpy as np
import pytest

from model.config import STOP_ON
from model.evaluation.metrics import evaluate_predictions
from model.evaluation.paired import compare_paired


def _answers(labels: np.ndarray, correct: int, classes: int = 3) -> np.ndarray:
    """Logits that are correct for the first images and name the next class for the others."""
    answers = np.where(np.arange(len(labels)) < correct, labels, (labels + 1) % classes)
    return 3.0 * np.eye(classes)[answers]


@pytest.mark.parametrize("metric", STOP_ON)
def test_many_more_correct_predictions_are_significantly_better(metric):
    labels = np.arange(200) % 3
    comparison = compare_paired(_answers(labels, 140), _answers(labels, 170), labels, np.ones(200), metric)
    assert comparison.is_better and comparison.wins == 1.0


@pytest.mark.parametrize("metric", STOP_ON)
def test_one_more_correct_prediction_is_not_significantly_better(metric):
    labels = np.arange(200) % 3
    comparison = compare_paired(_answers(labels, 140), _answers(labels, 141), labels, np.ones(200), metric)
    # The image that makes the difference is drawn in 1 - 1/e of the resamples.
    assert comparison.wins == pytest.approx(0.63, abs=0.05) and not comparison.is_better


@pytest.mark.parametrize("metric", STOP_ON)
def test_equal_predictions_are_not_better(metric):
    labels = np.arange(50) % 3
    logits = np.random.default_rng(0).normal(size=(50, 3))
    assert compare_paired(logits, logits, labels, np.ones(50), metric).wins == 0


def test_with_few_images_nearly_all_must_favour_the_new_model():
    labels = np.arange(6) % 3
    some = compare_paired(_answers(labels, 4), _answers(labels, 6), labels, np.ones(6), "val_accuracy")
    most = compare_paired(_answers(labels, 2), _answers(labels, 6), labels, np.ones(6), "val_accuracy")
    assert not some.is_better and most.is_better


def test_compared_values_equal_the_metrics():
    rng = np.random.default_rng(0)
    labels, weights = rng.integers(0, 3, 80), rng.uniform(0.5, 1.5, 80)
    base, new = rng.normal(size=(2, 80, 3))
    probabilities = np.exp(new) / np.exp(new).sum(axis=1, keepdims=True)
    metrics = evaluate_predictions(probabilities, labels, ("a", "b", "c"))
    values = {metric: compare_paired(base, new, labels, weights, metric).new for metric in STOP_ON}
    loss = np.average(-np.log(probabilities[np.arange(80), labels]), weights=weights)
    expected = {"val_loss": loss, "val_accuracy": metrics["accuracy"], "val_macro_f1": metrics["macro_f1"]}
    assert values == pytest.approx(expected)


def test_a_comparison_is_deterministic_for_any_chunk_size(monkeypatch):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 60)
    base, new = rng.normal(size=(2, 60, 3))
    whole = compare_paired(base, new, labels, np.ones(60), "val_loss")
    monkeypatch.setattr("model.evaluation.paired._MAX_CHUNK", 1000)
    assert compare_paired(base, new, labels, np.ones(60), "val_loss") == whole


def test_logits_that_are_not_finite_are_never_better():
    labels = np.arange(20) % 3
    broken = np.full((20, 3), np.nan)
    assert compare_paired(_answers(labels, 2), broken, labels, np.ones(20), "val_loss").wins == 0
