"""Reference features: the features of the training images, for distances and nearest neighbours.

Features are scaled to length 1 and compared by Euclidean distance, as in Sun et al. (Out-of-Distribution Detection with
Deep Nearest Neighbors, 2022). For a small file and a quick search they are projected on their first principal axes.
One more component holds the length of the residual, so that projected vectors keep the length 1, an image is at
distance 0 from itself, and no distance exceeds that of the full features.
"""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model import durable

MAX_IMAGES = 20_000
MAX_AXES = 256
NEIGHBOUR = 3
FIRST_AXES = 4
CLASS_AXES = 8
_FEW_IMAGES = 32
_BLOCK = 1024


@dataclasses.dataclass(frozen=True)
class ReferenceFeatures:
    """Features of the training images.

    Attributes:
        axes: float32 (at most 256, features), orthonormal rows.
        vectors: float32 (n, axes + 1), each of length 1.
        labels: int32 (n,), class indices.
        names: paths of the images inside their dataset.
        directions: float32 (components, axes + 1), along which drift is detected: the first axes, then those that
            separate the class means. None for a model of an older version.
    """

    axes: np.ndarray
    vectors: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    directions: np.ndarray | None = None

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Distance of each image from each training image.

        Args:
            features: float32 (m, features), output of the network.

        Returns:
            float32 (m, n), in [0, 2]; at most 1.42 for non-negative features, such as those of a ReLU.
        """
        return self.projected_distances(self.project(features))

    def project(self, features: np.ndarray) -> np.ndarray:
        """Features float32 (m, features) projected on the axes: float32 (m, axes + 1)."""
        return _project(features, self.axes)

    def projected_distances(self, vectors: np.ndarray) -> np.ndarray:
        """Distances, see `distances`, of vectors returned by `project`."""
        return _distances(vectors, self.vectors)

    def components(self, vectors: np.ndarray) -> np.ndarray | None:
        """Projected vectors along the directions: float32 (m, components), or None if there are no directions."""
        return None if self.directions is None else _products(vectors, self.directions)

    def save(self, path: Path) -> None:
        """Write a compressed .npz; vectors in half precision, which changes a distance by less than 0.001."""
        stream = io.BytesIO()
        directions: dict[str, Any] = {}
        if self.directions is not None:
            directions["directions"] = self.directions.astype(np.float16)
        np.savez_compressed(
            stream,
            axes=self.axes.astype(np.float16),
            vectors=self.vectors.astype(np.float16),
            labels=self.labels.astype(np.int32),
            names=np.frombuffer("\0".join(self.names).encode("utf-8", "replace"), np.uint8),
            **directions,
        )
        durable.write_bytes(path, stream.getvalue())


def read_reference_features(content: bytes) -> ReferenceFeatures:
    """Read the content of a file written by `ReferenceFeatures.save`.

    Raises:
        ValueError, KeyError, zipfile.BadZipFile: the content is invalid.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        names = tuple(arrays["names"].tobytes().decode("utf-8").split("\0"))
        axes, vectors = arrays["axes"].astype(np.float32), arrays["vectors"].astype(np.float32)
        labels = arrays["labels"]
        directions = arrays["directions"].astype(np.float32) if "directions" in arrays else None
    if not len(names) == len(labels) == len(vectors) or vectors.shape[1] != len(axes) + 1:
        raise ValueError(
            f"expected as many names and labels as vectors, received {len(names)}, {len(labels)} and {vectors.shape}"
        )
    return ReferenceFeatures(axes, _normalize(vectors), labels, names, directions)


def build_reference_features(
    features: np.ndarray, labels: np.ndarray, names: Sequence[str], seed: int = 0, limit: int = MAX_IMAGES
) -> ReferenceFeatures:
    """Build reference features from training images; more than `limit` are sampled.

    Args:
        features: float32 (n, features), n at least 1.
        labels: int (n,).
        names: n of them.
        seed: random seed of the sample.
    """
    if len(features) > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(len(features), limit, replace=False))
        features, labels, names = features[chosen], labels[chosen], [names[index] for index in chosen]
    axes = _principal_axes(_normalize(features))
    vectors = _project(features, axes)
    return ReferenceFeatures(axes, vectors, labels.astype(np.int32), tuple(names), _directions(vectors, labels))


def neighbour_distances(distances: np.ndarray, neighbour: int = NEIGHBOUR) -> np.ndarray:
    """Distance of each image to its third nearest training image, (m,) of distances (m, n).

    The nearest one alone may be an outlier itself. With fewer than three, it is the distance to the farthest.
    """
    index = min(neighbour, distances.shape[1]) - 1
    return np.partition(distances, index, axis=1)[:, index]


def leave_one_out_distances(reference: ReferenceFeatures) -> np.ndarray:
    """`neighbour_distances` of each training image among all the others, (n,); n at least 2."""
    result = np.empty(len(reference.vectors), np.float32)
    for start in range(0, len(result), _BLOCK):
        rows = slice(start, start + _BLOCK)
        block = _distances(reference.vectors[rows], reference.vectors)
        block[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        index = min(NEIGHBOUR, len(result) - 1) - 1
        result[rows] = np.partition(block, index, axis=1)[:, index]
    return result


def _project(features: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Unit vectors float32 (n, axes + 1) of features (n, features): components along the axes, and the residual."""
    unit = _normalize(features)
    along = _products(unit, axes)
    residual = np.sqrt(np.maximum(1 - (along**2).sum(axis=1, keepdims=True), 0))
    return np.concatenate([along, residual], axis=1)


def _principal_axes(vectors: np.ndarray) -> np.ndarray:
    """Principal axes of vectors (n, features), around 0 and not around their mean."""
    images, features = vectors.shape
    count = min(MAX_AXES, images, features)
    if images < features:
        axes = np.linalg.svd(vectors, full_matrices=False)[2]
    else:
        axes = np.linalg.eigh(vectors.T @ vectors)[1].T[::-1]
    return np.ascontiguousarray(axes[:count], np.float32)


def _directions(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Directions for drift detection: the first axes show new content, the axes between class means new frequencies."""
    first = np.eye(min(FIRST_AXES, vectors.shape[1] - 1), vectors.shape[1], dtype=np.float32)
    means = np.stack([vectors[labels == label].mean(axis=0) for label in np.unique(labels)])
    count = min(CLASS_AXES, len(means) - 1, vectors.shape[1])
    centred = means - means.mean(axis=0)
    between = np.linalg.eigh(centred.T @ centred)[1].T[::-1][:count]
    # Rounded as in the file, so that held-out and new images have the same components.
    return np.concatenate([first, between]).astype(np.float16).astype(np.float32)


def _normalize(features: np.ndarray) -> np.ndarray:
    values = np.asarray(features, np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _distances(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distances between vectors of length 1: float32 (m, n)."""
    return np.sqrt(np.maximum(2 - 2 * _products(vectors, others), 0))


def _products(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Inner product of each of `rows` with each of `others`: float32 (m, n)."""
    if len(rows) > _FEW_IMAGES:
        return rows @ others.T
    # @ starts threads even for a few rows; on a busy machine, waiting for them takes a hundred times the computation.
    return np.einsum("ij,kj->ik", rows, others)
