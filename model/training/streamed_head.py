"""The head of features that are larger than memory: the same candidates, trained on rows that are read in windows.

It differs from `model.training.head` in what a pass over all rows costs. Loss and accuracy of the training rows are
running means over the epoch, each batch measured before its step, instead of those of a second pass. A batch has eight
times as many rows: with this many rows an epoch still has thousands of steps, and they take a third of the time.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import threadpoolctl
from scipy.special import softmax

from model.training.batches import ArrayInputs, Batch, TrainBatches, class_weights, log_class_priors
from model.training.checkpoints import TimedCheckpoints
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.epochs import Measured, measure
from model.training.head_candidates import (
    Head,
    HeadOptions,
    LabelledFeatures,
    OnEpoch,
    Scaling,
    no_report,
    train_candidates,
)
from model.training.minibatch_candidates import BATCHES_IN_ONE, MinibatchCandidates
from model.training.prefetch import Prefetched
from model.training.row_windows import WINDOW_ROWS, Measures, RowParts, RowWindows, Window, open_windows

_SMALLEST_PROBABILITY = 1e-30


def train_streamed_head(
    parts: RowParts,
    val: LabelledFeatures,
    classes: int,
    options: HeadOptions,
    directory: Path,
    on_epoch: OnEpoch = no_report,
    deadline: Deadline = NO_DEADLINE,
    checkpoints: TimedCheckpoints | None = None,
    on_part: Callable[[int], None] = lambda done: None,
    window: int = WINDOW_ROWS,
) -> Head:
    """Train a head on rows that need not fit into memory: see `model.training.head.train_head`.

    The memory it takes is that of three windows in half precision, of the validation images, and of a part.

    Args:
        parts: the training rows.
        val: the validation images, in memory.
        classes: the number of classes.
        directory: folder for a file of all rows in half precision, removed at the end.
        on_part: called in the first pass after each part with the number of parts that are done.
        window: rows that are mixed with each other.

    Raises:
        TrainingError: the loss is not finite from the first epoch on.
    """
    windows, measures = open_windows(parts, classes, directory, options.seed, on_part, window)
    try:
        return train_candidates(_StreamedSearch(windows, measures, val, options), on_epoch, deadline, checkpoints)
    finally:
        windows.remove()


class _WindowInputs(ArrayInputs):
    """The features of a window, scaled as they are taken."""

    def __init__(self, features: np.ndarray, scaling: Scaling) -> None:
        super().__init__(features[None])
        self._scaling = scaling

    def take(self, views: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Scaled features float32 (n, features) of the images `rows`."""
        taken = super().take(views, rows).astype(np.float32)
        taken -= self._scaling.mean
        taken *= 1 / self._scaling.scale
        return taken


class _StreamedSearch(MinibatchCandidates):
    """Candidates that are trained on rows in windows.

    The kernels of all candidates are one matrix (features, candidates x classes), by which one product gives all
    logits; `kernel` is a view of it.
    """

    def __init__(self, windows: RowWindows, measures: Measures, val: LabelledFeatures, options: HeadOptions) -> None:
        counts = measures.class_counts
        adjusted = options.imbalance == "logit_adjustment"
        adjustment = log_class_priors(counts) if adjusted else np.zeros(len(counts), np.float32)
        super().__init__(measures.scaling, adjustment, options)
        self._windows, self._val = windows, val
        self._weights = class_weights(counts, options.imbalance)
        candidates, features, classes = self.kernel.shape
        self._matrix = np.zeros((features, candidates * classes), np.float32)
        self._matrix_momentum = np.zeros_like(self._matrix)
        self.kernel, self.kernel_momentum = (
            matrix.reshape(features, candidates, classes).transpose(1, 0, 2)
            for matrix in (self._matrix, self._matrix_momentum)
        )
        self._shrinking = np.repeat(1 / (1 + options.learning_rate * self.strengths), classes)
        self._running = _Running(candidates)
        self._val_logits = np.zeros((len(val.labels), classes), np.float32)

    @property
    def val_logits(self) -> np.ndarray:
        """Logits float32 (n, classes) of the validation images by the leading candidate, after the last epoch."""
        return self._val_logits

    def run_epoch(self, epoch: int) -> None:
        """Train all candidates on all rows, each window mixed, while the next batches are read and scaled."""
        self._running = _Running(len(self.strengths))
        # The products are small, and the other threads read.
        with threadpoolctl.threadpool_limits(1):
            for batch in Prefetched(self._batches(epoch)):
                self.step(*batch)

    def step(self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        """One step of all candidates on a batch, which is measured before."""
        logits = (inputs @ self._matrix).reshape(len(inputs), len(self.strengths), -1)
        logits += self.bias[:, 0] + self.adjustment
        error = softmax(logits, axis=-1)
        self._running.add(error, targets.argmax(axis=1), weights)
        error -= targets[:, None]
        error *= (weights / len(weights))[:, None, None]
        self.descend(self._matrix, self._matrix_momentum, inputs.T @ error.reshape(len(inputs), -1))
        self.descend(self.bias, self.bias_momentum, error.sum(axis=0)[:, None])
        self._matrix *= self._shrinking

    def measure(self, epoch: int, seconds: float) -> None:
        """Evaluate every candidate on the validation images and keep the weights of those that improved."""
        started = time.perf_counter()
        for candidate, train in enumerate(self._running.measured()):
            kernel, bias = self.scaling.folded(self.kernel[candidate], self.bias[candidate, 0])
            logits = self._val.features @ kernel + bias
            val = measure(logits, self._val.labels, self._val.weights)
            self.keep(candidate, epoch, train, val, seconds + time.perf_counter() - started)
            if self.leader == candidate:
                self._val_logits = logits

    def _batches(self, epoch: int) -> Iterator[Batch]:
        for number, window in enumerate(self._windows.windows(epoch)):
            yield from self._batches_of(window, epoch, number)

    def _batches_of(self, window: Window, epoch: int, number: int) -> Iterator[Batch]:
        """The batches of a window; its seed makes them differ from those of other windows."""
        features, labels = window
        seed = int(np.random.default_rng((self.options.seed, epoch, number)).integers(2**31))
        options = dataclasses.replace(self.options, seed=seed)
        inputs = _WindowInputs(features, self.scaling)
        size = BATCHES_IN_ONE * self.options.batch_size
        return TrainBatches(inputs, labels, self._weights[labels], len(self._weights), options, size).epoch(epoch)


class _Running:
    """Sums over the batches of an epoch, for each candidate."""

    def __init__(self, candidates: int) -> None:
        self._loss, self._correct = np.zeros(candidates), np.zeros(candidates)
        self._weight, self._rows = 0.0, 0

    def add(self, probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        """Add a batch: probabilities float32 (n, candidates, classes), the most likely targets int (n,), weights (n,).

        With mixup, these are the classes of the image with the larger proportion.
        """
        of_label = probabilities[np.arange(len(labels)), :, labels]
        self._loss += weights @ -np.log(np.maximum(of_label, _SMALLEST_PROBABILITY))
        self._correct += (probabilities.argmax(axis=-1) == labels[:, None]).sum(axis=0)
        self._weight += float(weights.sum())
        self._rows += len(labels)

    def measured(self) -> list[Measured]:
        """Running means of each candidate; macro-F1 is not measured."""
        return [
            Measured(loss / self._weight, correct / self._rows, float("nan"))
            for loss, correct in zip(self._loss.tolist(), self._correct.tolist(), strict=True)
        ]
