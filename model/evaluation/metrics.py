"""Metrics of predictions on labelled images, with 95 % confidence intervals.

Probabilities are float arrays (n, classes) whose rows sum to 1; labels are int arrays (n,) of class indices. The
predicted class is the most probable one; among equals, the first.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from model.errors import DatasetError
from model.evaluation.resampling import RESAMPLES, percentile_interval, resample
from model.measurements import effective_fraction, fraction_interval

CALIBRATION_BINS = 15
TOP = 5
# Of resamples at one time, 8 bytes each.
_MAX_CELLS = 1 << 22


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """Predictions whose confidence is in (low, high]: number of images, mean confidence, accuracy."""

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
        classes: class names in label order.
        folds: number of folds if the predictions are out-of-fold predictions: intervals are wider then.

    Returns:
        `images`: n.
        `accuracy`, `top5_accuracy`: fractions in [0, 1]; top-5 is 1 for five classes or fewer.
        `macro_f1`: mean F1 of the classes that occur among the true or the predicted classes.
        `balanced_accuracy`: mean recall of the classes that occur among the true classes.
        `<metric>_interval`: [low, high] of each of these four, 95 %: by Wilson's score for fractions, by bootstrap
        for means over classes; see `model.evaluation.resampling`.
        `calibration_error`, `expected_calibration_error`, `expected_calibration_error_interval`: see the functions
        `calibration_error`, `expected_calibration_error` and `calibration_error_interval`.
        `per_class`: for each class, in order: `class`, `precision`, `recall`, `f1`, each with its `<metric>_interval`
        (None where nothing was measured), `support` and `predicted`, the images of the class and those predicted as
        it. The precision of a class that was never predicted and the recall of a class without images are 0.
        `confusion_matrix`: counts; rows are true classes, columns predicted classes.

    Raises:
        DatasetError: there are no images.
        ValueError: the shapes do not match.
    """
    _check(probabilities, labels, classes)
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(classes))
    counts = _class_counts(matrix)
    images, correct = len(labels), int(np.trace(matrix))
    in_top = int(is_in_top(probabilities, labels, TOP).sum())
    return {
        "images": images,
        "accuracy": correct / images,
        "accuracy_interval": list(fraction_interval(correct, images, folds)),
        "top5_accuracy": in_top / images,
        "top5_accuracy_interval": list(fraction_interval(in_top, images, folds)),
        "macro_f1": float(macro_f1(counts)),
        "macro_f1_interval": list(bootstrap_interval(matrix, macro_f1, folds=folds)),
        "balanced_accuracy": float(balanced_accuracy(counts)),
        "balanced_accuracy_interval": list(bootstrap_interval(matrix, balanced_accuracy, folds=folds)),
        "calibration_error": calibration_error(probabilities, labels),
        "expected_calibration_error": expected_calibration_error(probabilities, labels),
        "expected_calibration_error_interval": list(calibration_error_interval(probabilities, labels, folds=folds)),
        "per_class": _per_class(matrix, classes, folds),
        "confusion_matrix": matrix.tolist(),
    }


