"""What a batch of training images is, for the head and for fine-tuning alike: which images, and what to answer."""

from collections.abc import Iterator

import numpy as np

from model.config import TrainConfig

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Inputs (n, ...), targets float32 (n, classes) and weights float32 (n,)."""


class TrainBatches:
    """Batches of stored inputs, in an order of its own for each epoch.

    Attributes:
        images: in an epoch.
    """

    def __init__(
        self,
        inputs: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        classes: int,
        config: TrainConfig,
        batch_size: int,
    ) -> None:
        """Args:
        inputs: (views, n, height, width, channels); an epoch takes n, each in one of its views.
        labels, weights: of the images, (n,).
        batch_size: the most in a batch; all are nearly equal.
        """
        self.images = len(labels)
        self._inputs, self._labels, self._weights = inputs, labels, weights
        self._classes, self._config = classes, config
        self._parts = -(-len(labels) // batch_size)

    def __len__(self) -> int:
        return self._parts

    @property
    def smallest_batch(self) -> int:
        """How many images the smallest batch has."""
        return self.images // self._parts

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on."""
        config = self._config
        order = epoch_order(self._labels, config.seed, epoch, config.imbalance == "sampling")
        for number, part in list(enumerate(np.array_split(order, self._parts)))[start:]:
            # A file is read in its own order; within a batch the order means nothing.
            chosen = np.sort(part)
            inputs = self._inputs[(chosen + epoch) % len(self._inputs), chosen]
            targets = soft_targets(self._labels[chosen], self._classes, config.label_smoothing)
            weights = self._weights[chosen]
            if config.mixup:
                rng = np.random.default_rng((config.seed, epoch, number))
                inputs, targets, weights = mix(inputs, targets, weights, config.mixup, rng)
            yield inputs, targets, weights


def epoch_order(labels: np.ndarray, seed: int, epoch: int, balanced: bool) -> np.ndarray:
    """The images of one epoch in their order, int (n,), fixed by the seed and the epoch.

    Args:
        labels: int (n,).
        balanced: draw the n images with replacement, every class present as likely as any other.
    """
    rng = np.random.default_rng((seed, epoch))
    if not balanced:
        return rng.permutation(len(labels))
    chances = 1 / np.bincount(labels)[labels]
    return rng.choice(len(labels), len(labels), p=chances / chances.sum())


def soft_targets(labels: np.ndarray, classes: int, smoothing: float) -> np.ndarray:
    """What to answer, float32 (n, classes): label smoothing (Szegedy et al., 2016) shares `smoothing` among all."""
    targets = np.full((len(labels), classes), smoothing / classes, np.float32)
    targets[np.arange(len(labels)), labels] += np.float32(1 - smoothing)
    return targets


def mix(
    inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, strength: float, rng: np.random.Generator
) -> Batch:
    """Mixup (Zhang et al., 2018): lay another image of the batch over each, in one proportion for the whole batch.

    Args:
        inputs: (n, ...), features or pixels.
        targets: float32 (n, classes), of sum 1.
        weights: float32 (n,).
        strength: both parameters of the beta distribution from which the proportion is drawn, above 0.

    Returns:
        Inputs, targets and weights of the same shapes and types, such that the weighted loss is that of both
        images in their proportion.
    """
    share = np.float32(rng.beta(strength, strength))
    other = rng.permutation(len(inputs))
    mixed = inputs * share + inputs[other] * (1 - share)
    both = share * weights[:, None] * targets + (1 - share) * weights[other, None] * targets[other]
    mixed_weights = both.sum(axis=1)
    if inputs.dtype == np.uint8:
        mixed = np.rint(mixed)
    return mixed.astype(inputs.dtype), both / mixed_weights[:, None], mixed_weights


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """A weight for each image so that all classes present count the same; float32 (n,) of mean 1."""
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    return (len(labels) / (present * counts[labels])).astype(np.float32)


def learning_weights(labels: np.ndarray, classes: int, imbalance: str) -> np.ndarray:
    """The weights of images to learn from, float32 (n,) of mean 1; `imbalance` as in TrainConfig."""
    if imbalance == "class_weights":
        return balanced_weights(labels, classes)
    return np.ones(len(labels), np.float32)


def measuring_weights(labels: np.ndarray, classes: int, imbalance: str) -> np.ndarray:
    """The weights of images to measure on: all that is done about imbalance aims at classes that count the same."""
    if imbalance != "none":
        return balanced_weights(labels, classes)
    return np.ones(len(labels), np.float32)


def log_priors(labels: np.ndarray, classes: int) -> np.ndarray:
    """The logarithm of each class's share of the images, float32 (classes,); one image for a class without any.

    Added to the logits while training, they leave the logits themselves without the preference for
    large classes: logit adjustment (Menon et al., 2021).
    """
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return np.log(counts / counts.sum()).astype(np.float32)
