"""Map of the photos: their features in two dimensions, by t-SNE (van der Maaten and Hinton, 2008).

Few photos have no neighbourhoods to keep: their map has their first two principal components. It takes no time, where
loading t-SNE alone takes half a second.
"""

import dataclasses

import numpy as np

from model.evaluation.photo_features import PhotoFeatures

MAX_PHOTOS = 2000
MIN_PHOTOS = 10
MIN_PHOTOS_OF_TSNE = 50
_COMPONENTS = 50
_PERPLEXITY = 30
# Neighbourhoods of so few photos have settled by then; the default of 1,000 takes twice the time.
_ITERATIONS = 500
# Of the Barnes-Hut approximation: as close to the exact map as the default of 0.5 to the eye, a fifth faster.
_ANGLE = 0.8


@dataclasses.dataclass(frozen=True, eq=False)
class PhotoMap:
    """Places of photos on a map: near means similar features.

    Attributes:
        rows: int (n,), rows of `PhotoFeatures`.
        places: float (n, 2), in [0, 1].
    """

    rows: np.ndarray
    places: np.ndarray

    @property
    def is_tsne(self) -> bool:
        """Whether the places are those of t-SNE, else principal components."""
        return len(self.rows) >= MIN_PHOTOS_OF_TSNE


def draw_map(photos: PhotoFeatures, seed: int = 0) -> PhotoMap | None:
    """The map of at most 2,000 photos, sampled at random; None for too few photos, and without features.

    Equal seeds give equal maps. One thread: several of them wait for each other on a busy machine.
    """
    count = len(photos.samples)
    if count < MIN_PHOTOS or photos.reference is None:
        return None
    rows = np.arange(count)
    if count > MAX_PHOTOS:
        rows = np.sort(np.random.default_rng(seed).choice(count, MAX_PHOTOS, replace=False))
    vectors = photos.whitened[rows]
    places = _tsne(vectors, seed) if count >= MIN_PHOTOS_OF_TSNE else _in_two_columns(principal_components(vectors))
    low, high = places.min(axis=0), places.max(axis=0)
    return PhotoMap(rows, (places - low) / np.maximum(high - low, 1e-9))


def _tsne(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Places float32 (n, 2) of vectors (n, features) by t-SNE."""
    import threadpoolctl
    from sklearn.manifold import TSNE

    with threadpoolctl.threadpool_limits(1):
        components = principal_components(vectors)
        method = TSNE(
            perplexity=min(_PERPLEXITY, (len(vectors) - 1) / 3),
            init=_start(components),
            learning_rate="auto",
            max_iter=_ITERATIONS,
            angle=_ANGLE,
            random_state=seed,
            n_jobs=1,
        )
        places: np.ndarray = method.fit_transform(components)
    return places


def principal_components(vectors: np.ndarray, count: int = _COMPONENTS) -> np.ndarray:
    """The first principal components of vectors (n, features): float32 (n, at most `count`)."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1].T[::-1][:count]
    # Without a fixed sign, a map could be mirrored from one processor to the next.
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    return np.asarray(centred @ axes.T, np.float32)


def _start(components: np.ndarray) -> np.ndarray:
    """The first two components, small, as t-SNE recommends."""
    first = _in_two_columns(components)
    return first / max(float(first[:, 0].std()), 1e-9) * np.float32(1e-4)


def _in_two_columns(components: np.ndarray) -> np.ndarray:
    """The first two components, float32 (n, 2); zeros for a missing one."""
    first = components[:, :2]
    return np.pad(first, ((0, 0), (0, 2 - first.shape[1]))).astype(np.float32)