def cross_entropies(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy of each image in nats, float (n,): the negative log-likelihood of its true class.

    Args:
        logits: float (n, classes).
        labels: int (n,).
    """
    # The head calls this after each epoch: SciPy's log_softmax gives the same values in three times the time.
    shifted = logits - logits.max(axis=-1, keepdims=True)
    losses: np.ndarray = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(labels)), labels]
    return losses


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 (classes, classes): rows are true classes, columns predicted classes."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def is_in_top(probabilities: np.ndarray, labels: np.ndarray, top: int) -> np.ndarray:
    """Whether the true class is among the `top` most probable: bool (n,). Among equals, the first ranks higher."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return (best == labels[:, None]).any(axis=1)


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """True positives, images (support) and predictions of each class: int (..., classes) each."""

    true_positives: np.ndarray
    support: np.ndarray
    predicted: np.ndarray


def macro_f1(counts: ClassCounts) -> np.ndarray:
    """Mean F1 of the classes that occur among the true or the predicted classes: float (...)."""
    occurrences = counts.support + counts.predicted
    return _mean_of_present(_ratio(2 * counts.true_positives, occurrences), occurrences)


def balanced_accuracy(counts: ClassCounts) -> np.ndarray:
    """Mean recall of the classes that have images: float (...)."""
    return _mean_of_present(_ratio(counts.true_positives, counts.support), counts.support)


def bootstrap_interval(
    matrix: np.ndarray, metric: Callable[[ClassCounts], np.ndarray], seed: int = 0, folds: int = 0
) -> tuple[float, float]:
    """95 % interval of a metric of the confusion matrix, by the percentile bootstrap.

    If all predictions are correct, or all incorrect, every resample equals the original. Then the interval of the
    accuracy (Wilson) is returned.

    Args:
        matrix: confusion matrix, int (classes, classes).
        metric: maps class counts to the metric.
        seed: equal seeds return equal intervals.
        folds: number of folds if these are out-of-fold predictions: the interval is wider then.
    """
    images, correct = int(matrix.sum()), int(np.trace(matrix))
    if correct in (0, images):
        return fraction_interval(correct, images, folds)
    true, predicted = np.nonzero(matrix)
    cells = resample(matrix[true, predicted], seed)
    resampled = metric(
        ClassCounts(
            true_positives=_sum_by_class(cells * (true == predicted), true, len(matrix)),
            support=_sum_by_class(cells, true, len(matrix)),
            predicted=_sum_by_class(cells, predicted, len(matrix)),
        )
    )
    return percentile_interval(float(metric(_class_counts(matrix))), resampled, effective_fraction(folds))


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> list[ReliabilityBin]:
    """Predictions grouped by confidence into `bins` of equal width; empty bins are left out."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = _bin_of(confidence, bins)
    return [
        ReliabilityBin(
            low=index / bins,
            high=(index + 1) / bins,
            images=int((bin_of == index).sum()),
            confidence=float(confidence[bin_of == index].mean()),
            accuracy=float(correct[bin_of == index].mean()),
        )
        for index in np.unique(bin_of).tolist()
    ]


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error, in [0, 1]: |confidence - accuracy| averaged over bins of confidence, by images.

    Naeini et al. (2015), with 15 bins as Guo et al. (2017).
    """
    groups = reliability(probabilities, labels, bins)
    return sum(group.images * abs(group.accuracy - group.confidence) for group in groups) / len(labels)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error without the part that chance adds, in [0, 1].

    The accuracy of the few images of a bin differs from their confidence by chance even if the model is calibrated.
    The variance of this difference is subtracted from its square in each bin, as in the debiased estimator of Kumar et
    al. (2019). It is at most the `expected_calibration_error`, and nearly equal to it for many images.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = _bin_of(confidence, bins)
    differences, variances = (
        np.bincount(bin_of, values, minlength=bins) for values in (correct - confidence, confidence * (1 - confidence))
    )
    return float(np.sqrt(np.maximum(differences**2 - variances, 0.0)).sum() / len(labels))


def calibration_error_interval(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS, seed: int = 0, folds: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the expected calibration error.

    Chance adds to this error: that of the images is larger on average than that of the model, as that of a resample is
    larger than that of the images. Twice the mean difference is subtracted from the resamples, so that the interval is
    one of the error of the model. It always contains the `calibration_error`.

    Args:
        seed: the same seed gives the same interval.
        folds: see `model.measurements.effective_fraction`.
    """
    value = expected_calibration_error(probabilities, labels, bins)
    corrected = calibration_error(probabilities, labels, bins)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    images = len(labels)
    if correct.all() or not correct.any():
        # Resamples would have the same accuracy, as if it were certain.
        low, high = fraction_interval(int(correct.sum()), images, folds)
        return min(max(0.0, value - (high - low)), corrected), min(1.0, value + (high - low))
    differences = np.zeros((images, bins))
    differences[np.arange(images), _bin_of(confidence, bins)] = (correct - confidence) / images
    generator = np.random.default_rng(seed)
    size = max(1, min(RESAMPLES, _MAX_CELLS // images))
    sizes = [min(size, RESAMPLES - start) for start in range(0, RESAMPLES, size)]
    drawn = (resample(np.ones(images, np.int64), generator, count) for count in sizes)
    errors = np.concatenate([np.abs(counts @ differences).sum(axis=1) for counts in drawn])
    return percentile_interval(corrected, errors - 2 * (errors.mean() - value), effective_fraction(folds))


def _bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


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
    return ClassCounts(np.diagonal(matrix), support=matrix.sum(axis=1), predicted=matrix.sum(axis=0))


def _sum_by_class(cells: np.ndarray, class_of_cell: np.ndarray, classes: int) -> np.ndarray:
    """Sums over cells of the same class: (resamples, cells) to (resamples, classes)."""
    sums = np.zeros((classes, len(cells)), cells.dtype)
    np.add.at(sums, class_of_cell, cells.T)
    return sums.T


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Element-wise `part` / `whole`; 0 if `whole` is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _mean_of_present(values: np.ndarray, occurrences: np.ndarray) -> np.ndarray:
    present = occurrences > 0
    return (values * present).sum(axis=-1) / present.sum(axis=-1)


def _per_class(matrix: np.ndarray, classes: Sequence[str], folds: int) -> list[dict[str, Any]]:
    columns = zip(*(values.tolist() for values in dataclasses.astuple(_class_counts(matrix))), strict=True)
    rows = []
    for name, (hits, support, predicted) in zip(classes, columns, strict=True):
        # F1 is the fraction of hits in the mean of the two numbers of images.
        trials = {"precision": predicted, "recall": support, "f1": (support + predicted) / 2}
        row: dict[str, Any] = {"class": name, "support": support, "predicted": predicted}
        for metric, images in trials.items():
            row[metric] = hits / images if images else 0.0
            row[f"{metric}_interval"] = list(fraction_interval(hits, images, folds)) if images else None
        rows.append(row)
    return rows
