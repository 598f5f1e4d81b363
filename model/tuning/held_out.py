"""What options of a head are worth, by the answers to images held out in repeated cross-validation.

The same images are held out for all options, so that these are compared image by image: what is hard for one
is hard for all, and drops out of their difference.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from model.errors import TrainingError
from model.evaluation.calibration import fit_temperature
from model.evaluation.metrics import ClassCounts, macro_f1
from model.results import Sample
from model.training.cross_validation import FoldPlan, cross_validate
from model.training.head import HeadOptions, LabelledFeatures


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """The answers to images held out.

    Attributes:
        losses: of each image the negative log-likelihood of its class in nats, mean over the repeats: float32 (n,);
            infinite where a head diverged.
        answers: the class answered, int16 (repeats, n).
    """

    losses: np.ndarray
    answers: np.ndarray


@dataclasses.dataclass(frozen=True)
class Measure:
    """What options are compared by: the lower, the better.

    Attributes:
        labels: int (n,), the true classes.
        classes: how many there are.
        stop_on: `val_loss`, `val_accuracy` or `val_macro_f1`, of which the last two are taken as their negatives.
        weights: float (n,), of the images in `val_loss`.
    """

    labels: np.ndarray
    classes: int
    stop_on: str
    weights: np.ndarray

    def of(self, held_out: HeldOut) -> float:
        """The value for these answers."""
        return float(self.on(held_out, np.ones((1, len(self.labels))))[0])

    def on(self, held_out: HeldOut, resamples: np.ndarray) -> np.ndarray:
        """The value on each resample of the images, float (resamples,).

        Args:
            resamples: how often each image is in it, (resamples, n).
        """
        if self.stop_on == "val_loss":
            weighted = resamples * self.weights
            return weighted @ held_out.losses.astype(float) / weighted.sum(axis=1)
        if self.stop_on == "val_accuracy":
            right = (held_out.answers == self.labels).mean(axis=0)
            return -(resamples @ right) / resamples.sum(axis=1)
        return -self.macro_f1(held_out, resamples)

    def macro_f1(self, held_out: HeldOut, resamples: np.ndarray) -> np.ndarray:
        """Macro-F1 on each resample, mean over the repeats, float (resamples,)."""
        of_class = np.eye(self.classes)
        images = resamples @ of_class[self.labels]

        def of_one_repeat(answers: np.ndarray) -> np.ndarray:
            hits = resamples @ (of_class[self.labels] * (answers == self.labels)[:, None])
            return macro_f1(ClassCounts(hits, images, resamples @ of_class[answers]))

        return np.mean([of_one_repeat(answers) for answers in held_out.answers], axis=0)

    def standard_error(self, one: HeldOut, other: HeldOut, resamples: np.ndarray) -> float:
        """Of the difference between two, by the bootstrap (Efron and Tibshirani, 1993)."""
        return float(np.std(self.on(one, resamples) - self.on(other, resamples)))


def hold_out(
    samples: Sequence[Sample],
    images: LabelledFeatures,
    classes: int,
    plans: Sequence[FoldPlan],
    options: HeadOptions,
) -> HeldOut:
    """Answer every image, once for each of `plans`, by a head that has not seen it.

    The logits of each repeat are calibrated by one temperature, as those of a trained model are: an option that
    only makes the answers bolder or more timid changes nothing.
    """
    labels = images.labels
    losses, answers = [], []
    for plan in plans:
        try:
            found = cross_validate(samples, images, classes, plan, options)
        except TrainingError:
            found = None
        if found is None:
            return HeldOut(np.full(len(labels), np.inf, np.float32), np.zeros((len(plans), len(labels)), np.int16))
        log_probabilities = _log_softmax(found.logits / fit_temperature(found.logits, labels))
        losses.append(-log_probabilities[np.arange(len(labels)), labels])
        answers.append(found.logits.argmax(axis=1))
    return HeldOut(np.mean(losses, axis=0).astype(np.float32), np.stack(answers).astype(np.int16))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
