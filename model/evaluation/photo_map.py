"""Map of the photos: their features in two dimensions, by t-SNE (van der Maaten and Hinton, 2008)."""

import dataclasses

import numpy as np

from model.evaluation.photo_features import PhotoFeatures

MAX_PHOTOS = 2000
MIN_PHOTOS = 10
_COMPONENTS = 50
_PERPLEXITY = 30
# Neighbourhoods of so few photos have settled by then; the default of 1,000 takes twice the time.
_ITERATIONS = 500


@dataclasses.dataclass(frozen=True, eq=False)
class PhotoMap:
    """Places of photos on a map: near means similar features.

    Attributes:
        rows: int (n,), rows of `PhotoFeatures`.
        places: float (n, 2), in [0, 1].
    """

    rows: np.ndarray
    places: np.ndarray


def draw_map(photos: PhotoFeatures, seed: int = 0) -> PhotoMap | None:
    """The map of at most 2,000 photos, sampled at random; None for too few photos.

    Equal seeds give equal maps. One thread: several of them wait for each other on a busy machine.
    """
    count = len(photos.samples)
    if count < MIN_PHOTOS:
        return None
    import threadpoolctl
    from sklearn.manifold import TSNE

    rows = np.arange(count)
    if count > MAX_PHOTOS:
        rows = np.sort(np.random.default_rng(seed).choice(count, MAX_PHOTOS, replace=False))
    with threadpoolctl.threadpool_limits(1):
        components = principal_components(photos.whitened[rows])
        method = TSNE(
            perplexity=min(_PERPLEXITY, (len(rows) - 1) / 3),
            init=_start(components),
            learning_rate="auto",
            max_iter=_ITERATIONS,
            random_state=seed,
            n_jobs=1,
        )
        places = method.fit_transform(components)
    low, high = places.min(axis=0), places.max(axis=0)
    return PhotoMap(rows, (places - low) / np.maximum(high - low, 1e-9))


def principal_components(vectors: np.ndarray, count: int = _COMPONENTS) -> np.ndarray:
    """The first principal components of vectors (n, features): float32 (n, at most `count`)."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1].T[::-1][:count]
    # Without a fixed sign, a map could be mirrored from one processor to the next.
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    return np.asarray(centred @ axes.T, np.float32)


def _start(components: np.ndarray) -> np.ndarray:
    """The first two components, small, as t-SNE recommends."""
    first = components[:, :2]
    first = first / max(float(first[:, 0].std()), 1e-9) * 1e-4
    return np.pad(first, ((0, 0), (0, 2 - first.shape[1]))).astype(np.float32)
