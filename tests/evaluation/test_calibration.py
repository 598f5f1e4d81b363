"""Temperature scaling recovers known temperatures; the confidence threshold reaches its target accuracy."""

import numpy as np
import pytest
from scipy.special import softmax

from model.evaluation.calibration import (
    MIN_FOR_THRESHOLD,
    TEMPERATURE_RANGE,
    confidence_threshold,
    fit_temperature,
    thresholds_by_class,
)
from model.evaluation.metrics import expected_calibration_error


def _draw(images: int, classes: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is correct once they are divided by `temperature`, and labels drawn accordingly."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, classes))
    thresholds = softmax(logits, axis=-1).cumsum(axis=1)
    labels = (rng.random((images, 1)) > thresholds).sum(axis=1).clip(max=classes - 1)
    return logits * temperature, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_scaling_recovers_a_known_temperature(temperature: float) -> None:
    logits, labels = _draw(20_000, 6, temperature)
    fitted = fit_temperature(logits, labels)
    assert fitted == pytest.approx(temperature, rel=0.05)
    assert expected_calibration_error(softmax(logits / fitted, axis=-1), labels) < 0.02


def test_the_temperature_minimises_the_cross_entropy() -> None:
    logits, labels = _draw(5000, 4, 3.0)
    fitted = fit_temperature(logits, labels)

    def loss(temperature: float) -> float:
        return float(-np.log(softmax(logits / temperature, axis=-1)[np.arange(5000), labels]).mean())

    assert loss(fitted) <= min(loss(fitted * 0.9), loss(fitted * 1.1), loss(1.0))


@pytest.mark.parametrize("images", [1, 3, 15])
def test_a_few_correct_predictions_do_not_give_a_confident_temperature(images: int) -> None:
    labels = np.arange(images) % 3
    probabilities = softmax(np.eye(3)[labels] / fit_temperature(np.eye(3)[labels], labels), axis=-1)
    assert TEMPERATURE_RANGE[0] <= fit_temperature(np.eye(3)[labels], labels) <= TEMPERATURE_RANGE[1]
    at_temperature_one = softmax(np.eye(3), axis=-1).max()
    assert at_temperature_one < probabilities.max() < (images + 1) / (images + 2)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_the_fewer_the_images_the_nearer_to_one_is_the_temperature(temperature: float) -> None:
    fitted = [
        np.log([fit_temperature(*_draw(images, 6, temperature, seed)) for seed in range(20)]).mean()
        for images in (4, 40, 4000)
    ]
    distances = np.abs(fitted)
    assert distances[0] < distances[1] / 1.5 and distances[1] < distances[2]
    assert distances[2] == pytest.approx(abs(np.log(temperature)), rel=0.05)


def test_the_temperature_stays_in_its_range() -> None:
    labels = np.zeros(20_000, int)
    always_incorrect = np.tile([0.0, 5.0], (20_000, 1))
    always_correct = np.tile([0.1, 0.0], (20_000, 1))
    assert fit_temperature(always_incorrect, labels) == pytest.approx(TEMPERATURE_RANGE[1])
    assert fit_temperature(always_correct, labels) == pytest.approx(TEMPERATURE_RANGE[0])
    assert fit_temperature(np.full((20_000, 2), 1e30), labels) > 0


def test_without_images_the_temperature_is_one() -> None:
    assert fit_temperature(np.empty((0, 3)), np.empty(0, int)) == 1.0


def test_logits_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="received NaN or infinity"):
        fit_temperature(np.array([[np.nan, 0.0]]), np.array([0]))


def _binary(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([confidence, 1 - confidence], axis=1), np.where(right, 0, 1)


def test_the_threshold_reaches_the_target_accuracy_of_accepted_predictions() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 2000)
    probabilities, labels = _binary(confidence, rng.random(2000) < confidence)
    threshold = confidence_threshold(probabilities, labels, 0.9)
    accepted = confidence >= threshold
    assert (labels[accepted] == 0).mean() >= 0.9
    assert threshold == pytest.approx(0.8, abs=0.05)


def test_all_predictions_are_accepted_if_their_accuracy_reaches_the_target() -> None:
    probabilities, labels = _binary(np.linspace(0.6, 0.99, 50), np.full(50, True))
    assert confidence_threshold(probabilities, labels) == pytest.approx(0.6)


def test_a_threshold_above_the_target_accuracy_is_lowered_to_it_if_that_keeps_the_target() -> None:
    assert confidence_threshold(*_binary(np.full(50, 0.999), np.full(50, True))) == 0.95
    confidence = np.repeat([0.999, 0.97], [40, 20])
    assert confidence_threshold(*_binary(confidence, confidence > 0.98)) == pytest.approx(0.999)


@pytest.mark.parametrize("correct", [0.0, 0.9])
def test_there_is_no_threshold_if_the_target_cannot_be_reached(correct: float) -> None:
    right = np.arange(100) % 10 < 10 * correct
    assert confidence_threshold(*_binary(np.full(100, 0.999), right)) is None


def test_a_target_reached_by_fewer_than_20_predictions_is_not_reached() -> None:
    confidence = np.repeat([0.9, 0.6], [MIN_FOR_THRESHOLD - 1, 40])
    assert confidence_threshold(*_binary(confidence, confidence > 0.8)) is None
    confidence = np.repeat([0.9, 0.6], [MIN_FOR_THRESHOLD, 40])
    assert confidence_threshold(*_binary(confidence, confidence > 0.8)) == pytest.approx(0.9)


def test_equally_confident_predictions_are_treated_alike() -> None:
    confidence = np.array([0.9] * 20 + [0.6] * 20)
    right = np.array([True] * 20 + [True] * 2 + [False] * 18)
    assert confidence_threshold(*_binary(confidence, right)) == pytest.approx(0.9)


@pytest.mark.parametrize("images", [0, 1, MIN_FOR_THRESHOLD - 1])
def test_there_is_no_threshold_from_few_predictions(images: int) -> None:
    assert confidence_threshold(*_binary(np.full(images, 0.99), np.full(images, True))) is None


def test_a_class_with_many_false_positives_has_a_higher_threshold():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1.0, 300)
    named, labels = np.repeat([0, 1, 2], [150, 120, 30]), np.repeat([0, 1, 2], [150, 120, 30])
    labels[150:] = np.where(confidence[150:] < 0.8, 0, labels[150:])
    probabilities = np.full((300, 3), 0.0)
    probabilities[np.arange(300), named] = confidence
    thresholds = thresholds_by_class(probabilities, labels, 0.9)
    assert set(thresholds) == {0, 1}
    assert thresholds[0] == pytest.approx(confidence[:150].min()) and 0.7 < thresholds[1] <= 0.9
    accepted = (named == 1) & (confidence >= thresholds[1])
    assert (labels == named)[accepted].mean() >= 0.9


def test_a_class_whose_predictions_never_reach_the_target_gets_the_target_as_its_threshold():
    probabilities = np.tile([0.2, 0.8], (60, 1))
    assert thresholds_by_class(probabilities, np.zeros(60, int), 0.9) == {1: 0.9}
