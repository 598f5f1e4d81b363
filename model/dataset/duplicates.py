"""Near duplicates: images that are equal except for compression, scale or brightness.

Method: the 144-bit perceptual hash of imagehash (signs of the 12 x 12 lowest frequencies of a cosine
transform), then a comparison of small colour thumbnails, because the hash ignores colour and brightness. See https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from PIL import Image

from model.dataset.hash_search import join_similar

# Side in pixels of the square that an image is resized to before hashing.
HASH_INPUT = 48
HASH_BYTES = 18
THUMBNAIL = 8

# Recompressed at quality 30, halved or brightened by a tenth, every photo of plankton, toys and demo signs differs
# from itself by at most 16 bits; the most alike of different plankton on plain ground by 30, of demo signs by 36.
MAX_HASH_DISTANCE = 16
# Mean difference over the thumbnail's channels, of 255.
MAX_THUMBNAIL_DIFFERENCE = 20.0

# Thumbnails compared at a time.
_PAIRS = 65_536


def hash_image(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Perceptual hash and thumbnail of an image.

    Args:
        image: uint8 RGB of shape (HASH_INPUT, HASH_INPUT, 3).

    Returns:
        The hash, uint8 of shape (HASH_BYTES,), and the thumbnail, uint8 of shape (THUMBNAIL**2 * 3,).
    """
    import imagehash

    pil_image = Image.fromarray(image)
    bits = imagehash.phash(pil_image, hash_size=12).hash
    thumbnail = pil_image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.packbits(bits.ravel()), np.asarray(thumbnail).ravel()


def near_duplicates(hashes: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Group images that are near duplicates, directly or transitively.

    The cost is small compared with decoding: see hash_search.

    Args:
        hashes: uint8 of shape (n, HASH_BYTES).
        thumbnails: uint8 of shape (n, THUMBNAIL**2 * 3).

    Returns:
        int64 of shape (n,): lowest position in the group of each image; its own position without duplicates.
    """
    groups = np.arange(len(hashes))

    def join_with_near_thumbnails(pairs: np.ndarray) -> None:
        for start in range(0, len(pairs), _PAIRS):
            some = pairs[start : start + _PAIRS]
            groups[:] = join(groups, some[_have_near_thumbnails(some, thumbnails)])

    brightness = thumbnails.mean(axis=1, dtype=np.float32)
    join_similar(hashes, MAX_HASH_DISTANCE, brightness, groups, join_with_near_thumbnails)
    return groups


def equal_keys(keys: Sequence[Hashable]) -> np.ndarray:
    """Group equal keys: int64 of shape (n,), lowest position in the group of each key."""
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(key, position) for position, key in enumerate(keys)], dtype=np.int64)


def together(kinds: Iterable[np.ndarray]) -> np.ndarray:
    """Merge the groups of several kinds, one or more: int64 (n,), the group of each image."""
    several = iter(kinds)
    groups = next(several)
    for group_of in several:
        groups = join(groups, np.stack([np.arange(len(group_of)), group_of], axis=1))
    return groups


def join(groups: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Merge the groups of each pair.

    Args:
        groups: int64 of shape (n,), lowest position in the group of each position.
        pairs: int64 of shape (pairs, 2), positions.

    Returns:
        as `groups`.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pairs):
        return groups
    count = len(groups)
    links = coo_array((np.ones(len(pairs), np.int8), (groups[pairs[:, 0]], groups[pairs[:, 1]])), shape=(count, count))
    number, component = connected_components(links, directed=False)
    lowest = np.full(number, count)
    np.minimum.at(lowest, component, np.arange(count))
    return lowest[component][groups]


def _have_near_thumbnails(pairs: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    first, second = (thumbnails[positions].astype(np.int16) for positions in pairs.T)
    return np.abs(first - second).mean(axis=1) <= MAX_THUMBNAIL_DIFFERENCE
