"""The head: softmax regression on cached features, several L2 strengths side by side.

A head has few weights and its features are in memory, so an epoch takes milliseconds in NumPy; a
training framework's step costs more than the arithmetic. Minibatches, stochastic gradient descent with
Nesterov momentum (Sutskever et al., 2013), and the L2 penalty as a proximal step, which is stable
at any strength. Features are centred and divided by one number, so that their mean squared norm
is 1 and one learning rate suits all backbones; this is folded into the weights at the end, so the
result is one plain dense layer. Dividing each feature by its own deviation, or Adam, which does
much the same to the gradient, costs one to three points of accuracy on small sets.

`model.training.head_candidates` has the weights of the strengths and their steps.
"""

import dataclasses

import numpy as np

from model.training.batches import ArrayInputs, TrainBatches, log_priors
from model.training.checkpoints import TimedCheckpoints
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.epochs import measure
from model.training.head_candidates import (
    SMALLEST_SCALE,
    Candidates,
    Head,
    HeadOptions,
    OnEpoch,
    Scaling,
    no_report,
    train_candidates,
)


@dataclasses.dataclass(frozen=True)
class LabelledFeatures:
    """Features, labels and weights of the images of a split.

    Attributes:
        features: float32 (n, features).
        labels: int (n,).
        weights: float (n,), of mean 1.
        views: features float32 (n, features) of each augmented view of the same images.
    """

    features: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    views: tuple[np.ndarray, ...] = ()


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
    return train_candidates(_Search(train, val, classes, options), on_epoch, deadline, checkpoints)


def refit_head(data: LabelledFeatures, classes: int, chosen: Head, options: HeadOptions) -> Head:
    """Train on more data, with the L2 strength and the number of epochs that were best for `chosen`."""
    settled = dataclasses.replace(options, l2=chosen.l2, epochs=chosen.best_epoch)
    search = _Search(data, data, classes, settled)
    for epoch in range(1, settled.epochs + 1):
        search.run_epoch(epoch)
    kernel, bias = search.scaling.folded(search.kernel[0], search.bias[0, 0])
    return dataclasses.replace(chosen, kernel=kernel, bias=bias)


def random_head(features: int, classes: int, seed: int) -> Head:
    """An untrained head, uniform within the limits of Glorot and Bengio (2010)."""
    limit = np.sqrt(6 / (features + classes))
    kernel = np.random.default_rng(seed).uniform(-limit, limit, (features, classes)).astype(np.float32)
    return Head(kernel, np.zeros(classes, np.float32), 0.0, 0, ())


class _Search(Candidates):
    """Candidates that are trained on features in memory."""

    def __init__(self, train: LabelledFeatures, val: LabelledFeatures, classes: int, options: HeadOptions) -> None:
        self.train, self.val = train, val
        adjusted = options.imbalance == "logit_adjustment"
        adjustment = log_priors(train.labels, classes) if adjusted else np.zeros(classes, np.float32)
        mean = train.features.mean(axis=0)
        scaling = Scaling(mean, _root_mean_squared_norm(train.features - mean))
        super().__init__(scaling, adjustment, options)
        self.inputs, self.val_inputs = scaling.scaled(train.features), scaling.scaled(val.features)
        views = np.stack([self.inputs, *map(scaling.scaled, train.views)]) if train.views else self.inputs[None]
        self.batches = TrainBatches(
            ArrayInputs(views), train.labels, train.weights, classes, options, options.batch_size
        )
        self._val_logits = np.zeros((len(self.strengths), len(val.labels), classes), np.float32)

    @property
    def val_logits(self) -> np.ndarray:
        """Logits float32 (n, classes) of the validation images by the leading candidate, after the last epoch."""
        logits: np.ndarray = self._val_logits[self.leader]
        return logits

    def run_epoch(self, epoch: int) -> None:
        """Train all candidates on the batches of an epoch."""
        for inputs, targets, weights in self.batches.epoch(epoch):
            self.step(inputs, targets, weights)

    def measure(self, epoch: int, seconds: float) -> None:
        """Evaluate every candidate after an epoch and keep the weights of those that improved."""
        logits = self.inputs @ self.kernel + self.bias + self.adjustment
        self._val_logits = self.val_inputs @ self.kernel + self.bias
        for candidate in range(len(self.strengths)):
            train = measure(logits[candidate], self.train.labels, self.train.weights)
            val = measure(self._val_logits[candidate], self.val.labels, self.val.weights)
            self.keep(candidate, epoch, train, val, seconds)


def _root_mean_squared_norm(features: np.ndarray) -> np.float32:
    """A number above zero, even if all features are equal."""
    return np.float32(max(np.sqrt((features**2).sum(axis=1).mean()), SMALLEST_SCALE))
