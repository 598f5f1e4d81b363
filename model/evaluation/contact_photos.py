"""A few photos of each class, spread over its features, so that a reader sees the variety of the class."""

import numpy as np

from model.evaluation.photo_features import PhotoFeatures
from model.results import Sample

PHOTOS_PER_CLASS = 12


def contact_photos(photos: PhotoFeatures, label: int, count: int = PHOTOS_PER_CLASS) -> tuple[Sample, ...]:
    """Photos of a class: the most typical one, then always the one farthest from those chosen (Gonzalez, 1985).

    None are chosen without features.
    """
    rows = np.flatnonzero(photos.labels == label)
    if len(rows) == 0 or photos.reference is None:
        return ()
    vectors = photos.vectors[rows]
    chosen = [int(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    distances = ((vectors - vectors[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(rows)):
        # Of equal photos, none is chosen twice.
        distances[chosen] = -1
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, ((vectors - vectors[chosen[-1]]) ** 2).sum(axis=1))
    return tuple(photos.samples[rows[index]] for index in chosen)
