"""The labelled images that a training learns from, apart from the report of the checks they went through."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from model.intensity import FULL, Intensity
from model.results import Sample, Split


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingData:
    """Labelled images, one per row, and how they are split.

    Attributes:
        classes: names in label order.
        names: distinct names of the images.
        labels: class indices, int64 (n,).
        groups: int (n,); images of one group stay together when images are divided.
        content_hashes: name -> sha256 of the image's bytes, in hexadecimal.
        splits: split -> its rows, int (k,).
        source: samples from which the pixels are read, one per row.
        folds: the number of folds of cross-validation; 0 for none.
        intensity: how images with more than 8 bits per channel are reduced to 8.
        synthetic: names of synthetic images, which are in train only; nothing is measured on them.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: np.ndarray
    groups: np.ndarray
    content_hashes: Mapping[str, str]
    splits: Mapping[Split, np.ndarray]
    source: tuple[Sample, ...]
    folds: int = 0
    intensity: Intensity = FULL
    synthetic: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, *splits: Split) -> np.ndarray:
        """The rows of one or more splits, one after the other."""
        return np.concatenate([self.splits[split] for split in splits])

    @property
    def is_real(self) -> np.ndarray:
        """Whether each image is real, not synthetic: bool (n,)."""
        return np.array([name not in self.synthetic for name in self.names], bool)

    def real_rows(self, *splits: Split) -> np.ndarray:
        """The rows of real images in one or more splits, one after the other: what a model may be measured on."""
        rows = self.rows(*splits)
        return rows[self.is_real[rows]]

    def samples(self, *splits: Split) -> tuple[Sample, ...]:
        """The samples of one or more splits, one after the other."""
        return tuple(self.source[row] for row in self.rows(*splits).tolist())

    def select(self, rows: Sequence[int] | np.ndarray) -> "TrainingData":
        """The data with some of its rows only, in the given order."""
        rows = np.asarray(rows, int)
        chosen = rows.tolist()
        return dataclasses.replace(
            self,
            names=tuple(self.names[row] for row in chosen),
            labels=self.labels[rows],
            groups=self.groups[rows],
            splits={split: np.flatnonzero(np.isin(rows, members)) for split, members in self.splits.items()},
            source=tuple(self.source[row] for row in chosen),
        )


def take_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some rows of an array; rows that follow each other, such as those of a split, are not copied.

    Args:
        values: (n, ...).
        rows: int (k,).
    """
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return values[rows[0] : rows[0] + len(rows)]
    return values[rows]
