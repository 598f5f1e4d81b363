"""Who is told of each epoch while it is fresh, with what was answered."""

from typing import Protocol

import numpy as np

from model.training.epochs import Epoch


class Journal(Protocol):
    """Keeps what a training tells of itself; told from the thread that trains."""

    def epoch(self, row: Epoch, val_logits: np.ndarray | None) -> None:
        """An epoch is over, with these logits float32 (n, classes) of the validation images.

        None for an epoch of an earlier run, which is told again when the training is gone on with.
        """

    def features(self, features: np.ndarray) -> None:
        """The features float32 (n, features) of all samples of the dataset, by the backbone as it came out."""


class NoJournal:
    """A `Journal` that keeps nothing."""

    def epoch(self, row: Epoch, val_logits: np.ndarray | None) -> None:
        """Keep nothing."""

    def features(self, features: np.ndarray) -> None:
        """Keep nothing."""


NO_JOURNAL = NoJournal()
