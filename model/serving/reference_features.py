"""What a model remembers of its training images: how far a photo is from them all, and which are most alike.

Features are brought to length 1 and compared by Euclidean distance, as Sun et al. (Out-of-Distribution Detection with
Deep Nearest Neighbors, 2022) do. To keep the file small and the search short they are projected on their first
principal axes; one more number holds the length of what lies beside these axes, so that vectors keep the length 1,
an image is at distance 0 from itself, and no distance is larger than between the whole features.
"""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model import durable

MOST_IMAGES = 20_000
MOST_AXES = 256
NEIGHBOUR = 3
FIRST_AXES = 4
CLASS_AXES = 8
_FEW_IMAGES = 32


@dataclasses.dataclass(frozen=True)
class TrainingFeatures:
    """The features of training images.

    Attributes:
        axes: float32 (at most 256, features), orthonormal rows.
        vectors: float32 (n, axes + 1), each of length 1.
        labels: int32 (n,), positions in the manifest's classes.
        names: paths of the images inside their dataset.
        directions: float32 (components, axes + 1), of vectors: what drift is told by. The first axes, then those along
            which the means of the classes lie apart. None for a model of an older version.
    """

    axes: np.ndarray
    vectors: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    directions: np.ndarray | None = None

    def distances(self, features: np.ndarray) -> np.ndarray:
        """The distance of each image from each training image.

        Args:
            features: float32 (m, features), as the network gives them.

        Returns:
            float32 (m, n), in [0, 2]; at most 1.42 where features are not negative, as behind a ReLU.
        """
        return self.distances_of(self.vectors_of(features))

    def vectors_of(self, features: np.ndarray) -> np.ndarray:
        """Images as they are remembered: `project` on the axes."""
        return project(features, self.axes)

    def distances_of(self, vectors: np.ndarray) -> np.ndarray:
        """As `distances`, of `vectors_of` the features."""
        return _distances(vectors, self.vectors)

    def components_of(self, vectors: np.ndarray) -> np.ndarray | None:
        """How long the vectors are along the directions: float32 (m, components), None where there are none."""
        return None if self.directions is None else _products(vectors, self.directions)

    def save(self, path: Path) -> None:
        """Write a compressed .npz; the vectors in half precision, which moves a distance by less than 0.001."""
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


def read_training_features(content: bytes) -> TrainingFeatures:
    """Read what `TrainingFeatures.save` has written.

    Raises:
        ValueError, KeyError, zipfile.BadZipFile: it is no such content.
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
    return TrainingFeatures(axes, _of_length_1(vectors), labels, names, directions)


def remember_features(
    features: np.ndarray, labels: np.ndarray, names: Sequence[str], seed: int = 0, most: int = MOST_IMAGES
) -> TrainingFeatures:
    """Make the memory of some training images; of more than `most`, a random choice.

    Args:
        features: float32 (n, features), n at least 1.
        labels: int (n,).
        names: n of them.
        seed: fixes the choice.
    """
    if len(features) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(features), most, replace=False))
        features, labels, names = features[chosen], labels[chosen], [names[position] for position in chosen]
    axes = _principal_axes(_of_length_1(features))
    vectors = project(features, axes)
    return TrainingFeatures(axes, vectors, labels.astype(np.int32), tuple(names), _directions(vectors, labels))


def project(features: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Vectors float32 (n, axes + 1) of length 1 of features (n, features): along the axes, and beside them."""
    whole = _of_length_1(features)
    along = _products(whole, axes)
    beside = np.sqrt(np.maximum(1 - (along**2).sum(axis=1, keepdims=True), 0))
    return np.concatenate([along, beside], axis=1)


def neighbour_distances(distances: np.ndarray, neighbour: int = NEIGHBOUR) -> np.ndarray:
    """How far images are from all training images: the distance to the third nearest, (m,) of distances (m, n).

    The nearest one alone may be an odd image itself. Where there are fewer, it is the distance to the farthest.
    """
    place = min(neighbour, distances.shape[1]) - 1
    return np.partition(distances, place, axis=1)[:, place]


def distances_among(memory: TrainingFeatures) -> np.ndarray:
    """How far each remembered image is from all the others, (n,), as if it had not been there; n at least 2."""
    result = np.empty(len(memory.vectors), np.float32)
    for start in range(0, len(result), 1024):
        rows = slice(start, start + 1024)
        block = _distances(memory.vectors[rows], memory.vectors)
        block[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        place = min(NEIGHBOUR, len(result) - 1) - 1
        result[rows] = np.partition(block, place, axis=1)[:, place]
    return result


def _principal_axes(vectors: np.ndarray) -> np.ndarray:
    """The axes along which vectors (n, features) have most of their length, around 0 and not around their mean."""
    images, features = vectors.shape
    count = min(MOST_AXES, images, features)
    if images < features:
        axes = np.linalg.svd(vectors, full_matrices=False)[2]
    else:
        axes = np.linalg.eigh(vectors.T @ vectors)[1].T[::-1]
    return np.ascontiguousarray(axes[:count], np.float32)


def _directions(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A change of what is photographed moves the first axes; of how often each class is, those between the classes."""
    first = np.eye(min(FIRST_AXES, vectors.shape[1] - 1), vectors.shape[1], dtype=np.float32)
    means = np.stack([vectors[labels == label].mean(axis=0) for label in np.unique(labels)])
    most = min(CLASS_AXES, len(means) - 1, vectors.shape[1])
    apart = means - means.mean(axis=0)
    between = np.linalg.eigh(apart.T @ apart)[1].T[::-1][:most]
    # As they are saved: held-out images and new ones are described alike.
    return np.concatenate([first, between]).astype(np.float16).astype(np.float32)


def _of_length_1(features: np.ndarray) -> np.ndarray:
    values = np.asarray(features, np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _distances(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Between vectors of length 1: float32 (m, n)."""
    return np.sqrt(np.maximum(2 - 2 * _products(vectors, others), 0))


def _products(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The inner product of each of `rows` with each of `others`: float32 (m, n)."""
    if len(rows) > _FEW_IMAGES:
        return rows @ others.T
    # Not @: for a few rows it wakes threads, and on a busy machine waits for them a hundred times longer than it works.
    return np.einsum("ij,kj->ik", rows, others)
