"""The head: softmax regression on cached features, several L2 strengths side by side.

A head has few weights and its features are in memory, so an epoch takes milliseconds in NumPy; a
training framework's step costs more than the arithmetic. Minibatches, stochastic gradient descent with
Nesterov momentum (Sutskever et al., 2013), and the L2 penalty as a proximal step, which is stable
at any strength. Features are centred and divided by one number, so that their mean squared norm
is 1 and one learning rate suits all backbones; this is folded into the weights at the end, so the
result is one plain dense layer. Dividing each feature by its own deviation, or Adam, which does
much the same to the gradient, costs one to three points of accuracy on small sets.

All candidates are trained on the same batches, independently: the weights have a leading axis.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import softmax

from model.config import TrainConfig
from model.errors import TrainingError
from model.training.batches import ArrayInputs, TrainBatches, log_priors
from model.training.checkpoints import TimedCheckpoints
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.epochs import Epoch, measure, score

L2_CANDIDATES = (1e-5, 1e-4, 1e-3, 1e-2)
_MOMENTUM = 0.9


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


@dataclasses.dataclass(frozen=True)
class HeadOptions:
    """Options of the training of a head; `model.config.TrainConfig` states their meaning and bounds."""

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    l2: float | None
    seed: int
    imbalance: str = "none"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    stop_on: str = "val_loss"

    @classmethod
    def from_config(cls, config: TrainConfig) -> "HeadOptions":
        """The options of a training that concern its head."""
        return cls(**{field.name: getattr(config, field.name) for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True)
class Head:
    """A dense layer from features to logits, with the history of its training.

    Its logits are not adjusted, whatever `imbalance` was: see `model.training.batches.log_priors`.

    Attributes:
        kernel: float32 (features, classes).
        bias: float32 (classes,).
        l2: strength of the penalty.
        best_epoch: the epoch whose weights these are.
        history: a row per epoch.
        cut_short: whether the deadline ended the training while it could still improve.
    """

    kernel: np.ndarray
    bias: np.ndarray
    l2: float
    best_epoch: int
    history: tuple[Epoch, ...]
    cut_short: bool = False

    @property
    def best(self) -> Epoch:
        """The row of the epoch whose weights these are; there is none if `best_epoch` is 0."""
        return self.history[self.best_epoch - 1]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Logits float32 (n, classes) of features float32 (n, features)."""
        return features @ self.kernel + self.bias


