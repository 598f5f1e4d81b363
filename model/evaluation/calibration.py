"""Calibration: temperature scaling, and the thresholds below or beyond which a prediction is marked as unknown."""

import math

import numpy as np
from scipy.special import softmax

TEMPERATURE_RANGE = (0.25, 10.0)
TARGET_ACCURACY = 0.95
MIN_FOR_THRESHOLD = 20
FALLBACK_THRESHOLD = 0.5
MIN_PER_CLASS = 50
FRACTION_WITHIN_DISTANCE = 0.99
_BISECTIONS = 40


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Temperature by which logits are divided before softmax (Guo et al., 2017).

    It minimises the cross-entropy on validation images. As in Platt (1999), the target of the true class is
    (n + 1) / (n + 2) instead of 1, and the other classes share the rest: otherwise a few images, all predicted
    correctly, would ask for infinite confidence. For many images this makes no difference.

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
        """Derivative of the cross-entropy by 1 / temperature, in which it is convex."""
        expected = (softmax(sharpness * values, axis=1) * values).sum(axis=1)
        return float((expected - target).mean())

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
) -> float:
    """Confidence below which a prediction is marked as unknown.

    The most confident validation predictions are accepted, as many as possible while the accuracy of the accepted
    ones is `target_accuracy`; the threshold is the lowest accepted confidence. If the accuracy of all predictions
    reaches the target, the threshold is the lowest confidence of all.

    For few images the estimate is unreliable, so the calibrated probabilities set two limits: with fewer than 20
    images the threshold is 0.5, below which a prediction is more likely incorrect than correct; and it never exceeds
    `target_accuracy`, at which a prediction meets the target by its own confidence.

    Args:
        probabilities: float (n, classes) of validation images, calibrated.
        labels: int (n,), the true classes.
        target_accuracy: in (0, 1].

    Returns:
        A confidence in [0, 1].
    """
    if len(labels) < MIN_FOR_THRESHOLD:
        return FALLBACK_THRESHOLD
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    confidence = confidence[order]
    correct = (probabilities.argmax(axis=1) == labels)[order]
    accuracy = np.cumsum(correct) / np.arange(1, len(labels) + 1)
    # Predictions of equal confidence are accepted or rejected together.
    last_of_equals = np.append(confidence[1:] < confidence[:-1], True)
    good = np.flatnonzero(last_of_equals & (accuracy >= target_accuracy))
    return min(float(confidence[good[-1]]), target_accuracy) if len(good) else target_accuracy


def thresholds_by_class(
    probabilities: np.ndarray, labels: np.ndarray, target_accuracy: float = TARGET_ACCURACY
) -> dict[int, float]:
    """Confidence threshold of each class that was predicted often enough, by class index.

    It is the `confidence_threshold` of the validation images predicted as this class, so a class that is often
    predicted incorrectly gets a higher threshold. For a class predicted fewer than 50 times there is no reliable
    estimate; the common threshold applies.

    Args:
        probabilities, labels, target_accuracy: as for `confidence_threshold`.
    """
    predicted = probabilities.argmax(axis=1)
    classes, counts = np.unique(predicted, return_counts=True)
    return {
        int(label): confidence_threshold(probabilities[predicted == label], labels[predicted == label], target_accuracy)
        for label, count in zip(classes, counts, strict=True)
        if count >= MIN_PER_CLASS
    }


def distance_threshold(distances: np.ndarray, fraction: float = FRACTION_WITHIN_DISTANCE) -> float:
    """Distance from the training images beyond which an image is out-of-distribution.

    A new image of the same distribution is within it with probability `fraction`: it is the quantile of conformal
    prediction (Vovk et al., 2005), which for few images is the largest distance.

    Args:
        distances: (n,), of images that are not among the training images; n at least 1.
        fraction: in (0, 1].
    """
    ordered = np.sort(distances)
    index = math.ceil((len(ordered) + 1) * fraction) - 1
    return float(ordered[min(index, len(ordered) - 1)])
