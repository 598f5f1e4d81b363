"""The epochs of a training: what is measured after each, and which of two is better."""

import dataclasses
import math

import numpy as np

from model.evaluation.metrics import ClassCounts, cross_entropies, macro_f1


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What was measured after one epoch.

    Attributes:
        phase: head or fine_tune.
        epoch: counted from 1 in each phase.
        loss: mean cross-entropy in nats of the training images, weighted as they are, without the penalty; with
            imbalance = logit_adjustment, of the adjusted logits.
        val_loss: the same of the validation images, never adjusted, mixed or smoothed.
        accuracy, val_accuracy: in [0, 1].
        learning_rate: at the end of the epoch.
        seconds: wall time of the epoch.
        val_macro_f1: in [0, 1], over the classes that occur among the validation images or the answers.
        waiting: share of the time of the training steps that was spent waiting for batches, in [0, 1].
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
    """Compare logits (n, classes) with labels (n,); `weights` (n,) count for the loss only."""
    classes = logits.shape[-1]
    answers = logits.argmax(axis=-1)
    right = answers == labels
    counts = ClassCounts(*(np.bincount(values, minlength=classes) for values in (labels[right], labels, answers)))
    return Measured(cross_entropy(logits, labels, weights), float(right.mean()), float(macro_f1(counts)))


def score(epoch: Epoch, stop_on: str) -> tuple[float, float]:
    """What makes one epoch better than another: the lower; epochs that are equal in `stop_on` differ in val_loss.

    Args:
        stop_on: val_loss, val_accuracy or val_macro_f1.

    Returns:
        Infinity where val_loss is not finite.
    """
    if not math.isfinite(epoch.val_loss):
        return math.inf, math.inf
    if stop_on == "val_loss":
        return epoch.val_loss, epoch.val_loss
    return -float(getattr(epoch, stop_on)), epoch.val_loss


def cross_entropy(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean of the negative log-likelihood, in nats, of logits (n, classes), labels (n,) and weights (n,)."""
    return float(np.average(cross_entropies(logits, labels), weights=weights))
