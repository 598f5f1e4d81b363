"""What a new model takes along to tell that it does not know: thresholds, and the features of its training images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.evaluation.calibration import (
    FEWEST_FOR_THRESHOLD,
    confidence_threshold,
    distance_threshold,
    thresholds_by_class,
)
from model.serving.held_out_features import MOST_IMAGES
from model.serving.reference_features import TrainingFeatures, distances_among, neighbour_distances


def confidence_thresholds(
    probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str], target_accuracy: float
) -> dict[str, Any]:
    """`confidence` and `confidence_by_class` of `model.bundle.Manifest.thresholds`.

    Args:
        probabilities: float (n, classes), calibrated, of images that the head did not learn from.
        labels: int (n,), the true classes.
        classes: names in label order.
        target_accuracy: that answers above the thresholds should have, in (0, 1].
    """
    by_class = thresholds_by_class(probabilities, labels, target_accuracy)
    return {
        "confidence": confidence_threshold(probabilities, labels, target_accuracy),
        "confidence_by_class": {classes[label]: threshold for label, threshold in by_class.items()},
    }


def describe_held_out(memory: TrainingFeatures, features: np.ndarray, seed: int = 0) -> np.ndarray:
    """What the photos of a service are compared with to tell drift: `model.serving.held_out_features`.

    Args:
        memory: of the training images.
        features: float32 (n, features) of images that are not among them; of more than `MOST_IMAGES`, some are chosen.
        seed: fixes the choice.

    Returns:
        float32 (at most `MOST_IMAGES`, 1 + components): distance and components of each image.
    """
    if len(features) > MOST_IMAGES:
        features = features[np.random.default_rng(seed).choice(len(features), MOST_IMAGES, replace=False)]
    vectors = memory.vectors_of(features)
    components = memory.components_of(vectors)
    described = [] if components is None else [components]
    return np.column_stack([neighbour_distances(memory.distances_of(vectors)), *described])


def farthest_known(memory: TrainingFeatures, val_features: np.ndarray, frozen: bool) -> float:
    """`distance` of `model.bundle.Manifest.thresholds`.

    Args:
        memory: of the training images.
        val_features: float32 (n, features) of the validation images.
        frozen: whether the backbone has never seen the training images. Then few validation images are helped out by
            the distance of each training image from all the others; a backbone that learned from them has drawn them
            together.
    """
    distances = neighbour_distances(memory.distances(val_features)) if len(val_features) else np.empty(0)
    if len(distances) < FEWEST_FOR_THRESHOLD and (frozen or not len(distances)):
        distances = np.concatenate([distances, distances_among(memory)])
    return distance_threshold(distances)
