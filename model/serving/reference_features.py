"""Reference features: the features of the training images, for distances and nearest neighbours.

The square roots of features are scaled to length 1 and compared by Euclidean distance to the nearest neighbours, as in
Sun et al. (Out-of-Distribution Detection with Deep Nearest Neighbors, 2022); of histograms this is the Hellinger
distance. Directions in which images of one class differ count less: vectors are whitened by the covariance within
classes, as for the Mahalanobis distance of Lee et al. (2018), but never stretched. `benchmarks/unknown.py` compares
this distance with others.

For a small file and a quick search vectors are projected on their first principal axes. One more component holds the
length of the residual, so that projected vectors keep the length 1, an image is at distance 0 from itself, and no
distance exceeds that of the full features.
"""

import dataclasses
import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model import durable
from model.files.arrays import read_arrays
from model.reading import unreadable

MAX_IMAGES = 20_000
MAX_ARRAY_BYTES = 128 * 1024**2
"""Size of the arrays of a model, unpacked; 20,000 vectors and their names take a tenth of it."""
MAX_AXES = 256
NEIGHBOUR = 3
POWER = 0.5
SHRINKAGE = 0.3
FIRST_AXES = 4
CLASS_AXES = 8
_FEW_IMAGES = 32
# Rows that are projected or multiplied at a time.
_BLOCK = 4096
_SMALLEST_EIGENVALUE = 1e-8
_SMALLEST_VARIANCE = 1e-12


@dataclasses.dataclass(frozen=True)
class ReferenceFeatures:
    """Features of the training images.

    Attributes:
        axes: float32 (at most 256, features), orthonormal rows, rounded to half precision.
        vectors: float32 (n, axes + 1), each of length 1.
        labels: int32 (n,), class indices.
        names: paths of the images inside their dataset.
        directions: float32 (components, axes + 1), along which drift is detected: the first axes, then those that
            separate the class means. None for a model of an older version.
        power: exponent of the features before they are scaled to length 1. 1 for a model of an older version, whose
            distances are those of the features themselves, without whitening.
    """

    axes: np.ndarray
    vectors: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    directions: np.ndarray | None = None
    power: float = 1.0

    @functools.cached_property
    def whitening(self) -> np.ndarray | None:
        """Matrix float32 (axes + 1, axes + 1) that vectors are multiplied by before distances; None for none."""
        return None if self.power == 1.0 else _within_class_whitening(self.vectors, self.labels, self.axes.shape[1])

    @functools.cached_property
    def _whitened(self) -> np.ndarray:
        return self.vectors if self.whitening is None else _products(self.vectors, self.whitening)

    @functools.cached_property
    def _squares(self) -> np.ndarray:
        return np.asarray((self._whitened**2).sum(axis=1))

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Distance of each image from each training image.

        Args:
            features: float32 (m, features), output of the network.

        Returns:
            float32 (m, n), in [0, 2]; at most 1.42 for non-negative features, such as those of a ReLU, and less the
            more the images of a class differ.
        """
        return self.projected_distances(self.project(features))

    def project(self, features: np.ndarray) -> np.ndarray:
        """Features float32 (m, features) projected on the axes: float32 (m, axes + 1)."""
        vectors = np.empty((len(features), len(self.axes) + 1), np.float32)
        for start in range(0, len(features), _BLOCK):
            rows = slice(start, start + _BLOCK)
            vectors[rows] = _project(_normalize(features[rows], self.power), self.axes)
        return vectors

    def projected_distances(self, vectors: np.ndarray) -> np.ndarray:
        """Distances, see `distances`, of vectors returned by `project`."""
        whitened = vectors if self.whitening is None else _products(vectors, self.whitening)
        squares = (whitened**2).sum(axis=1)[:, None] + self._squares
        return np.sqrt(np.maximum(squares - 2 * _products(whitened, self._whitened), 0))

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
            power=np.float64(self.power),
            **directions,
        )
        durable.write_bytes(path, stream.getvalue())


def read_reference_features(content: bytes) -> ReferenceFeatures:
    """Read the content of a file written by `ReferenceFeatures.save`.

    Raises:
        UnreadableError: the content is invalid.
    """
    arrays = read_arrays(content, MAX_ARRAY_BYTES)
    with unreadable():
        names = tuple(arrays["names"].tobytes().decode("utf-8").split("\0"))
        axes, vectors = arrays["axes"].astype(np.float32), arrays["vectors"].astype(np.float32)
        labels = arrays["labels"]
        directions = arrays["directions"].astype(np.float32) if "directions" in arrays else None
        power = float(arrays["power"]) if "power" in arrays else 1.0
        if not 0 < power <= 1:
            raise ValueError(f"expected a power above 0 and at most 1, received {power}")
        if not len(names) == len(labels) == len(vectors) or vectors.shape[1] != len(axes) + 1:
            raise ValueError(
                f"expected as many names and labels as vectors, received {len(names)}, {len(labels)} and "
                f"{vectors.shape}"
            )
        return ReferenceFeatures(axes, _normalize(vectors), labels, names, directions, power)


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
    unit = _normalize(features, POWER)
    # Rounded as in the file: the root of the residual would turn the difference into a distance of up to 0.03.
    axes = _principal_axes(unit).astype(np.float16).astype(np.float32)
    vectors, labels = _project(unit, axes), labels.astype(np.int32)
    return ReferenceFeatures(axes, vectors, labels, tuple(names), _directions(vectors, labels), POWER)


def neighbour_distances(distances: np.ndarray, neighbour: int = NEIGHBOUR) -> np.ndarray:
    """Distance of each image to its third nearest training image, (m,) of distances (m, n).

    The nearest one alone may be an outlier itself. With fewer than three, it is the distance to the farthest.
    """
    index = min(neighbour, distances.shape[1]) - 1
    return np.partition(distances, index, axis=1)[:, index]


def _project(unit: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Unit vectors float32 (n, axes + 1) of unit vectors (n, features): components along the axes, and the residual."""
    along = _products(unit, axes)
    residual = np.sqrt(np.maximum(1 - (along**2).sum(axis=1, keepdims=True), 0))
    return np.concatenate([along, residual], axis=1)


