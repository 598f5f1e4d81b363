"""Photos of a dataset with their features and their out-of-sample probabilities: what the report examines them by.

A model without reference features, such as an imported one, has probabilities only.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from model.results import Sample, Split
from model.serving.reference_features import ReferenceFeatures

NEIGHBOURS = 3
_BLOCK = 1000


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """Training photo near another photo in feature space, with its distance."""

    sample: Sample
    distance: float


@dataclasses.dataclass(frozen=True, eq=False)
class PhotoFeatures:
    """Labelled photos of all splits, one per row.

    Attributes:
        classes: class names in label order.
        samples: the photos, with their labels.
        splits: the split of each photo.
        features: float32 (n, features), output of the backbone; (n, 0) for a model without reference features.
        probabilities: float32 (n, classes), calibrated, by a model that was not trained on the photo; NaN without one.
        reference: features of the training photos; None for a model without them.
        training: training photos that are not among the samples, by name, such as where a model is evaluated on another
            dataset; a photo whose file is not known has an empty path. Those of the reference features that are
            neither here nor among the samples are known by name and class only.
    """

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    splits: tuple[Split, ...]
    features: np.ndarray
    probabilities: np.ndarray
    reference: ReferenceFeatures | None
    training: Mapping[str, Sample] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """Class indices, int64 (n,)."""
        return np.array([sample.label for sample in self.samples], np.int64)

    @functools.cached_property
    def row_of(self) -> dict[str, int]:
        """Name of a photo -> its row."""
        return {sample.name: row for row, sample in enumerate(self.samples)}

    @functools.cached_property
    def vectors(self) -> np.ndarray:
        """Features projected on the axes of the reference features, float32 (n, axes + 1); (n, 0) without features."""
        return self.features if self.reference is None else self.reference.project(self.features)

    @functools.cached_property
    def whitened(self) -> np.ndarray:
        """The same, with differences within a class reduced as for distances: float32 (n, axes + 1)."""
        whitening = None if self.reference is None else self.reference.whitening
        return self.vectors if whitening is None else self.vectors @ whitening

    def neighbours(self, rows: Sequence[int], count: int = NEIGHBOURS) -> list[tuple[Neighbour, ...]]:
        """The nearest training photos of each photo, nearest first, never the photo itself; none without features."""
        if self.reference is None:
            return [() for _ in rows]
        found: list[tuple[Neighbour, ...]] = []
        for start in range(0, len(rows), _BLOCK):
            block = list(rows[start : start + _BLOCK])
            distances = self.reference.projected_distances(self.vectors[block])
            found += [self._nearest(self.reference, row, far, count) for row, far in zip(block, distances, strict=True)]
        return found

    def _nearest(
        self, reference: ReferenceFeatures, row: int, distances: np.ndarray, count: int
    ) -> tuple[Neighbour, ...]:
        own = self.samples[row]
        order = np.argsort(distances, kind="stable")[: count + 1].tolist()
        near = [Neighbour(self._training_photo(reference, index), float(distances[index])) for index in order]
        others = [one for one in near if (one.sample.name, one.sample.path) != (own.name, own.path)]
        return tuple(others[:count])

    def _training_photo(self, reference: ReferenceFeatures, index: int) -> Sample:
        name = reference.names[index]
        if name in self.training:
            return self.training[name]
        if name in self.row_of:
            return self.samples[self.row_of[name]]
        return Sample(Path(), name, int(reference.labels[index]))
