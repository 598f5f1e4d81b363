"""The interface by which a training records its epochs, such as TensorBoard."""

from typing import Protocol

import numpy as np

from model.training.epochs import Epoch


class Journal(Protocol):
    """Records epochs and features; called from the thread that trains."""

    def epoch(self, row: Epoch, val_logits: np.ndarray | None) -> None:
        """Record an epoch and its logits float32 (n, classes) of the validation images.

        The logits are None for an epoch before an interruption, which is recorded again on resuming.
        """

    def features(self, features: np.ndarray) -> None:
        """Record the features float32 (n, features) of all images by the final backbone."""


class NoJournal:
    """A `Journal` that records nothing."""

    def epoch(self, row: Epoch, val_logits: np.ndarray | None) -> None:
        """Record nothing."""

    def features(self, features: np.ndarray) -> None:
        """Record nothing."""


NO_JOURNAL = NoJournal()
