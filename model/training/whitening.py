"""Whitening of features within the classes, before a head is trained on them.

Images of one class differ along a few directions, such as those of the background or the light. An L2 penalty treats
all directions alike, so that a head on few images follows them; dividing each by the standard deviation within the
classes, as linear discriminant analysis does (Fisher, 1936), lets it prefer those that separate the classes.
"""

import numpy as np

# Of the variance within the classes, added to that of each direction: few images leave most directions without any
# (shrinkage, Friedman, 1989).
_SHRINKAGE = 1 / 500
# Directions of less of the largest extent are rounding.
_SMALLEST_EXTENT = 1e-5


def can_whiten(labels: np.ndarray) -> bool:
    """Whether the images of these labels, int (n,), say how the images of a class differ: two of each class or more."""
    return len(labels) >= 2 * len(np.unique(labels))


def whitening_map(centred: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Map float32 (features, k) to the span of the images, in which their covariance within the classes is nearly one.

    Args:
        centred: float32 (n, features), of mean zero.
        labels: int (n,).
    """
    basis = _basis(centred)
    inputs = centred @ basis
    means = np.zeros((labels.max() + 1, inputs.shape[1]), np.float32)
    np.add.at(means, labels, inputs)
    means /= np.maximum(np.bincount(labels), 1)[:, None]
    within = inputs - means[labels]
    covariance = (within.T @ within).astype(np.float64) / len(labels)
    variances, directions = np.linalg.eigh(covariance)
    added = _SHRINKAGE * np.trace(covariance)
    widths = np.sqrt(np.maximum(variances, 0.0) + added) if added > 0 else np.ones_like(variances)
    mapped: np.ndarray = (basis @ (directions / widths)).astype(np.float32)
    return mapped


def _basis(centred: np.ndarray) -> np.ndarray:
    """Orthonormal basis float32 (features, k) of the span of some rows."""
    images, features = centred.shape
    if images >= features:
        return np.eye(features, dtype=np.float32)
    _, extents, rows = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    kept = extents > _SMALLEST_EXTENT * max(extents[0], np.finfo(float).tiny)
    kept[0] = True
    basis: np.ndarray = rows[kept].T.astype(np.float32)
    return basis
