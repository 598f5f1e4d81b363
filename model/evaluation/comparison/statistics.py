"""Statistics of two models on the same images: difference, interval, test, and the number of images needed.

Predictions are int arrays (n,) of class indices, as labels are; the indices are those of one list of classes, which
both models share. Differences are those of the new model minus the base model.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from scipy import sparse, stats

from model.evaluation.metrics import ClassCounts, balanced_accuracy, macro_f1
from model.evaluation.resampling import PERCENTILES, resample
from model.evaluation.significance import SIGNIFICANCE, sign_p_value
from model.measurements import wilson_interval

POWER = 0.8
RESAMPLES = 2000
_MAX_CHUNK = 1_000_000
# All exchanges of so many predictions are no more than are drawn for more of them.
_MAX_EXACT = 11
# With more images or groups, intervals that agree with an exact test would contain the difference in over 97 %.
_FEW_DIFFERING = 10
# Sums of the same terms in another order differ in the last digits.
_TIE = 1e-9


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """A metric of two models on the same images.

    Attributes:
        images: number of images.
        base, new: the metric of each model, in [0, 1].
        difference: `new` minus `base`, in [-1, 1].
        interval: its 95 % interval, by the paired bootstrap with 2,000 resamples.
        p_value: probability of a difference as large by chance alone: exact test of McNemar for the accuracy, else a
            permutation test; two-sided.
        fixed, broken: images that only the new model, or only the base model, predicts correctly.
        units: number of independent units: groups, or images without groups.
    """

    images: int
    base: float
    new: float
    difference: float
    interval: tuple[float, float]
    p_value: float
    fixed: int
    broken: int
    units: int

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
    resampled. If no image is broken, no resample shows how many could be: the interval then reaches as far below the
    difference as that of a fraction without any success does above 0. The same holds for fixed images. Where
    few images differ and the test does not reject 0, an interval without 0 is widened to contain it.

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
    is_accuracy = metric == "accuracy"
    p_value = sign_test(labels, base, new, groups) if is_accuracy else _permutation_test(metric, cells, classes, seed)
    units = int(cells.counts.sum())
    interval = _interval(difference, resampled, units, fixed, broken)
    differs = (base == labels) != (new == labels) if is_accuracy else base != new
    is_few = (differs.sum() if groups is None else len(np.unique(groups[differs]))) <= _FEW_DIFFERING
    if is_few and p_value >= SIGNIFICANCE and not interval[0] <= 0 <= interval[1]:
        is_independent = is_accuracy and groups is None
        interval = _with_zero(interval, _exact_interval(fixed, broken, len(labels)) if is_independent else (0.0, 0.0))
    return PairedDifference(len(labels), base_value, new_value, difference, interval, p_value, fixed, broken, units)


def sign_test(labels: np.ndarray, base: np.ndarray, new: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Two-sided p-value of McNemar's exact test: 1 if no image is predicted correctly by exactly one model.

    With groups, each group counts once, for the model that predicts more of its images correctly.
    """
    gained = (new == labels).astype(int) - (base == labels).astype(int)
    if groups is not None:
        gained = np.bincount(np.unique(groups, return_inverse=True)[1], weights=gained)
    return sign_p_value(gained)


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
    for numbers in _chunks(RESAMPLES, cells):
        yield resample(cells.counts, generator, len(numbers))[:, cells.unit_of]


def _chunks(resamples: int, cells: _Cells) -> Iterator[np.ndarray]:
    """Numbers of the resamples from 0, as many at a time as keep the weights of all rows small."""
    size = max(1, _MAX_CHUNK // len(cells.labels))
    for start in range(0, resamples, size):
        yield np.arange(start, min(start + size, resamples))


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


def _interval(difference: float, resampled: np.ndarray, units: int, fixed: int, broken: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a difference, which it contains, widened on a side that no image shows."""
    low, high = (float(limit) for limit in np.percentile(resampled, PERCENTILES))
    low, high = min(low, difference), max(high, difference)
    _, margin = wilson_interval(0, units)
    is_constant = np.ptp(resampled) == 0
    if broken == 0 or is_constant:
        low = min(low, difference - margin)
    if fixed == 0 or is_constant:
        high = max(high, difference + margin)
    return max(low, -1.0), min(high, 1.0)


def _exact_interval(fixed: int, broken: int, images: int) -> tuple[float, float]:
    """95 % interval of a difference of accuracies for this number of images that exactly one model predicts correctly.

    It is that of Clopper and Pearson (1934) for the fraction of them that are fixed, so that it contains 0 exactly if
    McNemar's exact test does not reject it.
    """
    differing = fixed + broken
    limits = stats.binomtest(fixed, differing).proportion_ci(1 - SIGNIFICANCE, method="exact")
    low, high = (float((2 * limit - 1) * differing / images) for limit in limits)
    return low, high


def _with_zero(interval: tuple[float, float], exact: tuple[float, float]) -> tuple[float, float]:
    """An interval widened on the side of 0, to the limit of `exact`, which contains 0."""
    low, high = interval
    return (exact[0], high) if low > 0 else (low, exact[1])


def _permutation_test(metric: str, cells: _Cells, classes: int, seed: int) -> float:
    """Two-sided p-value of the hypothesis that the models are exchangeable, by exchanging their predictions.

    Of a few units that the models predict differently all exchanges are tried, of more 2,000 are drawn.
    """
    differing = np.unique(cells.unit_of[cells.base != cells.new])
    units = np.repeat(differing, cells.counts[differing])
    is_exact = len(units) <= _MAX_EXACT
    chunks = _all_exchanges(cells, units) if is_exact else _drawn_exchanges(cells, seed)
    observed = abs(_exchanged_difference(metric, cells, classes, np.zeros((1, len(cells.counts))))[0])
    found = np.concatenate([np.abs(_exchanged_difference(metric, cells, classes, exchanged)) for exchanged in chunks])
    as_large = int((found >= observed - _TIE).sum())
    return as_large / len(found) if is_exact else (1 + as_large) / (1 + len(found))


def _all_exchanges(cells: _Cells, units: np.ndarray) -> Iterator[np.ndarray]:
    """How many images or groups of each unit are exchanged in every possible exchange: (draws, units) at a time.

    Args:
        units: int (n,), the unit of each image or group that may be exchanged.
    """
    members = units[:, None] == np.arange(len(cells.counts))
    for numbers in _chunks(2 ** len(units), cells):
        yield (numbers[:, None] >> np.arange(len(units)) & 1) @ members


def _drawn_exchanges(cells: _Cells, seed: int) -> Iterator[np.ndarray]:
    """How many images or groups of each unit are exchanged by chance: (draws, units) at a time."""
    generator = np.random.default_rng(seed)
    for numbers in _chunks(RESAMPLES, cells):
        yield generator.binomial(cells.counts, 0.5, size=(len(numbers), len(cells.counts)))


def _exchanged_difference(metric: str, cells: _Cells, classes: int, exchanged: np.ndarray) -> np.ndarray:
    """Difference of the models, float (draws,), after exchanging so many images of each unit: (draws, units)."""
    kept, exchanged = (cells.counts - exchanged)[:, cells.unit_of], exchanged[:, cells.unit_of]
    labels, predicted = np.tile(cells.labels, 2), np.concatenate([cells.new, cells.base])
    new, base = (
        _metric(metric, labels, predicted, classes, np.concatenate(weights, axis=1))
        for weights in ((kept, exchanged), (exchanged, kept))
    )
    difference: np.ndarray = new - base
    return difference
