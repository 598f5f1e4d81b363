"""Pictures that are the same, or the same but for compression, scale or light.

Method: the 144-bit perceptual hash of imagehash (signs of the 12 x 12 lowest frequencies of a cosine
transform), then a comparison of tiny colour thumbnails, for what the hash cannot see (it has no colour and
no brightness). See https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from PIL import Image

# Pixels of the square that a picture is brought to before it is hashed.
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
    """What is compared of a picture.

    Args:
        image: uint8 RGB of shape (HASH_INPUT, HASH_INPUT, 3).

    Returns:
        its perceptual hash, uint8 of shape (HASH_BYTES,), and its thumbnail, uint8 of shape (THUMBNAIL**2 * 3,).
    """
    import imagehash

    picture = Image.fromarray(image)
    bits = imagehash.phash(picture, hash_size=12).hash
    thumbnail = picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.packbits(bits.ravel()), np.asarray(thumbnail).ravel()


def near_duplicates(hashes: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Group pictures that are near duplicates, directly or through others.

    Every pair is compared, by matrix products of hashes as signs: the cost does not depend on how alike the
    pictures are, stays small beside decoding (seconds for 50,000), and needs little memory.

    Args:
        hashes: uint8 of shape (n, HASH_BYTES).
        thumbnails: uint8 of shape (n, THUMBNAIL**2 * 3).

    Returns:
        int64 of shape (n,): for each picture, the lowest position in its group; its own where it is alone.
    """
    groups = np.arange(len(hashes))
    for pairs in _pairs_of_near_hashes(hashes):
        for start in range(0, len(pairs), _PAIRS):
            some = pairs[start : start + _PAIRS]
            some = some[groups[some[:, 0]] != groups[some[:, 1]]]
            groups = join(groups, some[_have_near_thumbnails(some, thumbnails)])
    return groups


def equal_keys(keys: Sequence[Hashable]) -> np.ndarray:
    """Group positions with the same key: int64 of shape (n,), the lowest position of each group."""
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(key, position) for position, key in enumerate(keys)], dtype=np.int64)


def join(groups: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Merge the groups of each pair.

    Args:
        groups: int64 of shape (n,), for each position the lowest one of its group.
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
    """All pairs of positions whose hashes are near, in batches: int64 of shape (pairs, 2), the lower first."""
    # The product of two hashes as signs is their number of bits less twice the number that differ.
    least = 8 * HASH_BYTES - 2 * MAX_HASH_DISTANCE
    for row in range(0, len(hashes), _ROWS):
        rows = _signs(hashes[row : row + _ROWS])
        for column in range(row, len(hashes), _COLUMNS):
            products = rows @ _signs(hashes[column : column + _COLUMNS]).T
            pairs = np.argwhere(products >= least) + np.array([row, column])
            yield pairs[pairs[:, 0] < pairs[:, 1]]


def _signs(hashes: np.ndarray) -> np.ndarray:
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1


def _have_near_thumbnails(pairs: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    first, second = (thumbnails[positions].astype(np.int16) for positions in pairs.T)
    return np.abs(first - second).mean(axis=1) <= MAX_THUMBNAIL_DIFFERENCE
