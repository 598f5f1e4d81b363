"""Labels as an array."""

from collections.abc import Sequence

import numpy as np

from model.results import Sample


def labels_of(samples: Sequence[Sample]) -> np.ndarray:
    """The class indices of samples, int64 (n,)."""
    return np.array([sample.label for sample in samples], dtype=np.int64)
