"""Near duplicates: images that are equal except for compression, scale or brightness.

Method: the 144-bit perceptual hash of imagehash (signs of the 12 x 12 lowest frequencies of a cosine
transform), then a comparison of small colour thumbnails, because the hash ignores colour and brightness. See https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from PIL import Image

# Side in pixels of the square that an image is resized to before hashing.
HASH_INPUT = 48
HASH_BYTES = 18
THUMBNAIL = 8

# Recompressed at quality 30, halved or brightened by a tenth, every photo of plankton, toys and demo signs differs
# from itself by at most 16 bits; the most alike of different plankton on plain ground by 30, of demo signs by 36.
MAX_HASH_DISTANCE = 16
# Mean difference over the thumbnail's channels, of 255.
MAX_THUMBNAIL_DIFFERENCE = 20.0

_ROWS = 1024
_COLUMNS = 4096
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

    All pairs are compared by matrix products of the hashes as signs: the cost does not depend on the similarity of the
    images, is small compared with decoding (seconds for 50,000 images), and needs little memory.

    Args:
        hashes: uint8 of shape (n, HASH_BYTES).
        thumbnails: uint8 of shape (n, THUMBNAIL**2 * 3).

    Returns:
        int64 of shape (n,): lowest position in the group of each image; its own position without duplicates.
    """
    groups = np.arange(len(hashes))
    for pairs in _pairs_of_near_hashes(hashes):
        for start in range(0, len(pairs), _PAIRS):
            some = pairs[start : start + _PAIRS]
            some = some[groups[some[:, 0]] != groups[some[:, 1]]]
            groups = join(groups, some[_have_near_thumbnails(some, thumbnails)])
    return groups


def equal_keys(keys: Sequence[Hashable]) -> np.ndarray:
    """Group equal keys: int64 of shape (n,), lowest position in the group of each key."""
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(key, position) for position, key in enumerate(keys)], dtype=np.int64)


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


def _pairs_of_near_hashes(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of positions with similar hashes, in batches: int64 of shape (pairs, 2), the lower position first."""
    # The product of two hashes as signs is their number of bits less twice the number that differ.
    min_product = 8 * HASH_BYTES - 2 * MAX_HASH_DISTANCE
    for row in range(0, len(hashes), _ROWS):
        rows = _signs(hashes[row : row + _ROWS])
        for column in range(row, len(hashes), _COLUMNS):
            products = rows @ _signs(hashes[column : column + _COLUMNS]).T
            pairs = np.argwhere(products >= min_product) + np.array([row, column])
            yield pairs[pairs[:, 0] < pairs[:, 1]]


def _signs(hashes: np.ndarray) -> np.ndarray:
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1


def _have_near_thumbnails(pairs: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    first, second = (thumbnails[positions].astype(np.int16) for positions in pairs.T)
    return np.abs(first - second).mean(axis=1) <= MAX_THUMBNAIL_DIFFERENCE