def _principal_axes(vectors: np.ndarray) -> np.ndarray:
    """Principal axes of vectors (n, features), around 0 and not around their mean."""
    images, features = vectors.shape
    # The smaller of the two products has the same eigenvalues; in double precision, as it squares small ones.
    is_few = images < features
    product = np.zeros((min(images, features),) * 2)
    for start in range(0, images, images if is_few else _BLOCK):
        exact = vectors[start : start + (images if is_few else _BLOCK)].astype(np.float64)
        product += exact @ exact.T if is_few else exact.T @ exact
    values, found = np.linalg.eigh(product)
    chosen = np.flatnonzero(values > _SMALLEST_EIGENVALUE * values[-1])[::-1][:MAX_AXES]
    axes = (found[:, chosen] / np.sqrt(values[chosen])).T @ exact if is_few else found.T[chosen]
    return np.ascontiguousarray(axes, np.float32)


def _within_class_whitening(vectors: np.ndarray, labels: np.ndarray, features: int) -> np.ndarray | None:
    """Symmetric matrix that shrinks vectors along the directions in which vectors of one class differ.

    The covariance within classes is shrunk towards a sphere of its mean variance per feature, so that few images give
    a moderate estimate. Directions without variance keep their length.

    Args:
        vectors: float32 (n, components), with class indices `labels` (n,).
        features: the number of features before the projection.
    """
    classes, rows, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((len(classes), vectors.shape[1]))
    np.add.at(means, rows, vectors)
    centred = vectors - (means / counts[:, None])[rows]
    covariance = centred.T @ centred / max(len(vectors) - len(classes), 1)
    mean_variance = np.trace(covariance) / features
    if mean_variance <= _SMALLEST_VARIANCE:
        return None
    variances, axes = np.linalg.eigh(covariance)
    relative = np.maximum(variances, 0) / mean_variance
    gains = 1 / np.sqrt(1 + relative * (1 - SHRINKAGE) / SHRINKAGE)
    return ((axes * gains) @ axes.T).astype(np.float32)


def _directions(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Directions for drift detection: the first axes show new content, the axes between class means new frequencies."""
    first = np.eye(min(FIRST_AXES, vectors.shape[1] - 1), vectors.shape[1], dtype=np.float32)
    means = np.stack([vectors[labels == label].mean(axis=0) for label in np.unique(labels)])
    count = min(CLASS_AXES, len(means) - 1, vectors.shape[1])
    centred = means - means.mean(axis=0)
    between = np.linalg.eigh(centred.T @ centred)[1].T[::-1][:count]
    # Rounded as in the file, so that held-out and new images have the same components.
    return np.concatenate([first, between]).astype(np.float16).astype(np.float32)


def _normalize(features: np.ndarray, power: float = 1.0) -> np.ndarray:
    """Vectors of length 1, float32, of features (n, features) raised to a power; negative ones keep their sign."""
    values = np.array(features, np.float32)
    if power != 1.0:
        np.power(np.abs(values), np.float32(power), out=values)
        np.copysign(values, features, out=values)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return values


def _products(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Inner product of each of `rows` with each of `others`: float32 (m, n)."""
    if len(rows) > _FEW_IMAGES:
        return rows @ others.T
    # @ starts threads even for a few rows; on a busy machine, waiting for them takes a hundred times the computation.
    return np.einsum("ij,kj->ik", rows, others)
