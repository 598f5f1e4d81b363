"""Principal components of features, by moments: the parts are read twice, and memory does not grow with the photos.

First the number of photos, the sum and the Gram matrix of the features are computed for groups of parts, and added in
the order of the groups. Then each part is projected.
"""

import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from model.errors import DatasetError
from model.files.arrays import read_arrays
from model.reading import read_stream
from model.results import Progress, no_progress
from model.scale.files import Folder
from model.scale.folders import open_folder
from model.scale.parts import (
    SUCCESS,
    Done,
    Parts,
    features_matrix,
    part_name,
    present_parts,
    table_content,
    vectors_column,
)
from model.scale.pca_chart import draw_components
from model.scale.work import Task

PCA = "pca"
PCA_FILE, PCA_CHART = "pca.npz", "pca.png"
MOMENTS = "_moments"
PHASE = "pca"
# Parts whose moments are added before they are written: 6.5 MB for 1,280 features.
_PARTS_OF_GROUP = 32
# Rows of a product in float32, whose sum is in float64.
_ROWS_OF_PRODUCT = 1024
_MAX_BYTES = 1 << 30
# Variance that rounding gives to equal features, as a fraction of their mean square: 4e-7 was measured.
_ROUNDING = 1e-6


@dataclasses.dataclass
class Moments:
    """Moments of features: the number of photos, the sum (features,) and the Gram matrix (features, features)."""

    count: int
    total: np.ndarray
    gram: np.ndarray

    @classmethod
    def empty(cls, features: int) -> "Moments":
        """Moments of no photo."""
        return cls(0, np.zeros(features), np.zeros((features, features)))

    def add(self, features: np.ndarray) -> None:
        """Add photos: float32 (n, features)."""
        for start in range(0, len(features), _ROWS_OF_PRODUCT):
            block = np.ascontiguousarray(features[start : start + _ROWS_OF_PRODUCT], np.float32)
            self.count += len(block)
            self.total += block.sum(axis=0, dtype=np.float64)
            self.gram += block.T @ block

    def merge(self, other: "Moments") -> None:
        """Add the moments of other photos."""
        self.count += other.count
        self.total += other.total
        self.gram += other.gram

    def to_bytes(self) -> bytes:
        """The moments as a file: of the symmetric Gram matrix, one half."""
        stream = io.BytesIO()
        half = self.gram[np.triu_indices(len(self.total))]
        np.savez(stream, count=np.array(self.count), total=self.total, half=half)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Moments":
        """Moments of a file written by `to_bytes`."""
        arrays = read_arrays(content, _MAX_BYTES)
        total = arrays["total"]
        gram = np.zeros((len(total), len(total)))
        gram[np.triu_indices(len(total))] = arrays["half"]
        return cls(int(arrays["count"]), total, gram + np.triu(gram, 1).T)


@dataclasses.dataclass(frozen=True, eq=False)
class Pca:
    """Principal components.

    Attributes:
        mean: float64 (features,).
        components: float64 (k, features), orthonormal; the largest entry of each is positive.
        variance: float64 (k,), explained by each, with n - 1 as divisor.
        ratio: float64 (k,), explained variance as a fraction of the total; 0 if it is rounding only.
    """

    mean: np.ndarray
    components: np.ndarray
    variance: np.ndarray
    ratio: np.ndarray

    def to_bytes(self) -> bytes:
        """The components as a file of `numpy.load`."""
        stream = io.BytesIO()
        np.savez(
            stream,
            mean=self.mean,
            components=self.components,
            explained_variance=self.variance,
            explained_variance_ratio=self.ratio,
        )
        return stream.getvalue()

    def project(self, features: np.ndarray) -> np.ndarray:
        """Coordinates float32 (n, k) of features (n, features)."""
        return np.asarray((features - self.mean) @ self.components.T, np.float32)


