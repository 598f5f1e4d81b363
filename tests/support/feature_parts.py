"""Synthetic features in parts, sorted by class as those of photos in class folders."""

import dataclasses
import math

import numpy as np
from scipy.special import ndtri

from model.training.head_candidates import LabelledFeatures


@dataclasses.dataclass(frozen=True)
class SyntheticParts:
    """Parts of features of well separated classes, some of which have another label, drawn at random.

    No classifier is correct more often than for the photos that keep their label. The parts are drawn when they are
    read, and need no memory.

    Attributes:
        rows: number of rows of a part.
        parts: number of parts.
        features: number of features.
        classes: number of classes.
        noise: fraction of rows with another label.
        sorted_by_class: whether each part has one true class, instead of all of them.
        seed: random seed of the rows; the classes are the same for all seeds.
    """

    rows: int
    parts: int
    features: int = 32
    classes: int = 4
    noise: float = 0.1
    sorted_by_class: bool = True
    seed: int = 1

    @property
    def sizes(self) -> np.ndarray:
        """Number of rows of each part."""
        return np.full(self.parts, self.rows)

    def read(self, part: int) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 (rows, features) and labels int (rows,) of a part."""
        rng = np.random.default_rng((self.seed, part))
        true = rng.integers(0, self.classes, self.rows)
        if self.sorted_by_class:
            true[:] = part * self.classes // self.parts
        values = rng.standard_normal((self.rows, self.features), np.float32)
        values += self._centres[true]
        labels = np.where(rng.random(self.rows) < self.noise, self._others(true, rng), true)
        return values, labels

    def in_memory(self) -> LabelledFeatures:
        """All rows."""
        features, labels = zip(*map(self.read, range(self.parts)), strict=True)
        return LabelledFeatures(
            np.concatenate(features), np.concatenate(labels), np.ones(self.rows * self.parts, np.float32)
        )

    @property
    def _centres(self) -> np.ndarray:
        """Centres float32 (classes, features) of the classes, so far apart that hardly any photos are between them."""
        directions = np.random.default_rng(0).standard_normal((self.classes, self.features))
        distance = 2 * ndtri(1 - 1e-5) / math.sqrt(2)
        centres: np.ndarray = 5 + distance * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        return centres.astype(np.float32)

    def _others(self, true: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return (true + rng.integers(1, self.classes, len(true))) % self.classes
