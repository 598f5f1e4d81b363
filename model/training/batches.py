"""What a batch of training images is, for the head and for fine-tuning alike: which images, and what to answer."""

import numpy as np


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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def log_priors(labels: np.ndarray, classes: int) -> np.ndarray:
    """The logarithm of each class's share of the images, float32 (classes,); one image for a class without any.

    Added to the logits while training, they leave the logits themselves without the preference for
    large classes: logit adjustment (Menon et al., 2021).
    """
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return np.log(counts / counts.sum()).astype(np.float32)