def principal_components(moments: Moments, count: int) -> Pca:
    """The first principal components.

    Raises:
        DatasetError: fewer than two photos have features.
    """
    if moments.count < 2:
        raise DatasetError(f"expected features of two photos or more for principal components, found {moments.count}.")
    mean = moments.total / moments.count
    covariance = (moments.gram - moments.count * np.outer(mean, mean)) / (moments.count - 1)
    variances, vectors = np.linalg.eigh(covariance)
    components = vectors.T[::-1][:count]
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(len(components)), largest])[:, None]
    variance = np.maximum(variances[::-1][:count], 0)
    rounding = _ROUNDING * float(np.trace(moments.gram)) / moments.count
    significant = np.where(variances > rounding, variances, 0)
    # The trace has a rounding error of its own.
    total = max(float(np.trace(covariance)), float(significant.sum()), np.finfo(float).tiny)
    return Pca(mean, components, variance, significant[::-1][:count] / total)


@dataclasses.dataclass(frozen=True)
class MomentsTask:
    """Moments of groups of parts, written to a file for each group: a `Task`."""

    parts: Parts

    @property
    def folder(self) -> Folder:
        """The folder of features."""
        return self.parts.folder

    def write(self, number: int, divided: bool = False) -> Done:
        """Write the moments of a group."""
        moments = Moments.empty(self.parts.plan.features)
        for part in _parts_of_group(number, len(self.parts)):
            moments.add(features_matrix(self.parts.read(part, ["features"]))[0])
        self.folder.write(_moments_name(number), moments.to_bytes())
        return Done(number, moments.count, 0)


@dataclasses.dataclass(frozen=True)
class ProjectionTask:
    """Projections of parts, written to a part for each: a `Task`."""

    parts: Parts
    pca: Pca
    sha256: str

    @property
    def folder(self) -> Folder:
        """The folder of the coordinates."""
        return open_folder(f"{self.parts.folder.address}/{PCA}")

    def write(self, number: int, divided: bool = False) -> Done:
        """Write path, label, split and coordinates of the photos of a part."""
        table = self.parts.read(number, ["path", "label", "split", "features"])
        features, whole = features_matrix(table)
        coordinates: list[np.ndarray | None] = [None] * len(table)
        if len(whole):
            for row, values in zip(whole.tolist(), self.pca.project(features), strict=True):
                coordinates[row] = values
        table = table.drop_columns(["features"]).append_column(PCA, vectors_column(coordinates))
        self.folder.write(part_name(number), table_content(table, number, self.sha256))
        return Done(number, len(table), len(table) - len(whole))


def write_components(
    parts: Parts,
    count: int,
    engine: Callable[[Task, Sequence[int]], Iterator[Done]],
    progress: Progress = no_progress,
) -> Pca:
    """Write the principal components of complete parts.

    `pca.npz` has the components, `pca/` the coordinates of each photo in the column `pca`, and `pca.png` the first two.

    Args:
        count: number of components.
        engine: does the work.
        progress: called with the phase `pca`, in parts.

    Raises:
        DatasetError: fewer than two photos have features.
        StorageError: files cannot be read or written.
    """
    folder = parts.folder
    groups = -(-len(parts) // _PARTS_OF_GROUP)
    for _ in engine(MomentsTask(parts), range(groups)):
        pass
    moments = Moments.empty(parts.plan.features)
    for group in range(groups):
        moments.merge(Moments.from_bytes(_content(folder, _moments_name(group))))
    pca = principal_components(moments, count)
    content = pca.to_bytes()
    if PCA_FILE not in folder.names() or _content(folder, PCA_FILE) != content:
        folder.remove(PCA)
        folder.write(PCA_FILE, content)
    task = ProjectionTask(parts, pca, hashlib.sha256(parts.plan.sha256.encode() + content).hexdigest())
    done = present_parts(task.folder, len(parts), task.sha256)
    missing = [number for number in range(len(parts)) if number not in done]
    for finished, _ in enumerate(engine(task, missing) if missing else (), len(done) + 1):
        progress(PHASE, finished, len(parts))
    folder.write(PCA_CHART, draw_components(task.folder, len(parts), task.sha256, parts.plan.classes, pca.ratio))
    task.folder.write(SUCCESS, b"")
    folder.remove(MOMENTS)
    return pca


def _content(folder: Folder, name: str) -> bytes:
    with folder.open(name) as stream:
        return read_stream(stream, _MAX_BYTES)


def _moments_name(group: int) -> str:
    return f"{MOMENTS}/{group:05d}.npz"


def _parts_of_group(group: int, parts: int) -> range:
    return range(group * _PARTS_OF_GROUP, min((group + 1) * _PARTS_OF_GROUP, parts))
