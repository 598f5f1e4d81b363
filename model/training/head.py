"""The head: softmax regression on cached features, several L2 strengths side by side.

A head has few weights and its features are in memory, so an epoch takes milliseconds in NumPy; a training framework's
step costs more than the arithmetic. It is trained by L-BFGS on all images at once
(`model.training.full_batch_candidates`). Minibatches (`model.training.minibatch_candidates`) remain for what L-BFGS
cannot do: mixup, which draws new images in every epoch; heads whose gradients it could not keep in memory; and
features that are larger than memory (`model.training.streamed_head`). The method depends only on the options and on
the size of the head, so that all heads of a training, such as those of the folds, are trained by the same.
"""

import dataclasses

import numpy as np

from model.training.batches import ArrayInputs, TrainBatches, log_priors
from model.training.checkpoints import TimedCheckpoints
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.epochs import measure
from model.training.full_batch_candidates import (
    ConvergedHead,
    FullBatchCandidates,
    scaled_with_views,
)
from model.training.head_candidates import (
    Candidates,
    Head,
    HeadOptions,
    LabelledFeatures,
    OnEpoch,
    diverged,
    no_report,
    train_candidates,
)
from model.training.minibatch_candidates import BATCHES_IN_ONE, MinibatchCandidates

# L-BFGS keeps twenty times the weights of each L2 strength: at most 480 MB.
_MAX_WEIGHTS = 1_500_000


def is_full_batch(features: int, classes: int, options: HeadOptions) -> bool:
    """Whether a head of this size is trained by L-BFGS, else in minibatches."""
    return not options.mixup and features * classes <= _MAX_WEIGHTS


def train_head(
    train: LabelledFeatures,
    val: LabelledFeatures,
    classes: int,
    options: HeadOptions,
    on_epoch: OnEpoch = no_report,
    deadline: Deadline = NO_DEADLINE,
    checkpoints: TimedCheckpoints | None = None,
) -> Head:
    """Train a head and return it with the weights of its best epoch, by `options.stop_on`.

    Args:
        train, val: the two splits; `val` chooses the L2 strength and the epoch.
        classes: the number of classes.
        on_epoch: called after each epoch with the row of the leading candidate, and its logits float32 (n, classes)
            of the validation images; None instead of logits for an epoch before an interruption.
        deadline: time at which to stop with the best head so far; at least one epoch is run.
        checkpoints: an interrupted call is resumed from there, to the same head; a finished one is not repeated.

    Raises:
        TrainingError: the loss is not finite from the first epoch on.
    """
    return train_candidates(_candidates(train, val, classes, options), on_epoch, deadline, checkpoints)


def train_curves(
    train: LabelledFeatures, val: LabelledFeatures, classes: int, options: HeadOptions
) -> list[list[tuple[float, float, float]]]:
    """Loss, accuracy and macro-F1 of `val` after each epoch, for each L2 strength; `train_head` without its head.

    Raises:
        TrainingError: the loss is not finite from the first epoch on.
    """
    search = _candidates(train, val, classes, options)
    train_candidates(search, no_report, NO_DEADLINE, None)
    return [[(row.val_loss, row.val_accuracy, row.val_macro_f1) for row in rows] for rows in search.history]


def train_converged(
    train: LabelledFeatures, val: LabelledFeatures, classes: int, options: HeadOptions
) -> list[ConvergedHead]:
    """Train by L-BFGS for each L2 strength until it has converged, and evaluate `val` once.

    Raises:
        TrainingError: no loss is finite.
    """
    search = FullBatchCandidates(train, val, classes, options)
    search.converge()
    found = search.evaluated()
    if not any(np.isfinite(head.measured.loss) for head in found):
        raise diverged(options.learning_rate)
    return found


def refit_head(data: LabelledFeatures, classes: int, chosen: Head, options: HeadOptions) -> Head:
    """Train on more data, with the L2 strength and the number of epochs that were best for `chosen`."""
    trained = train_settled(data, classes, dataclasses.replace(options, l2=chosen.l2, epochs=chosen.best_epoch))
    return dataclasses.replace(chosen, kernel=trained.kernel, bias=trained.bias)


def train_settled(data: LabelledFeatures, classes: int, settled: HeadOptions) -> Head:
    """Train for all epochs of `settled` with its L2 strength; nothing is chosen or measured."""
    nothing = LabelledFeatures(data.features[:0], data.labels[:0], data.weights[:0])
    search = _candidates(data, nothing, classes, settled)
    search.converge()
    kernel, bias = search.scaling.folded(search.kernel[0], search.bias[0, 0])
    return Head(kernel, bias, float(search.strengths[0]), settled.epochs, ())


def random_head(features: int, classes: int, seed: int) -> Head:
    """An untrained head, uniform within the limits of Glorot and Bengio (2010)."""
    limit = np.sqrt(6 / (features + classes))
    kernel = np.random.default_rng(seed).uniform(-limit, limit, (features, classes)).astype(np.float32)
    return Head(kernel, np.zeros(classes, np.float32), 0.0, 0, ())


def _candidates(train: LabelledFeatures, val: LabelledFeatures, classes: int, options: HeadOptions) -> Candidates:
    full_batch = is_full_batch(train.features.shape[1], classes, options)
    return (FullBatchCandidates if full_batch else _ArrayCandidates)(train, val, classes, options)


class _ArrayCandidates(MinibatchCandidates):
    """Candidates that are trained in minibatches of features in memory."""

    def __init__(self, train: LabelledFeatures, val: LabelledFeatures, classes: int, options: HeadOptions) -> None:
        self._train, self._val = train, val
        adjusted = options.imbalance == "logit_adjustment"
        adjustment = log_priors(train.labels, classes) if adjusted else np.zeros(classes, np.float32)
        scaling, inputs = scaled_with_views(train)
        super().__init__(scaling, adjustment, options)
        views = inputs.reshape(-1, *train.features.shape)
        self._inputs, self._val_inputs = views[0], scaling.scaled(val.features)
        is_large = train.features.shape[1] * classes > _MAX_WEIGHTS
        size = options.batch_size * (BATCHES_IN_ONE if is_large else 1)
        self._batches = TrainBatches(ArrayInputs(views), train.labels, train.weights, classes, options, size)
        self._val_logits = np.zeros((len(self.strengths), len(val.labels), classes), np.float32)

    @property
    def val_logits(self) -> np.ndarray:
        """Logits float32 (n, classes) of the validation images by the leading candidate, after the last epoch."""
        logits: np.ndarray = self._val_logits[self.leader]
        return logits

    def run_epoch(self, epoch: int) -> None:
        """Train all candidates on the batches of an epoch."""
        for inputs, targets, weights in self._batches.epoch(epoch):
            self.step(inputs, targets, weights)

    def measure(self, epoch: int, seconds: float) -> None:
        """Evaluate every candidate after an epoch and keep the weights of those that improved."""
        self._val_logits = self._val_inputs @ self.kernel + self.bias
        for candidate in range(len(self.strengths)):
            logits = self._inputs @ self.kernel[candidate] + (self.bias[candidate] + self.adjustment)
            train = measure(logits, self._train.labels, self._train.weights)
            val = measure(self._val_logits[candidate], self._val.labels, self._val.weights)
            self.keep(candidate, epoch, train, val, seconds)
