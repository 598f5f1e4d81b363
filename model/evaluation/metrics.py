"""What predictions on labelled images are worth, with 95 % intervals.

Probabilities are float arrays (n, classes) whose rows sum to 1, labels int arrays (n,) of class
indices. An answer is the most probable class; of equals, the first.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from model.errors import DatasetError

CALIBRATION_BINS = 15
TOP = 5
_RESAMPLES = 1000
# The 97.5th percentile of the normal distribution: two such sides leave 95 %.
_Z = 1.959964


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """The answers whose confidence is in (low, high]: how many, how sure on average, how many right."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


def evaluate_predictions(
    probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str], folds: int = 0
) -> dict[str, Any]:
    """All metrics of one set of predictions, as plain JSON types.

    Args:
        probabilities: float (n, classes).
        labels: int (n,), the true classes.
        classes: the names in label order.
        folds: how many, where the predictions are those of cross-validation: intervals are wider then.

    Returns:
        `images`: n.
        `accuracy`, `top5_accuracy`: shares in [0, 1]; top-5 is 1 where there are five classes or fewer.
        `macro_f1`: mean F1 of the classes that occur among labels or answers.
        `balanced_accuracy`: mean recall of the classes that occur among labels.
        `<metric>_interval`: [low, high] of each of these four; 95 %, by Wilson's score for shares and
        by bootstrap for means over classes, see `wilson_interval`, `bootstrap_interval` and `independent_share`.
        `expected_calibration_error`: see `expected_calibration_error`.
        `per_class`: for each class, in order: `class`, `precision`, `recall`, `f1`, `support`. A
        precision without answers, or a recall without images, is 0.
        `confusion_matrix`: counts; rows are true classes, columns answers.

    Raises:
        DatasetError: there are no images.
        ValueError: the shapes do not fit each other.
    """
    _check(probabilities, labels, classes)
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(classes))
    counts = _class_counts(matrix)
    images, right = len(labels), int(np.trace(matrix))
    among_top = int(is_among_top(probabilities, labels, TOP).sum())
    share = independent_share(folds)
    return {
        "images": images,
        "accuracy": right / images,
        "accuracy_interval": list(wilson_interval(right * share, images * share)),
        "top5_accuracy": among_top / images,
        "top5_accuracy_interval": list(wilson_interval(among_top * share, images * share)),
        "macro_f1": float(macro_f1(counts)),
        "macro_f1_interval": list(bootstrap_interval(matrix, macro_f1, share=share)),
        "balanced_accuracy": float(balanced_accuracy(counts)),
        "balanced_accuracy_interval": list(bootstrap_interval(matrix, balanced_accuracy, share=share)),
        "expected_calibration_error": expected_calibration_error(probabilities, labels),
        "per_class": _per_class(matrix, classes),
        "confusion_matrix": matrix.tolist(),
    }


