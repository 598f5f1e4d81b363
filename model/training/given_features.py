"""Features that a training is given, instead of extracting them from photos."""

import dataclasses

import numpy as np

from model.training.backbone import UsedBackbone
from model.training.part_rows import TrainingParts


@dataclasses.dataclass(frozen=True, eq=False)
class GivenFeatures:
    """Features of the images of a training, and the network that computed them.

    Attributes:
        backbone: the network.
        features: float32 (n, features), a row for each image of `TrainingData`.
        training_parts: the images to learn from, if not all of them are in memory; those in `TrainingData` are then
            drawn from them. None if all are in memory.
    """

    backbone: UsedBackbone
    features: np.ndarray
    training_parts: TrainingParts | None = None
