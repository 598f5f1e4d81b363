"""Whether one model is better than another on the same images, beyond the chance of which images these are.

Paired bootstrap (Efron and Tibshirani, 1993; Koehn, 2004): the images are drawn anew, with replacement, and it
is counted how often the new model wins. With few images, or few that the two answer differently, it wins too
seldom to be believed.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from model.evaluation.metrics import ClassCounts, macro_f1

_RESAMPLES = 1000
_ENOUGH = 0.95
_NUMBERS_AT_A_TIME = 1_000_000
# The same terms added up in another order differ in the last digits.
_TIE = 1e-9

_Measure = Callable[[np.ndarray], np.ndarray]
"""From how often each image counts, float (resamples, n), to a metric of each, (resamples,): the higher the better."""


@dataclasses.dataclass(frozen=True)
class PairedComparison:
    """Two models on the same images.

    Attributes:
        metric: val_loss, val_accuracy or val_macro_f1.
        base, new: its values.
        wins: share of the resamples in which the new model is better, in [0, 1]; equal is not better.
    """

    metric: str
    base: float
    new: float
    wins: float

    @property
    def is_better(self) -> bool:
        """Whether the new model is better beyond chance: in at least 95 % of the resamples."""
        return self.wins >= _ENOUGH

    def __str__(self) -> str:
        return f"{self.metric} {self.new:.4f} against {self.base:.4f}, better in {self.wins:.0%} of the resamples"


def compare_paired(
    base: np.ndarray, new: np.ndarray, labels: np.ndarray, weights: np.ndarray, metric: str, seed: int = 0
) -> PairedComparison:
    """Compare the logits of two models by the paired bootstrap.

    Args:
        base, new: float (n, classes); a model whose logits are not finite never wins.
        labels: int (n,).
        weights: float (n,), for val_loss only.
        metric: val_loss (mean cross-entropy in nats), val_accuracy or val_macro_f1.
        seed: the same one gives the same comparison.
    """
    of_base, of_new = (_measure(logits, labels, weights, metric) for logits in (base, new))
    wins = sum(int((of_new(draws) > of_base(draws) + _TIE).sum()) for draws in _resamples(len(labels), seed))
    sign = -1 if metric == "val_loss" else 1
    base_value, new_value = (sign * float(measure(np.ones((1, len(labels))))[0]) for measure in (of_base, of_new))
    return PairedComparison(metric, base_value, new_value, wins / _RESAMPLES)


def _resamples(images: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is drawn, some resamples at a time."""
    rng = np.random.default_rng(seed)
    at_a_time = max(1, _NUMBERS_AT_A_TIME // images)
    for start in range(0, _RESAMPLES, at_a_time):
        drawn = rng.integers(0, images, (min(at_a_time, _RESAMPLES - start), images))
        yield np.stack([np.bincount(one, minlength=images) for one in drawn]).astype(float)


def _measure(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, metric: str) -> _Measure:
    answers = logits.argmax(axis=1)
    if metric == "val_loss":
        losses = _losses(logits.astype(float), labels) * weights
        return lambda counts: -(counts @ losses) / (counts @ weights)
    if metric == "val_accuracy":
        right = (answers == labels).astype(float)
        return lambda counts: counts @ right / counts.sum(axis=1)
    true, answered = np.eye(logits.shape[1])[labels], np.eye(logits.shape[1])[answers]
    return lambda counts: macro_f1(ClassCounts(counts @ (true * answered), counts @ true, counts @ answered))


def _losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy of each image in nats, (n,)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