def confusion_matrix(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 (classes, classes): rows are true classes, columns answers."""
    return np.bincount(labels * classes + answers, minlength=classes * classes).reshape(classes, classes)


def is_among_top(probabilities: np.ndarray, labels: np.ndarray, top: int) -> np.ndarray:
    """Whether the true class is among the `top` most probable: bool (n,). Of equals the first ranks higher."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return (best == labels[:, None]).any(axis=1)


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """Right answers, images and answers of each class: int (..., classes) each."""

    hits: np.ndarray
    images: np.ndarray
    answers: np.ndarray


def macro_f1(counts: ClassCounts) -> np.ndarray:
    """Mean F1 of the classes that occur among images or answers: float (...)."""
    occurrences = counts.images + counts.answers
    return _mean_of_present(_share(2 * counts.hits, occurrences), occurrences)


def balanced_accuracy(counts: ClassCounts) -> np.ndarray:
    """Mean recall of the classes that have images: float (...)."""
    return _mean_of_present(_share(counts.hits, counts.images), counts.images)


def independent_share(folds: int) -> float:
    """For how much of an image each one counts in an interval: 1, and about a half in cross-validation.

    The folds learn from largely the same images, so they err together. Nadeau and Bengio (2003) correct the variance
    of a mean over k folds from 1 / k to 1 / k + images tested / images trained on, which is 1 / k + 1 / (k - 1).

    Args:
        folds: k; fewer than 2 mean that there was no cross-validation.
    """
    return (folds - 1) / (2 * folds - 1) if folds > 1 else 1.0


def wilson_interval(successes: float, trials: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927): right also for few trials and for shares near 0 and 1."""
    share, spread = successes / trials, _Z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high


def bootstrap_interval(
    matrix: np.ndarray, metric: Callable[[ClassCounts], np.ndarray], seed: int = 0, share: float = 1.0
) -> tuple[float, float]:
    """95 % interval of a metric by the percentile bootstrap (Efron and Tibshirani, 1993).

    The images are drawn anew, with replacement, 1,000 times. Two repairs for small sets: the interval
    always holds the metric itself; and where all answers are right, or all wrong, drawing anew tells
    nothing, so the interval of the accuracy (Wilson) is given.

    Args:
        matrix: the confusion matrix, int (classes, classes).
        metric: from the counts of the classes to the metric.
        seed: the same one gives the same interval.
        share: for how much of an image each one counts, see `independent_share`.
    """
    images, right = int(matrix.sum()), int(np.trace(matrix))
    if right in (0, images):
        return wilson_interval(right * share, images * share)
    true, answered = np.nonzero(matrix)
    cells = matrix[true, answered]
    draws = np.random.default_rng(seed).multinomial(images, cells / images, size=_RESAMPLES)
    values = metric(
        ClassCounts(
            hits=_sum_by_class(draws * (true == answered), true, len(matrix)),
            images=_sum_by_class(draws, true, len(matrix)),
            answers=_sum_by_class(draws, answered, len(matrix)),
        )
    )
    value = float(metric(_class_counts(matrix)))
    low, high = value + (np.percentile(values, (2.5, 97.5)) - value) / math.sqrt(share)
    return max(min(float(low), value), 0.0), min(max(float(high), value), 1.0)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> list[ReliabilityBin]:
    """Answers grouped by their confidence into `bins` of equal width; empty ones are left out."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        ReliabilityBin(
            low=index / bins,
            high=(index + 1) / bins,
            images=int((place == index).sum()),
            confidence=float(confidence[place == index].mean()),
            accuracy=float(right[place == index].mean()),
        )
        for index in np.unique(place).tolist()
    ]


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Mean distance between confidence and accuracy over bins of confidence, weighted by images, in [0, 1].

    Naeini et al. (2015), with 15 bins as Guo et al. (2017).
    """
    groups = reliability(probabilities, labels, bins)
    return sum(group.images * abs(group.accuracy - group.confidence) for group in groups) / len(labels)


def _check(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
    if len(labels) == 0:
        raise DatasetError("expected at least one labelled image to evaluate, received none.")
    if probabilities.shape != (len(labels), len(classes)):
        raise ValueError(
            f"probabilities: expected shape {(len(labels), len(classes))} for {len(labels)} labels and "
            f"{len(classes)} classes, received {probabilities.shape}."
        )
    if labels.min() < 0 or labels.max() >= len(classes):
        raise ValueError(f"labels: expected 0 to {len(classes) - 1}, received {labels.min()} to {labels.max()}.")


def _class_counts(matrix: np.ndarray) -> ClassCounts:
    return ClassCounts(hits=np.diagonal(matrix), images=matrix.sum(axis=1), answers=matrix.sum(axis=0))


def _sum_by_class(draws: np.ndarray, class_of_cell: np.ndarray, classes: int) -> np.ndarray:
    """Sums over cells of the same class: (resamples, cells) to (resamples, classes)."""
    sums = np.zeros((classes, len(draws)), draws.dtype)
    np.add.at(sums, class_of_cell, draws.T)
    return sums.T


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part` / `whole`, and 0 where there is nothing to share."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _mean_of_present(values: np.ndarray, occurrences: np.ndarray) -> np.ndarray:
    present = occurrences > 0
    return (values * present).sum(axis=-1) / present.sum(axis=-1)


def _per_class(matrix: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    counts = _class_counts(matrix)
    precision, recall = _share(counts.hits, counts.answers), _share(counts.hits, counts.images)
    f1 = _share(2 * counts.hits, counts.images + counts.answers)
    return [
        {
            "class": name,
            "precision": float(precision[index]),
            "recall": float(recall[index]),
            "f1": float(f1[index]),
            "support": int(counts.images[index]),
        }
        for index, name in enumerate(classes)
    ]
