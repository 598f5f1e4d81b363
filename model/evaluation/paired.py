"""Paired comparison of models on the same images.

Paired bootstrap (Efron and Tibshirani, 1993; Koehn, 2004): the images are resampled, and both models are measured on
each resample. What is hard for one model is mostly hard for the other and cancels out of their difference.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from model.evaluation.metrics import ClassCounts, cross_entropies, macro_f1
from model.evaluation.resampling import RESAMPLES, resample

_SIGNIFICANT = 0.95
_MAX_CHUNK = 1_000_000
# Sums of the same terms in another order differ in the last digits.
_TIE = 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredPredictions:
    """Predictions for n images, made once or in several repeats of a cross-validation.

    Attributes:
        losses: float (n,), cross-entropy of each image in nats, averaged over the repeats; infinite if the training
            diverged.
        predicted: int (repeats, n), class indices.
    """

    losses: np.ndarray
    predicted: np.ndarray

    @classmethod
    def from_logits(cls, logits: np.ndarray, labels: np.ndarray) -> "ScoredPredictions":
        """The predictions of one model; logits are float (n, classes), labels int (n,)."""
        return cls(cross_entropies(logits.astype(float), labels), logits.argmax(axis=1)[None])


@dataclasses.dataclass(frozen=True)
class PairedMetric:
    """A metric by which models are compared on the same images, as a cost: lower is better.

    Attributes:
        labels: int (n,), the true classes.
        classes: number of classes.
        name: `val_loss` (mean cross-entropy in nats), `val_accuracy` or `val_macro_f1`; of the last two the negative.
        weights: float (n,), of the images in `val_loss`.
    """

    labels: np.ndarray
    classes: int
    name: str
    weights: np.ndarray

    def cost(self, predictions: ScoredPredictions) -> float:
        """The cost on the images themselves."""
        return float(self.costs(predictions, np.ones((1, len(self.labels))))[0])

    def costs(self, predictions: ScoredPredictions, resamples: np.ndarray) -> np.ndarray:
        """The cost on each resample, float (resamples,).

        Args:
            resamples: (resamples, n), how often each image occurs in each resample.
        """
        if self.name == "val_loss":
            weighted = resamples * self.weights
            return weighted @ predictions.losses.astype(float) / weighted.sum(axis=1)
        if self.name == "val_accuracy":
            accuracy = (predictions.predicted == self.labels).mean(axis=0)
            return -(resamples @ accuracy) / resamples.sum(axis=1)
        return -self.macro_f1(predictions, resamples)

    def macro_f1(self, predictions: ScoredPredictions, resamples: np.ndarray) -> np.ndarray:
        """Macro-F1 on each resample, averaged over the repeats, float (resamples,)."""
        one_hot = np.eye(self.classes)
        support = resamples @ one_hot[self.labels]

        def of_repeat(predicted: np.ndarray) -> np.ndarray:
            true_positives = resamples @ (one_hot[self.labels] * (predicted == self.labels)[:, None])
            return macro_f1(ClassCounts(true_positives, support, resamples @ one_hot[predicted]))

        return np.mean([of_repeat(predicted) for predicted in predictions.predicted], axis=0)

    def standard_error(self, one: ScoredPredictions, other: ScoredPredictions, resamples: np.ndarray) -> float:
        """Standard error of the difference between two models, by the bootstrap."""
        return float(np.std(self.costs(one, resamples) - self.costs(other, resamples)))


@dataclasses.dataclass(frozen=True)
class PairedComparison:
    """Comparison of two models on the same images.

    Attributes:
        metric: `val_loss`, `val_accuracy` or `val_macro_f1`.
        base, new: values of the metric.
        wins: fraction of the resamples in which the new model is better, in [0, 1]; ties do not count.
    """

    metric: str
    base: float
    new: float
    wins: float

    @property
    def is_better(self) -> bool:
        """Whether the new model is significantly better: in at least 95 % of the resamples."""
        return self.wins >= _SIGNIFICANT

    def __str__(self) -> str:
        return f"{self.metric} {self.new:.4f} against {self.base:.4f}, better in {self.wins:.0%} of the resamples"


def compare_paired(
    base: np.ndarray, new: np.ndarray, labels: np.ndarray, weights: np.ndarray, metric: str, seed: int = 0
) -> PairedComparison:
    """Compare the logits of two models by the paired bootstrap.

    Args:
        base, new: float (n, classes); a model whose logits are not finite never wins.
        labels: int (n,).
        weights: float (n,), for `val_loss` only.
        metric: `val_loss`, `val_accuracy` or `val_macro_f1`.
        seed: equal seeds return equal comparisons.
    """
    measure = PairedMetric(labels, base.shape[1], metric, weights)
    scored = [ScoredPredictions.from_logits(logits, labels) for logits in (base, new)]
    wins = 0
    for resamples in _chunks(len(labels), seed):
        base_costs, new_costs = (measure.costs(predictions, resamples) for predictions in scored)
        wins += int((new_costs < base_costs - _TIE).sum())
    sign = 1 if metric == "val_loss" else -1
    base_value, new_value = (sign * measure.cost(predictions) for predictions in scored)
    return PairedComparison(metric, base_value, new_value, wins / RESAMPLES)


def _chunks(images: int, seed: int) -> Iterator[np.ndarray]:
    """Resamples of the images, a bounded number at a time."""
    generator = np.random.default_rng(seed)
    size = max(1, _MAX_CHUNK // images)
    for start in range(0, RESAMPLES, size):
        yield resample(np.ones(images, int), generator, min(size, RESAMPLES - start))
