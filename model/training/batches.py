"""Training batches of the head and of fine-tuning: the order of an epoch, views, targets, weights and mixup."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Inputs (n, ...), targets float32 (n, classes) and weights float32 (n,)."""


class InputSource(Protocol):
    """Stored inputs of images, features or pixels, in one or more views each.

    Attributes:
        views: the number of views of each image.
        is_sequential: whether reading is fast only in the order of storage.
    """

    @property
    def views(self) -> int: ...

    @property
    def is_sequential(self) -> bool: ...

    def take(self, views: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Inputs (n, ...) of the images `rows`, int (n,), each in its view in `views`, int (n,)."""


class ArrayInputs:
    """Inputs in memory: an array (views, images, ...)."""

    is_sequential = False

    def __init__(self, inputs: np.ndarray) -> None:
        self._inputs = inputs

    @property
    def views(self) -> int:
        """The number of views of each image."""
        return len(self._inputs)

    def take(self, views: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Inputs (n, ...) of the images `rows`, each in its view in `views`."""
        taken: np.ndarray = self._inputs[views, rows]
        return taken


class MappedInputs(ArrayInputs):
    """Inputs in a memory-mapped file (views, images, ...): their number is not limited by memory."""

    is_sequential = True


class BatchOptions(Protocol):
    """The options of `model.config.TrainConfig` that determine the content of a batch."""

    @property
    def seed(self) -> int: ...

    @property
    def imbalance(self) -> str: ...

    @property
    def label_smoothing(self) -> float: ...

    @property
    def mixup(self) -> float: ...


class TrainBatches:
    """Batches of stored inputs. An epoch has each image once, in its next view, in a new random order.

    Attributes:
        images: in an epoch.
    """

    def __init__(
        self,
        inputs: InputSource,
        labels: np.ndarray,
        weights: np.ndarray,
        classes: int,
        options: BatchOptions,
        batch_size: int,
    ) -> None:
        """Args:
        labels, weights: labels and weights of the images, (n,).
        batch_size: the maximum; all batches are nearly equal.
        """
        self.images = len(labels)
        self._inputs, self._labels, self._weights = inputs, labels, weights
        self._classes, self._options = classes, options
        self._batches = -(-len(labels) // batch_size)

    def __len__(self) -> int:
        return self._batches

    @property
    def smallest_batch(self) -> int:
        """The number of images in the smallest batch."""
        return self.images // self._batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on, fixed by the seed and the epoch."""
        options = self._options
        order = epoch_order(self._labels, options.seed, epoch, options.imbalance == "sampling")
        for number, rows in list(enumerate(np.array_split(order, self._batches)))[start:]:
            if self._inputs.is_sequential:
                # The order within a batch does not matter.
                rows = np.sort(rows)
            inputs = self._inputs.take((rows + epoch) % self._inputs.views, rows)
            targets = soft_targets(self._labels[rows], self._classes, options.label_smoothing)
            weights = self._weights[rows]
            if options.mixup:
                rng = np.random.default_rng((options.seed, epoch, number))
                inputs, targets, weights = mix(inputs, targets, weights, options.mixup, rng)
            yield inputs, targets, weights


def epoch_order(labels: np.ndarray, seed: int, epoch: int, balanced: bool) -> np.ndarray:
    """The images of one epoch in their order, int (n,), fixed by the seed and the epoch.

    Args:
        labels: int (n,).
        balanced: sample the n images with replacement, each present class with the same probability.
    """
    rng = np.random.default_rng((seed, epoch))
    if not balanced:
        return rng.permutation(len(labels))
    chances = 1 / np.bincount(labels)[labels]
    return rng.choice(len(labels), len(labels), p=chances / chances.sum())


def soft_targets(labels: np.ndarray, classes: int, smoothing: float) -> np.ndarray:
    """Target probabilities float32 (n, classes), with label smoothing (Szegedy et al., 2016)."""
    targets = np.full((len(labels), classes), smoothing / classes, np.float32)
    targets[np.arange(len(labels)), labels] += np.float32(1 - smoothing)
    return targets


def mix(
    inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, strength: float, rng: np.random.Generator
) -> Batch:
    """Mixup (Zhang et al., 2018): blend each image with another one of the batch, in the same proportion for all.

    Args:
        inputs: (n, ...), features or pixels.
        targets: float32 (n, classes), of sum 1.
        weights: float32 (n,).
        strength: both parameters of the beta distribution of the proportion, above 0.

    Returns:
        Inputs, targets and weights of the same shapes and types, such that the weighted loss is that of both
        images in their proportion.
    """
    proportion = np.float32(rng.beta(strength, strength))
    other = rng.permutation(len(inputs))
    mixed = inputs * proportion + inputs[other] * (1 - proportion)
    both = proportion * weights[:, None] * targets + (1 - proportion) * weights[other, None] * targets[other]
    mixed_weights = both.sum(axis=1)
    if inputs.dtype == np.uint8:
        mixed = np.rint(mixed)
    return mixed.astype(inputs.dtype), both / mixed_weights[:, None], mixed_weights


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weights of images with which all present classes have the same total: float32 (n,) of mean 1."""
    return balanced_class_weights(np.bincount(labels, minlength=classes))[labels]


def balanced_class_weights(counts: np.ndarray) -> np.ndarray:
    """The same by class, float32 (classes,), from the number of images of each; 0 for a class without any."""
    present = np.count_nonzero(counts)
    return (np.where(counts, counts.sum(), 0) / (present * np.maximum(counts, 1))).astype(np.float32)


def learning_weights(labels: np.ndarray, classes: int, imbalance: str) -> np.ndarray:
    """Weights of training images in the loss: float32 (n,) of mean 1; `imbalance` as in TrainConfig."""
    return class_weights(np.bincount(labels, minlength=classes), imbalance)[labels]


def class_weights(counts: np.ndarray, imbalance: str) -> np.ndarray:
    """The same by class, float32 (classes,), from the number of images of each."""
    if imbalance == "class_weights":
        return balanced_class_weights(counts)
    return np.ones(len(counts), np.float32)


def measuring_weights(labels: np.ndarray, classes: int, imbalance: str) -> np.ndarray:
    """Weights of validation images, float32 (n,) of mean 1: equal for all classes if class imbalance is handled."""
    if imbalance != "none":
        return balanced_weights(labels, classes)
    return np.ones(len(labels), np.float32)


def log_priors(labels: np.ndarray, classes: int) -> np.ndarray:
    """Logarithms of the class frequencies, float32 (classes,): see `log_class_priors`."""
    return log_class_priors(np.bincount(labels, minlength=classes))


def log_class_priors(counts: np.ndarray) -> np.ndarray:
    """Logarithms of the class frequencies, float32 (classes,); a class without images counts as having one.

    Added to the logits in training, they remove the preference for large classes from the logits
    themselves: logit adjustment (Menon et al., 2021).

    Args:
        counts: number of images of each class, int (classes,).
    """
    counts = np.maximum(counts, 1)
    return np.log(counts / counts.sum()).astype(np.float32)
