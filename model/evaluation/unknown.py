"""Thresholds by which a new model marks images as unknown, and the reference for detecting drift."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.evaluation.calibration import (
    MIN_FOR_THRESHOLD,
    confidence_threshold,
    distance_threshold,
    thresholds_by_class,
)
from model.serving.held_out_features import MAX_IMAGES
from model.serving.reference_features import ReferenceFeatures, leave_one_out_distances, neighbour_distances


def confidence_thresholds(
    probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str], target_accuracy: float
) -> dict[str, Any]:
    """`confidence` and `confidence_by_class` of `model.bundle.Manifest.thresholds`.

    Args:
        probabilities: float (n, classes), calibrated, of images that the head was not trained on.
        labels: int (n,), the true classes.
        classes: class names in label order.
        target_accuracy: accuracy of the predictions above the thresholds, in (0, 1].
    """
    by_class = thresholds_by_class(probabilities, labels, target_accuracy)
    return {
        "confidence": confidence_threshold(probabilities, labels, target_accuracy),
        "confidence_by_class": {classes[label]: threshold for label, threshold in by_class.items()},
    }


def known_distance(reference: ReferenceFeatures, val_features: np.ndarray, frozen: bool) -> float:
    """`distance` of `model.bundle.Manifest.thresholds`: the out-of-distribution threshold.

    Args:
        reference: features of the training images.
        val_features: float32 (n, features) of the validation images.
        frozen: whether the backbone was not trained on the training images. If so, few validation images are
            supplemented by the leave-one-out distances of the training images; a fine-tuned backbone has moved these
            closer together.
    """
    distances = neighbour_distances(reference.distances(val_features)) if len(val_features) else np.empty(0)
    if len(distances) < MIN_FOR_THRESHOLD and (frozen or not len(distances)):
        distances = np.concatenate([distances, leave_one_out_distances(reference)])
    return distance_threshold(distances)


def describe_held_out(reference: ReferenceFeatures, features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Held-out images described by distance and components, to detect drift: `model.serving.held_out_features`.

    Args:
        reference: features of the training images.
        features: float32 (n, features) of other images; more than `MAX_IMAGES` are sampled.
        seed: random seed of the sample.

    Returns:
        float32 (at most `MAX_IMAGES`, 1 + components): distance and components of each image.
    """
    if len(features) > MAX_IMAGES:
        features = features[np.random.default_rng(seed).choice(len(features), MAX_IMAGES, replace=False)]
    vectors = reference.project(features)
    components = reference.components(vectors)
    columns = [] if components is None else [components]
    return np.column_stack([neighbour_distances(reference.projected_distances(vectors)), *columns])
