"""Statistics of two models on the same images: difference, interval, test, and the number of images needed.

Predictions are int arrays (n,) of class indices, as labels are; the indices are those of one list of classes, which
both models share. Differences are those of the new model minus the base model.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse, stats

from model.evaluation.metrics import ClassCounts, balanced_accuracy, macro_f1
from model.evaluation.resampling import PERCENTILES, resample
from model.measurements import wilson_interval

SIGNIFICANCE = 0.05
"""A difference is significant if chance alone makes one as large in fewer than this fraction of cases."""

POWER = 0.8
RESAMPLES = 2000
_MAX_CHUNK = 1_000_000


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """A metric of two models on the same images.

    Attributes:
        images: number of images.
        base, new: the metric of each model, in [0, 1].
        difference: `new` minus `base`, in [-1, 1].
        interval: its 95 % interval, by the paired bootstrap with 2,000 resamples.
        p_value: probability of a difference as large by chance alone: exact test of McNemar for the accuracy, else of
            the bootstrap; two-sided.
        fixed, broken: images that only the new model, or only the base model, predicts correctly.
    """

    images: int
    base: float
    new: float
    difference: float
    interval: tuple[float, float]
    p_value: float
    fixed: int
    broken: int

    @property
    def discordant(self) -> float:
        """Fraction of the images that exactly one of the models predicts correctly."""
        return (self.fixed + self.broken) / self.images


@dataclasses.dataclass(frozen=True, eq=False)
class _Cells:
    """Images that are resampled together: equal ones, or those of a group.

    Attributes:
        counts: int (units,), the images of each unit, or 1 for a group.
        unit_of: int (rows,), the unit of each row.
        labels, base, new: int (rows,).
    """

    counts: np.ndarray
    unit_of: np.ndarray
    labels: np.ndarray
    base: np.ndarray
    new: np.ndarray


def paired_difference(
    labels: np.ndarray,
    base: np.ndarray,
    new: np.ndarray,
    classes: int,
    metric: str = "accuracy",
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> PairedDifference:
    """Compare the predictions of two models.

    The images are resampled, and both models are measured on each resample (Efron and Tibshirani, 1993): what is hard
    for one model is mostly hard for the other and cancels out of the difference. With groups, whole groups are
    resampled. If all resamples have the same difference, they show no chance: the interval is then as wide as that of
    a fraction without any success.

    Args:
        labels: int (n,), the true classes; at least one.
        base, new: int (n,), the predicted classes.
        classes: number of classes.
        metric: one of `model.measurements.COMPARED_METRICS`.
        groups: int (n,), the group of each image; None if all images are independent.
        seed: equal seeds return equal intervals.
    """
    cells = _grouped(labels, base, new, groups) if groups is not None else _equal_images(labels, base, new, metric)
    ones = np.ones((1, len(labels)))
    base_value, new_value = (float(_metric(metric, labels, found, classes, ones)[0]) for found in (base, new))
    difference = new_value - base_value
    resampled = np.concatenate(
        [
            _metric(metric, cells.labels, cells.new, classes, weights)
            - _metric(metric, cells.labels, cells.base, classes, weights)
            for weights in _weights(cells, seed)
        ]
    )
    fixed, broken = int(((new == labels) & (base != labels)).sum()), int(((new != labels) & (base == labels)).sum())
    exact = sign_test(labels, base, new, groups) if metric == "accuracy" else _bootstrap_p_value(resampled)
    interval = _interval(difference, resampled, int(cells.counts.sum()))
    return PairedDifference(len(labels), base_value, new_value, difference, interval, exact, fixed, broken)


def sign_test(labels: np.ndarray, base: np.ndarray, new: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Two-sided p-value of McNemar's exact test: 1 if no image is predicted correctly by exactly one model.

    With groups, each group counts once, for the model that predicts more of its images correctly.
    """
    gained = (new == labels).astype(int) - (base == labels).astype(int)
    if groups is not None:
        gained = np.bincount(np.unique(groups, return_inverse=True)[1], weights=gained)
    wins, losses = int((gained > 0).sum()), int((gained < 0).sum())
    return float(stats.binomtest(wins, wins + losses, 0.5).pvalue) if wins + losses else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for the number of tests (Holm, 1979): any of them below 0.05 by chance in 5 % of cases."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(corrected, 1.0).tolist()


