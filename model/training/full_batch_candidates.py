"""Candidates for a head whose epochs are iterations of L-BFGS on all images at once.

For features in memory and a head of moderate size this takes a fraction of the time of minibatches: an iteration is one
product of all features with the weights and one back, and some fifty of them replace thousands of small steps, each of
which changes every weight. An epoch is one iteration, in which every image is used once, as in an epoch of minibatches.
So early stopping, time limit, checkpoints and the history of epochs mean the same for both. There is no randomness.

Every candidate has its own line search and pairs. A candidate stops once its gradient has nearly vanished. With early
stopping, one that does not lead also stops after `patience` epochs without improvement.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from model.training.batches import balanced_weights, log_priors
from model.training.deadline import Deadline
from model.training.epochs import Measured, measure
from model.training.head_candidates import (
    FULL_BATCH,
    MOMENTUM,
    SMALLEST_SCALE,
    Candidates,
    HeadOptions,
    LabelledFeatures,
    Scaling,
)
from model.training.quasi_newton import CurvaturePairs
from model.training.whitening import whitening_map

# Rows of a block: its logits stay in the cache of the processor.
_BLOCK = 4096
# Norm of the gradient, relative to that of weights of zero, at which a candidate has converged.
_CONVERGED = 1e-3
# A step has to lower the objective by this part of what its slope promises (Armijo), up to rounding in float32.
_SUFFICIENT, _ROUNDING = 1e-4, 1e-7
_MAX_HALVINGS = 20


@dataclasses.dataclass(frozen=True)
class ConvergedHead:
    """Validation images by a head that has converged: metrics, and logits float32 (n, classes)."""

    measured: Measured
    logits: np.ndarray


class FullBatchCandidates(Candidates):
    """Candidates that are trained on all features at once."""

    method = FULL_BATCH
    changing = ("kernel", "bias", "best_epoch", "stopped")

    def __init__(self, train: LabelledFeatures, val: LabelledFeatures, classes: int, options: HeadOptions) -> None:
        adjusted = options.imbalance == "logit_adjustment"
        adjustment = log_priors(train.labels, classes) if adjusted else np.zeros(classes, np.float32)
        scaling, inputs = scaled_with_views(train, options.whitened)
        super().__init__(scaling, adjustment, options)
        self.stopped = np.zeros(len(self.strengths), bool)
        self._objective = _Objective(inputs, train, adjustment, options)
        self._val, self._val_inputs = val, scaling.scaled(val.features)
        self._val_logits = np.zeros((len(val.labels), classes), np.float32)
        start = self._objective.evaluate(self.kernel[0], self.bias[0], 0.0)
        self._first_norm = float(np.linalg.norm(start.gradient))
        self._found = [start] * len(self.strengths)
        self._pairs = [CurvaturePairs() for _ in self.strengths]

    @property
    def val_logits(self) -> np.ndarray:
        """Logits float32 (n, classes) of the validation images by the leading candidate, after the last epoch."""
        return self._val_logits

    def run_epoch(self, epoch: int) -> None:
        """One iteration of each candidate that has not stopped."""
        for candidate in np.flatnonzero(~self.stopped).tolist():
            self._iterate(candidate)

    def measure(self, epoch: int, seconds: float) -> None:
        """Evaluate every candidate, keep the weights of those that improved, and stop those that do not any more."""
        for candidate in range(len(self.strengths)):
            if self.stopped[candidate] and self.history[candidate]:
                row = self.history[candidate][-1]
                train = Measured(row.loss, row.accuracy, row.val_macro_f1)
                val = Measured(row.val_loss, row.val_accuracy, row.val_macro_f1)
                self.keep(candidate, epoch, train, val, seconds)
                continue
            logits = self._val_inputs @ self.kernel[candidate] + self.bias[candidate]
            val = measure(logits, self._val.labels, self._val.weights)
            self.keep(candidate, epoch, self._found[candidate].measured, val, seconds)
            if self.leader == candidate:
                self._val_logits = logits
        late = epoch - self.best_epoch >= self.options.max_epochs_without_improvement
        late[self.leader] = False
        self.stopped |= late

    def evaluated(self) -> list[ConvergedHead]:
        """The validation images by each candidate as it is now."""
        logits = [self._val_inputs @ kernel + bias for kernel, bias in zip(self.kernel, self.bias, strict=True)]
        return [ConvergedHead(measure(values, self._val.labels, self._val.weights), values) for values in logits]

    def is_over(self, deadline: Deadline) -> bool:
        """Whether to stop: see `Candidates.is_over`; or all candidates have converged."""
        return bool(self.stopped.all()) or super().is_over(deadline)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """State for `restore`, with the pairs of each candidate."""
        arrays, state = super().state()
        for number, pairs in enumerate(self._pairs):
            arrays |= {f"{name}_{number}": values for name, values in pairs.state().items()}
        return arrays, state

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Restore the state that `state` returned."""
        super().restore(arrays, state)
        for number, pairs in enumerate(self._pairs):
            pairs.restore(arrays[f"steps_{number}"], arrays[f"changes_{number}"])
            self._found[number] = self._evaluate(number, self.kernel[number], self.bias[number])
        self._val_logits = self._val_inputs @ self.kernel[self.leader] + self.bias[self.leader]

    def _iterate(self, candidate: int) -> None:
        """One step of a candidate, halved until it lowers the objective; without any that does, it stops."""
        before, pairs = self._found[candidate], self._pairs[candidate]
        direction = pairs.direction(before.gradient)
        slope = float(direction @ before.gradient)
        length = self.options.learning_rate
        for _ in range(_MAX_HALVINGS):
            step = direction * np.float32(length)
            by_feature = step.reshape(-1, len(self.adjustment))
            kernel, bias = self.kernel[candidate] + by_feature[:-1], self.bias[candidate] + by_feature[-1]
            after = self._evaluate(candidate, kernel, bias)
            allowed = before.value + _SUFFICIENT * length * slope + _ROUNDING * abs(before.value)
            if after.value <= allowed:
                pairs.add(step, after.gradient - before.gradient)
                self.kernel[candidate], self.bias[candidate], self._found[candidate] = kernel, bias, after
                norm = float(np.linalg.norm(after.gradient))
                self.stopped[candidate] = norm <= _CONVERGED * self._first_norm
                return
            length /= 2
        self.stopped[candidate] = True

    def _evaluate(self, candidate: int, kernel: np.ndarray, bias: np.ndarray) -> "_Evaluation":
        # As strong as beside the gradient of minibatches, which momentum strengthens.
        penalty = float(self.strengths[candidate]) * (1 - MOMENTUM)
        return self._objective.evaluate(kernel, bias, penalty)


