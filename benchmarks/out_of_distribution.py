"""Statistics for the detection of out-of-distribution photos, in the notation of their papers.

Each function is fitted with the features of training photos and returns a score of other features: higher means less
like the training photos. `unknown.py` compares them.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp
from sklearn.covariance import ledoit_wolf_shrinkage

from model.serving.reference_features import NEIGHBOUR, build_reference_features, neighbour_distances
from model.training.head_candidates import Head

Score = Callable[[np.ndarray], np.ndarray]
"""From features float32 (n, features) to scores (n,)."""

_VIM_AXES = 256


def maximum_logit(features: np.ndarray, labels: np.ndarray, head: Head) -> Score:
    """Minus the largest logit (Hendrycks et al., 2022)."""
    return lambda asked: -head.logits(asked).max(axis=1)


def energy(features: np.ndarray, labels: np.ndarray, head: Head) -> Score:
    """Minus the log of the sum of the exponentials of the logits (Liu et al., 2020)."""
    return lambda asked: -np.asarray(logsumexp(head.logits(asked), axis=1))


def mahalanobis(features: np.ndarray, labels: np.ndarray, head: Head) -> Score:
    """Distance to the nearest class mean, by the covariance shared by the classes (Lee et al., 2018)."""
    means, rows = _class_means(features, labels)
    within = _precision(features - means[rows])
    return lambda asked: np.min([within(asked - mean) for mean in means], axis=0)


def relative_mahalanobis(features: np.ndarray, labels: np.ndarray, head: Head) -> Score:
    """The Mahalanobis distance minus that to all training photos as one class (Ren et al., 2021)."""
    by_class, mean = mahalanobis(features, labels, head), features.mean(axis=0)
    background = _precision(features - mean)
    return lambda asked: by_class(asked) - background(asked - mean)


def vim(features: np.ndarray, labels: np.ndarray, head: Head) -> Score:
    """Virtual-logit matching: the energy, and the residual outside the principal space (Wang et al., 2022)."""
    origin = -np.linalg.pinv(head.kernel.T) @ head.bias
    axes = np.linalg.svd(features - origin, full_matrices=False)[2][: min(_VIM_AXES, max(1, len(features) // 2))]

    def residual(asked: np.ndarray) -> np.ndarray:
        centred = asked - origin
        return np.asarray(np.linalg.norm(centred - (centred @ axes.T) @ axes, axis=1))

    scale = head.logits(features).max(axis=1).mean() / max(float(residual(features).mean()), 1e-9)
    by_energy = energy(features, labels, head)
    return lambda asked: scale * residual(asked) + by_energy(asked)


def nearest(features: np.ndarray, labels: np.ndarray, head: Head) -> Score:
    """Distance to the third nearest training photo (Sun et al., 2022, without normalization)."""
    return lambda asked: neighbour_distances(_distances(asked, features), NEIGHBOUR)


def nearest_normalized(features: np.ndarray, labels: np.ndarray, head: Head) -> Score:
    """KNN+: the same on features of length 1 (Sun et al., 2022)."""
    return lambda asked: neighbour_distances(_distances(_unit(asked), _unit(features)), NEIGHBOUR)


def nearest_hellinger(features: np.ndarray, labels: np.ndarray, head: Head) -> Score:
    """The same on the square roots of features."""
    known = _unit(_root(features))
    return lambda asked: neighbour_distances(_distances(_unit(_root(asked)), known), NEIGHBOUR)


def shipped(features: np.ndarray, labels: np.ndarray, head: Head) -> Score:
    """The distance of Topgraft: on square roots, whitened within the classes."""
    reference = build_reference_features(features, labels, [""] * len(labels))
    return lambda asked: neighbour_distances(reference.distances(asked))


STATISTICS: dict[str, Callable[[np.ndarray, np.ndarray, Head], Score]] = {
    "maximum logit": maximum_logit,
    "energy": energy,
    "ViM": vim,
    "Mahalanobis": mahalanobis,
    "relative Mahalanobis": relative_mahalanobis,
    "KNN": nearest,
    "KNN+": nearest_normalized,
    "KNN+, square roots": nearest_hellinger,
    "the same, whitened (Topgraft)": shipped,
}


def _class_means(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (classes, features), and the row of the mean of each photo's class."""
    classes, rows = np.unique(labels, return_inverse=True)
    return np.stack([features[labels == label].mean(axis=0) for label in classes]), rows


def _precision(centred: np.ndarray) -> Score:
    """Squared Mahalanobis length, by the covariance of `centred` shrunk by the method of Ledoit and Wolf (2004)."""
    shrinkage = max(float(ledoit_wolf_shrinkage(centred, assume_centered=True)), 1e-3)
    # The inverse of shared + part * centred.T @ centred by Woodbury's identity: photos are fewer than features.
    shared, part = shrinkage * float((centred**2).mean()), (1 - shrinkage) / len(centred)
    if part < 1e-12:
        return lambda offsets: (offsets**2).sum(axis=1) / shared
    inner = np.linalg.inv(shared / part * np.eye(len(centred)) + centred @ centred.T)

    def squares(offsets: np.ndarray) -> np.ndarray:
        along = offsets @ centred.T
        return np.asarray(((offsets**2).sum(axis=1) - ((along @ inner) * along).sum(axis=1)) / shared)

    return squares


def _root(features: np.ndarray) -> np.ndarray:
    return np.asarray(np.sign(features) * np.sqrt(np.abs(features)))


def _unit(features: np.ndarray) -> np.ndarray:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))
