"""Distances of images from the training images: the threshold for unknown images, and the reference for drift."""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import stdtrit

from model.dataset.splits import stratified_folds
from model.serving.held_out_features import MAX_IMAGES
from model.serving.reference_features import ReferenceFeatures, build_reference_features, neighbour_distances

FALSE_ALARM_RATE = 0.01
MIN_DISTANCES = 10
# Maximum number of images -> folds. More folds leave out less, but each computes axes, in the cube of the images.
_FOLDS_OF = {500: 20, 1000: 10}
_FOLDS_OF_MANY = 5
# Distances that are computed at a time: 16 MB, and as much again for each step of the computation.
_MAX_DISTANCES = 4_000_000


def reference_distances(reference: ReferenceFeatures, features: np.ndarray) -> np.ndarray:
    """Distance of each image to its third nearest training image.

    Args:
        features: float32 (n, features).

    Returns:
        float32 (n,).
    """
    return _in_blocks(reference, features, reference.distances)


def _in_blocks(
    reference: ReferenceFeatures, images: np.ndarray, distances_of: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Distance of each image to its third nearest training image, float32 (n,), in a limited memory.

    Args:
        images: n rows, as many of which at a time are given to `distances_of` as the memory allows.
        distances_of: returns the distances of m rows from all training images, (m, references).
    """
    size = max(1, _MAX_DISTANCES // len(reference.vectors))
    distances = np.empty(len(images), np.float32)
    for start in range(0, len(images), size):
        rows = slice(start, start + size)
        distances[rows] = neighbour_distances(distances_of(images[rows]))
    return distances


def out_of_fold_distances(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int = 0, real: np.ndarray | None = None
) -> np.ndarray:
    """Distance of each training image from reference features built without it and its group.

    Not for features of a fine-tuned backbone, which has moved its training images closer together than new ones are.

    Args:
        features: float32 (n, features).
        labels, groups: int (n,).
        seed: fixes the folds.
        real: bool (n,), whether each image is real; None for all. Synthetic ones are references only.

    Returns:
        float32 (n,); NaN for synthetic images, and if all real images belong to one group.
    """
    images = len(features)
    real = np.ones(images, bool) if real is None else real
    distances = np.full(images, np.nan, np.float32)
    folds = next((folds for limit, folds in _FOLDS_OF.items() if images <= limit), _FOLDS_OF_MANY)
    folds = min(folds, len(np.unique(groups[real])))
    if folds < 2:
        return distances
    names = [str(row) for row in range(images)]
    synthetic = frozenset(str(row) for row in np.flatnonzero(~real).tolist())
    fold_of = np.array(stratified_folds(names, labels.tolist(), groups.tolist(), folds, seed, synthetic))
    for fold in np.unique(fold_of[real]):
        rest, held_out = np.flatnonzero(fold_of != fold), (fold_of == fold) & real
        reference = build_reference_features(features[rest], labels[rest], [""] * len(rest), seed)
        distances[held_out] = reference_distances(reference, features[held_out])
    return distances


def distance_threshold(distances: np.ndarray, rate: float = FALSE_ALARM_RATE) -> float | None:
    """Distance from the training images above which an image is out-of-distribution.

    A new image of the same distribution is above it with probability `rate`. With enough images it is the quantile of
    conformal prediction (Vovk et al., 2005), for any distribution. With fewer than 99, for a rate of 1 %, no image
    among them is rare enough: the limit is extrapolated as the prediction limit of normally distributed distances,
    which the distances of real photos are close to.

    Args:
        distances: (n,), of images that are not among the reference images.
        rate: in (0, 1).

    Returns:
        None for fewer than ten distances.
    """
    images = len(distances)
    if images < MIN_DISTANCES:
        return None
    rank = math.ceil((images + 1) * (1 - rate))
    if rank <= images:
        return float(np.partition(distances, rank - 1)[rank - 1])
    # The quantile of Student's t distribution; `scipy.stats`, which has it too, takes a second to import.
    deviations = float(stdtrit(images - 1, 1 - rate)) * math.sqrt(1 + 1 / images)
    return float(distances.mean() + deviations * distances.std(ddof=1))


def is_extrapolated(images: int, rate: float = FALSE_ALARM_RATE) -> bool:
    """Whether `distance_threshold` of so many distances is extrapolated."""
    return math.ceil((images + 1) * (1 - rate)) > images


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
    return np.column_stack([_in_blocks(reference, vectors, reference.projected_distances), *columns])
