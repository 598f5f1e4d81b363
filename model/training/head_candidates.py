"""Candidates for a head: one for each L2 strength, trained side by side on the same batches, independently.

The weights of all candidates are one array with a leading axis. `model.training.head` trains them on features in
memory, `model.training.streamed_head` on features that are read in parts. Features are centred and divided by one
number, so that their mean squared norm is 1 and one learning rate suits all backbones; this is folded into the weights
at the end, so the result is one plain dense layer.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from model.config import TrainConfig
from model.errors import TrainingError
from model.training.checkpoints import TimedCheckpoints
from model.training.deadline import Deadline
from model.training.epochs import Epoch, Measured, score

L2_CANDIDATES = (1e-5, 1e-4, 1e-3, 1e-2)
"""L2 strengths with early stopping, which regularises too."""

L2_OF_CONVERGED = (1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
"""L2 strengths without early stopping: few photos need strong ones."""

SMALLEST_SCALE = 1e-6
FULL_BATCH, MINIBATCHES = "full batch", "minibatches"
MOMENTUM = 0.9
"""Of minibatches. It makes the gradient 1 / (1 - MOMENTUM) times as strong as the L2 penalty beside it."""

OnEpoch = Callable[[Epoch, np.ndarray | None], None]
"""Called after each epoch with the row of the leading candidate, and its logits float32 (n, classes) of the validation
images; None instead of logits for an epoch before an interruption."""


def no_report(row: Epoch, val_logits: np.ndarray | None) -> None:
    """`OnEpoch` that reports nothing."""


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
    """Options of the training of a head; `model.config.TrainConfig` states the meaning and bounds of the others.

    Attributes:
        until_converged: whether each candidate is trained until its gradient has nearly vanished, or for all epochs,
            instead of stopping early; L-BFGS only.
        whitened: whether the features are whitened first (`model.training.whitening`); L-BFGS only.
        tried: the L2 strengths of the candidates; empty for those of `l2` and `until_converged`.
    """

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
    until_converged: bool = False
    whitened: bool = False
    tried: tuple[float, ...] = ()

    @classmethod
    def from_config(cls, config: TrainConfig) -> "HeadOptions":
        """The options of a training that concern its head."""
        known = vars(config)
        return cls(**{field.name: known[field.name] for field in dataclasses.fields(cls) if field.name in known})

    @property
    def strengths(self) -> tuple[float, ...]:
        """The L2 strengths of the candidates."""
        if self.tried:
            return self.tried
        if self.l2 is not None:
            return (self.l2,)
        return L2_OF_CONVERGED if self.until_converged else L2_CANDIDATES

    @property
    def max_epochs_without_improvement(self) -> int:
        """The number of epochs without improvement after which a candidate stops."""
        return self.epochs if self.until_converged else self.patience


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


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Centring of features, and division by one number, after which their mean squared norm is 1.

    Attributes:
        mean: float32 (features,).
        scale: root of the mean squared norm of the centred features, above 0.
        whitening: float32 (features, k), applied to centred features before the division; None for none.
    """

    mean: np.ndarray
    scale: np.float32
    whitening: np.ndarray | None = None

    @property
    def width(self) -> int:
        """The number of scaled features."""
        return len(self.mean) if self.whitening is None else self.whitening.shape[1]

    def scaled(self, features: np.ndarray) -> np.ndarray:
        """Scaled features float32 (n, width) of features (n, features)."""
        scaled = np.subtract(features, self.mean, dtype=np.float32)
        if self.whitening is not None:
            scaled = scaled @ self.whitening
        scaled *= 1 / self.scale
        return scaled

    def folded(self, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kernel and bias float32 (classes,) for unscaled features, from those for scaled ones."""
        kernel = kernel / self.scale
        if self.whitening is not None:
            kernel = self.whitening @ kernel
        return kernel, bias - self.mean @ kernel


class Candidates:
    """Weights of all candidates, and the best weights of each so far.

    Attributes:
        method: how they are trained; a checkpoint of another method is of no use.
        changing: names of the arrays that epochs change.
        strengths: float32 (candidates,), the L2 strengths.
        kernel: float32 (candidates, features, classes), for scaled features.
        bias: float32 (candidates, 1, classes).
        adjustment: float32 (classes,), added to the logits in training.
    """

    method = ""
    changing: tuple[str, ...] = ("kernel", "bias", "best_epoch")

    def __init__(self, scaling: Scaling, adjustment: np.ndarray, options: HeadOptions) -> None:
        self.scaling, self.adjustment, self.options = scaling, adjustment, options
        strengths = options.strengths
        self.strengths = np.array(strengths, np.float32)
        self.kernel = np.zeros((len(strengths), scaling.width, len(adjustment)), np.float32)
        self.bias = np.zeros((len(strengths), 1, len(adjustment)), np.float32)
        self.best_score = [(np.inf, np.inf) for _ in strengths]
        self.best_epoch = np.zeros(len(strengths), int)
        self.best = [(self.kernel[0].copy(), self.bias[0].copy()) for _ in strengths]
        self.history: list[list[Epoch]] = [[] for _ in strengths]
        self.cut_short = False

    @property
    def val_logits(self) -> np.ndarray:
        """Logits float32 (n, classes) of the validation images by the leading candidate, after the last epoch."""
        raise NotImplementedError

    def run_epoch(self, epoch: int) -> None:
        """Train all candidates on the batches of an epoch."""
        raise NotImplementedError

    def measure(self, epoch: int, seconds: float) -> None:
        """Evaluate every candidate after an epoch, and `keep` the weights of those that improved."""
        raise NotImplementedError

    def converge(self) -> None:
        """Run all epochs without evaluating any."""
        for epoch in range(1, self.options.epochs + 1):
            self.run_epoch(epoch)

    @property
    def epochs_done(self) -> int:
        """The number of epochs so far."""
        return len(self.history[0])

    def is_over(self, deadline: Deadline) -> bool:
        """Whether to stop: all epochs are run, none has improved for `patience`, or the deadline has passed."""
        done = self.epochs_done
        if not done or self.cut_short:
            return self.cut_short
        if done >= self.options.epochs or done - self.best_epoch.max() >= self.options.max_epochs_without_improvement:
            return True
        self.cut_short = deadline.is_over()
        return self.cut_short

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """State for `restore`, as arrays and plain JSON values; an epoch depends on this state and its number only."""
        arrays = {name: getattr(self, name) for name in self.changing}
        arrays |= {f"best_kernel_{number}": kernel for number, (kernel, _) in enumerate(self.best)}
        arrays |= {f"best_bias_{number}": bias for number, (_, bias) in enumerate(self.best)}
        history = [[dataclasses.asdict(row) for row in rows] for rows in self.history]
        return arrays, {"method": self.method, "history": history, "cut_short": self.cut_short}

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Restore the state that `state` returned."""
        for name in self.changing:
            getattr(self, name)[...] = arrays[name]
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

    def keep(self, candidate: int, epoch: int, train: Measured, val: Measured, seconds: float) -> None:
        """Add the row of an epoch to the history of a candidate, and keep its weights if it improved."""
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
        kernel, bias = self.best[self.leader]
        return Head(
            *self.scaling.folded(kernel, bias[0]),
            float(self.strengths[self.leader]),
            int(self.best_epoch[self.leader]),
            tuple(self.history[self.leader]),
            self.cut_short,
        )


def diverged(learning_rate: float) -> TrainingError:
    """The error of a head without a finite loss."""
    return TrainingError(
        f"the head diverged: expected a finite loss, received none with learning_rate {learning_rate}. "
        f"Lower learning_rate."
    )


def train_candidates(
    search: Candidates, on_epoch: OnEpoch, deadline: Deadline, checkpoints: TimedCheckpoints | None
) -> Head:
    """Train candidates and return the best one at its best epoch: see `model.training.head.train_head`."""
    found = None if checkpoints is None else checkpoints.latest()
    # Older versions had minibatches only.
    if found is not None and found[1].get("method", MINIBATCHES) == search.method:
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
            raise diverged(search.options.learning_rate)
        on_epoch(search.history[search.leader][-1], search.val_logits)
        if checkpoints is not None:
            checkpoints.save_if_due(search.state)
    if checkpoints is not None and search.epochs_done > done_before:
        checkpoints.save(*search.state())
    return search.head()
