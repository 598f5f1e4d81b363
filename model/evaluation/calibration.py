"""Making a model's confidence mean what it says, from its answers on validation images."""

import math

import numpy as np

TEMPERATURE_RANGE = (0.25, 10.0)
TARGET_ACCURACY = 0.95
FEWEST_FOR_THRESHOLD = 20
FALLBACK_THRESHOLD = 0.5
FEWEST_OF_A_CLASS = 50
SHARE_WITHIN_DISTANCE = 0.99
_HALVINGS = 40


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that logits are divided by before softmax (Guo et al., 2017).

    It minimises the cross-entropy on validation images. As Platt (1999) does, the target of the true
    class is (n + 1) / (n + 2) instead of 1, the rest shared by the others: without that, a few images
    that are all answered right would ask for boundless confidence. On many images it changes nothing.

    Args:
        logits: float (n, classes), two classes or more, of images that the weights were not trained on.
        labels: int (n,), the true classes.

    Returns:
        A number within `TEMPERATURE_RANGE`; 1 where there are no images.

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
    doubt = 1 / (images + 2)
    wanted = (1 - doubt) * of_true_class + doubt * of_others

    def slope(sharpness: float) -> float:
        """Of the cross-entropy, by 1 / temperature, in which it is convex."""
        weights = np.exp(sharpness * (values - values.max(axis=1, keepdims=True)))
        expected = (weights * values).sum(axis=1) / weights.sum(axis=1)
        return float((expected - wanted).mean())

    low, high = 1 / TEMPERATURE_RANGE[1], 1 / TEMPERATURE_RANGE[0]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
    return 2 / (low + high)


def confidence_threshold(
    probabilities: np.ndarray, labels: np.ndarray, target_accuracy: float = TARGET_ACCURACY
) -> float:
    """The confidence below which an answer counts as unknown.

    As many validation answers as possible are accepted, the surest first, while the accepted ones are
    right in `target_accuracy` of the cases; the threshold is the lowest confidence accepted. So where all
    answers together are good enough, only what is less sure than all of them is unknown.

    Few answers tell little, so two things are taken from the probabilities themselves, which are
    calibrated: with fewer than 20 answers the threshold is 0.5, below which an answer is more likely
    wrong than right; and it is never above `target_accuracy`, where an answer is likely enough to be
    right by itself.

    Args:
        probabilities: float (n, classes) of validation images, calibrated.
        labels: int (n,), the true classes.
        target_accuracy: in (0, 1].

    Returns:
        A confidence in [0, 1].
    """
    if len(labels) < FEWEST_FOR_THRESHOLD:
        return FALLBACK_THRESHOLD
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    confidence = confidence[order]
    right = (probabilities.argmax(axis=1) == labels)[order]
    accuracy = np.cumsum(right) / np.arange(1, len(labels) + 1)
    # Equally sure answers are accepted or refused together.
    last_of_equals = np.append(confidence[1:] < confidence[:-1], True)
    good = np.flatnonzero(last_of_equals & (accuracy >= target_accuracy))
    return min(float(confidence[good[-1]]), target_accuracy) if len(good) else target_accuracy


def thresholds_by_class(
    probabilities: np.ndarray, labels: np.ndarray, target_accuracy: float = TARGET_ACCURACY
) -> dict[int, float]:
    """The confidence threshold of each class that was answered often enough, by its position.

    It is that of `confidence_threshold` for the validation images that were answered as this class, which are
    what a user sees under its name: a class that is often wrongly named must be surer of itself. Of a class
    named fewer than 50 times too little is known, and the common threshold holds.

    Args:
        probabilities, labels, target_accuracy: as for `confidence_threshold`.
    """
    answers = probabilities.argmax(axis=1)
    named, counts = np.unique(answers, return_counts=True)
    return {
        int(label): confidence_threshold(probabilities[answers == label], labels[answers == label], target_accuracy)
        for label, count in zip(named, counts, strict=True)
        if count >= FEWEST_OF_A_CLASS
    }


def distance_threshold(distances: np.ndarray, share: float = SHARE_WITHIN_DISTANCE) -> float:
    """The distance from all training images beyond which an image counts as unknown.

    A new image of the same kind is within it in `share` of the cases: it is the smallest of `distances` that
    as many are within, counted as for conformal prediction (Vovk et al., 2005), which for few images is the largest.

    Args:
        distances: (n,), of images that are not among the training images; n at least 1.
        share: in (0, 1].
    """
    ordered = np.sort(distances)
    place = math.ceil((len(ordered) + 1) * share) - 1
    return float(ordered[min(place, len(ordered) - 1)])