def train_head(
    train: LabelledFeatures,
    val: LabelledFeatures,
    classes: int,
    options: HeadOptions,
    on_epoch: Callable[[Epoch, np.ndarray | None], None] = lambda epoch, val_logits: None,
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
    search = _Search(train, val, classes, options)
    if checkpoints is not None and (found := checkpoints.latest()) is not None:
        search.restore(*found)
        for row in search.history[search.leader]:
            on_epoch(row, None)
    done_before = search.epochs_done
    while not search.is_over(deadline):
        epoch = search.epochs_done + 1
        started = time.perf_counter()
        search.run_epoch(epoch)
        search.measure(epoch, time.perf_counter() - started)
        if not search.best_epoch.any():
            raise TrainingError(
                f"the head diverged: expected a finite loss, received none with learning_rate "
                f"{options.learning_rate}. Lower learning_rate."
            )
        on_epoch(search.history[search.leader][-1], search.val_logits[search.leader])
        if checkpoints is not None:
            checkpoints.save_if_due(search.state)
    if checkpoints is not None and search.epochs_done > done_before:
        checkpoints.save(*search.state())
    return search.head()


def refit_head(data: LabelledFeatures, classes: int, chosen: Head, options: HeadOptions) -> Head:
    """Train on more data, with the L2 strength and the number of epochs that were best for `chosen`."""
    settled = dataclasses.replace(options, l2=chosen.l2, epochs=chosen.best_epoch)
    search = _Search(data, data, classes, settled)
    for epoch in range(1, settled.epochs + 1):
        search.run_epoch(epoch)
    kernel, bias = search.folded(search.kernel[0], search.bias[0])
    return dataclasses.replace(chosen, kernel=kernel, bias=bias)


def random_head(features: int, classes: int, seed: int) -> Head:
    """An untrained head, uniform within the limits of Glorot and Bengio (2010)."""
    limit = np.sqrt(6 / (features + classes))
    kernel = np.random.default_rng(seed).uniform(-limit, limit, (features, classes)).astype(np.float32)
    return Head(kernel, np.zeros(classes, np.float32), 0.0, 0, ())


_CHANGING = ("kernel", "bias", "kernel_momentum", "bias_momentum", "best_epoch")


class _Search:
    """Weights and momentum of all candidates, and the best weights of each so far."""

    def __init__(self, train: LabelledFeatures, val: LabelledFeatures, classes: int, options: HeadOptions) -> None:
        self.train, self.val, self.options = train, val, options
        adjusted = options.imbalance == "logit_adjustment"
        self.adjustment = log_priors(train.labels, classes) if adjusted else np.zeros(classes, np.float32)
        self.mean = train.features.mean(axis=0)
        self.scale = _root_mean_squared_norm(train.features - self.mean)
        self.inputs, self.val_inputs = self._scaled(train.features), self._scaled(val.features)
        views = np.stack([self.inputs, *map(self._scaled, train.views)]) if train.views else self.inputs[None]
        self.batches = TrainBatches(
            ArrayInputs(views), train.labels, train.weights, classes, options, options.batch_size
        )
        strengths = L2_CANDIDATES if options.l2 is None else (options.l2,)
        self.strengths = np.array(strengths, np.float32)
        self.kernel = np.zeros((len(strengths), self.inputs.shape[1], classes), np.float32)
        self.bias = np.zeros((len(strengths), 1, classes), np.float32)
        self.kernel_momentum, self.bias_momentum = np.zeros_like(self.kernel), np.zeros_like(self.bias)
        self.best_score = [(np.inf, np.inf) for _ in strengths]
        self.best_epoch = np.zeros(len(strengths), int)
        self.best = [(self.kernel[0].copy(), self.bias[0].copy()) for _ in strengths]
        self.history: list[list[Epoch]] = [[] for _ in strengths]
        self.val_logits = np.zeros((len(strengths), len(val.labels), classes), np.float32)

        self.cut_short = False

    @property
    def epochs_done(self) -> int:
        """The number of epochs so far."""
        return len(self.history[0])

    def is_over(self, deadline: Deadline) -> bool:
        """Whether to stop: all epochs are run, none has improved for `patience`, or the deadline has passed."""
        done = self.epochs_done
        if not done or self.cut_short:
            return self.cut_short
        if done >= self.options.epochs or done - self.best_epoch.max() >= self.options.patience:
            return True
        self.cut_short = deadline.is_over()
        return self.cut_short

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """State for `restore`, as arrays and plain JSON values; an epoch depends on this state and its number only."""
        arrays = {name: getattr(self, name) for name in _CHANGING}
        arrays |= {f"best_kernel_{number}": kernel for number, (kernel, _) in enumerate(self.best)}
        arrays |= {f"best_bias_{number}": bias for number, (_, bias) in enumerate(self.best)}
        history = [[dataclasses.asdict(row) for row in rows] for rows in self.history]
        return arrays, {"history": history, "cut_short": self.cut_short}

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Restore the state that `state` returned."""
        for name in _CHANGING:
            setattr(self, name, arrays[name])
        numbers = range(len(self.strengths))
        self.best = [(arrays[f"best_kernel_{number}"], arrays[f"best_bias_{number}"]) for number in numbers]
        self.history = [[Epoch(**row) for row in rows] for rows in state["history"]]
        self.best_score = [
            min((score(row, self.options.stop_on) for row in rows), default=(np.inf, np.inf)) for rows in self.history
        ]
        self.cut_short = state["cut_short"]

    @property
    def leader(self) -> int:
        """The index of the candidate with the best epoch so far; the first of equals."""
        return self.best_score.index(min(self.best_score))

    def run_epoch(self, epoch: int) -> None:
        """Train all candidates on the batches of an epoch."""
        for inputs, targets, weights in self.batches.epoch(epoch):
            self._step(inputs, targets, weights)

    def measure(self, epoch: int, seconds: float) -> None:
        """Evaluate every candidate after an epoch and keep the weights of those that improved."""
        logits = self.inputs @ self.kernel + self.bias + self.adjustment
        self.val_logits = self.val_inputs @ self.kernel + self.bias
        for candidate in range(len(self.strengths)):
            train = measure(logits[candidate], self.train.labels, self.train.weights)
            val = measure(self.val_logits[candidate], self.val.labels, self.val.weights)
            row = Epoch(
                "head",
                epoch,
                train.loss,
                train.accuracy,
                val.loss,
                val.accuracy,
                self.options.learning_rate,
                seconds,
                val.macro_f1,
            )
            self.history[candidate].append(row)
            reached = score(row, self.options.stop_on)
            if reached < self.best_score[candidate]:
                self.best_score[candidate], self.best_epoch[candidate] = reached, epoch
                self.best[candidate] = (self.kernel[candidate].copy(), self.bias[candidate].copy())

    def head(self) -> Head:
        """The leading candidate at its best epoch."""
        kernel, bias = self.folded(*self.best[self.leader])
        return Head(
            kernel,
            bias,
            float(self.strengths[self.leader]),
            int(self.best_epoch[self.leader]),
            tuple(self.history[self.leader]),
            self.cut_short,
        )

    def folded(self, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kernel and bias for unscaled features, from those for scaled ones."""
        kernel = kernel / self.scale
        return kernel, bias[0] - self.mean @ kernel

    def _step(self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        error = softmax(inputs @ self.kernel + self.bias + self.adjustment, axis=-1) - targets
        error *= (weights / len(weights))[None, :, None]
        self._descend(self.kernel, self.kernel_momentum, inputs.T @ error)
        self._descend(self.bias, self.bias_momentum, error.sum(axis=1, keepdims=True))
        self.kernel /= (1 + self.options.learning_rate * self.strengths)[:, None, None]

    def _descend(self, values: np.ndarray, momentum: np.ndarray, gradient: np.ndarray) -> None:
        momentum *= _MOMENTUM
        momentum += gradient
        values -= self.options.learning_rate * (gradient + _MOMENTUM * momentum)

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        return ((features - self.mean) / self.scale).astype(np.float32)


def _root_mean_squared_norm(features: np.ndarray) -> np.float32:
    """A number above zero, even if all features are equal."""
    return np.float32(max(np.sqrt((features**2).sum(axis=1).mean()), 1e-6))
