"""Calibration: temperature scaling, and the confidence below which a prediction is uncertain."""

import math

import numpy as np
from scipy.special import softmax

TEMPERATURE_RANGE = (0.25, 10.0)
TARGET_ACCURACY = 0.95
MIN_FOR_THRESHOLD = 20
MIN_PER_CLASS = 50
# Standard deviation of log T among models whose temperature is known: of few photos, the prior decides.
_SPREAD = 0.2
_BISECTIONS = 40


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Temperature by which logits are divided before softmax (Guo et al., 2017).

    It minimises the cross-entropy on validation images, with a normal prior on its logarithm around 0, so that a
    temperature far from 1 needs many images. As in Platt (1999), the target of the true class is (n + 1) / (n + 2)
    instead of 1, and the other classes share the rest: otherwise a few images, all predicted correctly, would ask for
    more confidence than their number supports. For many images neither makes a difference.

    Args:
        logits: float (n, classes), two classes or more, of images that the weights were not trained on.
        labels: int (n,), the true classes.

    Returns:
        A number within `TEMPERATURE_RANGE`; 1 if there are no images.

    Raises:
        ValueError: a logit is not finite.
    """
    if len(labels) == 0:
        return 1.0
    if not np.isfinite(logits).all():
        raise ValueError("logits: expected finite numbers, received NaN or infinity.")
    values = logits.astype(np.float64)
    images, classes = values.shape
    of_true_class = values[np.arange(images), labels]
    of_others = (values.sum(axis=1) - of_true_class) / (classes - 1)
    smoothing = 1 / (images + 2)
    target = (1 - smoothing) * of_true_class + smoothing * of_others

    def slope(sharpness: float) -> float:
        """Derivative by 1 / temperature of the cross-entropy, which is convex in it, and of the prior."""
        expected = (softmax(sharpness * values, axis=1) * values).sum(axis=1)
        return float((expected - target).mean() + math.log(sharpness) / (sharpness * images * _SPREAD**2))

    low, high = 1 / TEMPERATURE_RANGE[1], 1 / TEMPERATURE_RANGE[0]
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
    return 2 / (low + high)


def confidence_threshold(
    probabilities: np.ndarray, labels: np.ndarray, target_accuracy: float = TARGET_ACCURACY
) -> float | None:
    """Confidence below which a prediction is marked as uncertain.

    The most confident predictions are accepted, as many as possible while the accuracy of the accepted ones is
    `target_accuracy`; the threshold is the lowest accepted confidence, or `target_accuracy` if that is lower and keeps
    the accuracy too: a prediction that confident meets the target by itself.

    Args:
        probabilities: float (n, classes), calibrated, of images that the weights were not trained on.
        labels: int (n,), the true classes.
        target_accuracy: in (0, 1].

    Returns:
        A confidence in [0, 1]. None if there are fewer than 20 images, or if no 20 most confident predictions or more
        reach the target: a threshold that so few predictions support would promise what it does not keep.
    """
    confidence = probabilities.max(axis=1) if len(labels) else np.empty(0)
    order = np.argsort(-confidence, kind="stable")
    confidence = confidence[order]
    correct = (probabilities.argmax(axis=1) == labels)[order] if len(labels) else np.empty(0, bool)
    accepted = np.arange(1, len(labels) + 1)
    accuracy = np.cumsum(correct) / accepted
    # Predictions of equal confidence are accepted or rejected together.
    last_of_equals = np.append(confidence[1:] < confidence[:-1], True)[: len(labels)]
    good = np.flatnonzero(last_of_equals & (accuracy >= target_accuracy) & (accepted >= MIN_FOR_THRESHOLD))
    if not len(good):
        return None
    lowest = float(confidence[good[-1]])
    keeps = correct[confidence >= min(lowest, target_accuracy)].mean() >= target_accuracy
    return min(lowest, target_accuracy) if keeps else lowest


def thresholds_by_class(
    probabilities: np.ndarray, labels: np.ndarray, target_accuracy: float = TARGET_ACCURACY
) -> dict[int, float]:
    """Confidence threshold of each class that was predicted often enough, by class index.

    It is the `confidence_threshold` of the images predicted as this class, so a class that is often predicted
    incorrectly gets a higher threshold; `target_accuracy` if none reaches the target. For a class predicted fewer than
    50 times there is no reliable estimate; the common threshold applies.

    Args:
        probabilities, labels, target_accuracy: as for `confidence_threshold`.
    """
    predicted = probabilities.argmax(axis=1)
    classes, counts = np.unique(predicted, return_counts=True)
    thresholds = {}
    for label, count in zip(classes.tolist(), counts.tolist(), strict=True):
        if count >= MIN_PER_CLASS:
            rows = predicted == label
            found = confidence_threshold(probabilities[rows], labels[rows], target_accuracy)
            thresholds[label] = target_accuracy if found is None else found
    return thresholds