def images_needed(discordant: float, difference: float, power: float = POWER) -> int:
    """Number of images with which McNemar's test detects a difference (Connor, 1987).

    Args:
        discordant: fraction of the images that exactly one of the models predicts correctly; at least `difference`,
            which is assumed if it is less.
        difference: difference of the accuracies, in (0, 1].
        power: probability to detect it.
    """
    fraction = max(discordant, difference)
    critical, detected = stats.norm.ppf(1 - SIGNIFICANCE / 2), stats.norm.ppf(power)
    spread = critical * math.sqrt(fraction) + detected * math.sqrt(fraction - difference**2)
    return math.ceil((spread / difference) ** 2)


def _equal_images(labels: np.ndarray, base: np.ndarray, new: np.ndarray, metric: str) -> _Cells:
    """Images that are equal for the metric are drawn together, which gives the same resamples in less time."""
    rows = np.stack([labels, base, new])
    keys = np.stack([base == labels, new == labels]) if metric == "accuracy" else rows
    _, first, counts = np.unique(keys, axis=1, return_index=True, return_counts=True)
    return _Cells(counts, np.arange(len(first)), *rows[:, first])


def _grouped(labels: np.ndarray, base: np.ndarray, new: np.ndarray, groups: np.ndarray) -> _Cells:
    found, unit_of = np.unique(groups, return_inverse=True)
    return _Cells(np.ones(len(found), int), unit_of, labels, base, new)


def _weights(cells: _Cells, seed: int) -> Iterator[np.ndarray]:
    """How often each row occurs in each resample: (resamples, rows), a bounded number of resamples at a time."""
    generator = np.random.default_rng(seed)
    size = max(1, _MAX_CHUNK // len(cells.labels))
    for start in range(0, RESAMPLES, size):
        yield resample(cells.counts, generator, min(size, RESAMPLES - start))[:, cells.unit_of]


def _metric(metric: str, labels: np.ndarray, predicted: np.ndarray, classes: int, weights: np.ndarray) -> np.ndarray:
    """Metric on each resample, float (resamples,); `weights` are (resamples, rows)."""
    correct = predicted == labels
    if metric == "accuracy":
        accuracy: np.ndarray = weights @ correct / weights.sum(axis=1)
        return accuracy
    counts = ClassCounts(
        true_positives=_by_class(labels[correct], classes, weights[:, correct]),
        support=_by_class(labels, classes, weights),
        predicted=_by_class(predicted, classes, weights),
    )
    return balanced_accuracy(counts) if metric == "balanced_accuracy" else macro_f1(counts)


def _by_class(class_of: np.ndarray, classes: int, weights: np.ndarray) -> np.ndarray:
    """Sums of the weights by class: (resamples, classes)."""
    rows = len(class_of)
    membership = sparse.csr_array((np.ones(rows), (class_of, np.arange(rows))), shape=(classes, rows))
    sums: np.ndarray = (membership @ weights.T).T
    return sums


def _interval(difference: float, resampled: np.ndarray, units: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a difference, which it contains."""
    if np.ptp(resampled) == 0:
        _, margin = wilson_interval(0, units)
        return max(difference - margin, -1.0), min(difference + margin, 1.0)
    low, high = np.percentile(resampled, PERCENTILES)
    return min(float(low), difference), max(float(high), difference)


def _bootstrap_p_value(resampled: np.ndarray) -> float:
    """Two-sided p-value of the hypothesis that the difference is 0."""
    below, above = (1 + int((resampled <= 0).sum())), (1 + int((resampled >= 0).sum()))
    return min(1.0, 2 * min(below, above) / (len(resampled) + 1))