@dataclasses.dataclass(frozen=True)
class _Evaluation:
    """The objective at some weights.

    Attributes:
        value: mean cross-entropy in nats and penalty.
        gradient: float32 ((features + 1) x classes,), that of the kernel followed by that of the bias.
        measured: of the training images, without penalty, label smoothing and views; macro-F1 is not measured.
    """

    value: float
    gradient: np.ndarray
    measured: Measured


class _Objective:
    """Mean cross-entropy of the training images, with their views as further images, and the L2 penalty."""

    def __init__(
        self, inputs: np.ndarray, train: LabelledFeatures, adjustment: np.ndarray, options: HeadOptions
    ) -> None:
        self._inputs, self._adjustment, self._smoothing = inputs, adjustment, options.label_smoothing
        self._train = train
        copies = 1 + len(train.views)
        self._labels = np.tile(train.labels, copies)
        # What sampling amounts to on average.
        sampled = options.imbalance == "sampling"
        weights = balanced_weights(train.labels, len(adjustment)) if sampled else train.weights
        self._weights = np.tile(np.asarray(weights, np.float32), copies) / np.float32(len(inputs))

    def evaluate(self, kernel: np.ndarray, bias: np.ndarray, penalty: float) -> _Evaluation:
        """Evaluate at a kernel float32 (features, classes) and a bias float32 (1, classes)."""
        losses, correct = np.empty(len(self._inputs), np.float32), np.empty(len(self._inputs), bool)
        gradient = np.zeros((len(kernel) + 1, kernel.shape[1]), np.float32)
        value = 0.5 * penalty * float(np.vdot(kernel, kernel))
        gradient[:-1] = np.float32(penalty) * kernel
        for rows in self._blocks():
            inputs, labels, weights = self._inputs[rows], self._labels[rows], self._weights[rows]
            logs = _log_softmax(inputs @ kernel + (bias[0] + self._adjustment))
            each = np.arange(len(labels))
            losses[rows], correct[rows] = -logs[each, labels], logs.argmax(axis=1) == labels
            softened = (1 - self._smoothing) * losses[rows] - self._smoothing * logs.mean(axis=1)
            value += float(np.dot(softened, weights))
            error = np.exp(logs, out=logs)
            error -= self._smoothing / error.shape[1]
            error[each, labels] -= 1 - self._smoothing
            error *= weights[:, None]
            gradient[:-1] += inputs.T @ error
            gradient[-1] += error.sum(axis=0)
        images = len(self._train.labels)
        loss = float(np.average(losses[:images], weights=self._train.weights))
        return _Evaluation(value, gradient.ravel(), Measured(loss, float(correct[:images].mean()), float("nan")))

    def _blocks(self) -> Iterator[slice]:
        return (slice(start, start + _BLOCK) for start in range(0, len(self._inputs), _BLOCK))


def scaled_with_views(train: LabelledFeatures, whitened: bool = False) -> tuple[Scaling, np.ndarray]:
    """Scaling of the images, and their scaled features followed by those of each view: float32 (n, width)."""
    mean = train.features.mean(axis=0)
    inputs = np.concatenate([train.features, *train.views])
    inputs -= mean
    whitening = None
    if whitened:
        whitening = whitening_map(inputs, np.tile(train.labels, 1 + len(train.views)))
        inputs = inputs @ whitening
    images = inputs[: len(train.features)]
    # A number above zero, even if all features are equal.
    norm = np.sqrt(np.einsum("ij,ij->i", images, images).mean(dtype=np.float64))
    scaling = Scaling(mean, np.float32(max(norm, SMALLEST_SCALE)), whitening)
    inputs *= 1 / scaling.scale
    return scaling, inputs


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities, in place, of logits float32 (n, classes)."""
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits
