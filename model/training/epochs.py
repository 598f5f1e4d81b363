"""Epochs of a training: their metrics, and which of two is better."""

import dataclasses
import math

import numpy as np

from model.evaluation.metrics import ClassCounts, cross_entropies, macro_f1


@dataclasses.dataclass(frozen=True)
class Epoch:
    """The metrics of one epoch.

    Attributes:
        phase: head or fine_tune.
        epoch: counted from 1 in each phase.
        loss: mean cross-entropy in nats of the training images, with their weights, without the penalty; with
            imbalance = logit_adjustment, of the adjusted logits.
        val_loss: the same for the validation images, without adjustment, mixup and label smoothing.
        accuracy, val_accuracy: in [0, 1].
        learning_rate: at the end of the epoch.
        seconds: wall time of the epoch.
        val_macro_f1: in [0, 1], over the classes that occur in the validation labels or predictions.
        waiting: fraction of the time of the training steps spent waiting for batches, in [0, 1].
    """

    phase: str
    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float
    val_macro_f1: float
    waiting: float = 0.0


COLUMNS = (
    "phase",
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
    "val_macro_f1",
)
"""The columns of results.csv."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """Mean cross-entropy in nats, accuracy and macro-F1 of one split."""

    loss: float
    accuracy: float
    macro_f1: float


def measure(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Measured:
    """Metrics of logits (n, classes) for labels (n,); `weights` (n,) apply to the loss only."""
    classes = logits.shape[-1]
    predicted = logits.argmax(axis=-1)
    correct = predicted == labels
    counts = ClassCounts(*(np.bincount(values, minlength=classes) for values in (labels[correct], labels, predicted)))
    return Measured(cross_entropy(logits, labels, weights), float(correct.mean()), float(macro_f1(counts)))


def score(epoch: Epoch, stop_on: str) -> tuple[float, float]:
    """A key by which epochs are compared, lower is better: the metric `stop_on`, then val_loss.

    Args:
        stop_on: val_loss, val_accuracy or val_macro_f1.

    Returns:
        infinity if val_loss is not finite.
    """
    return score_of(epoch.val_loss, epoch.val_accuracy, epoch.val_macro_f1, stop_on)


def score_of(val_loss: float, val_accuracy: float, val_macro_f1: float, stop_on: str) -> tuple[float, float]:
    """`score` of an epoch with these metrics."""
    if not math.isfinite(val_loss):
        return math.inf, math.inf
    return {"val_loss": val_loss, "val_accuracy": -val_accuracy, "val_macro_f1": -val_macro_f1}[stop_on], val_loss


def cross_entropy(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean of the negative log-likelihood, in nats, of logits (n, classes), labels (n,) and weights (n,)."""
    return float(np.average(cross_entropies(logits, labels), weights=weights))
