"""Pictures that are the same, or the same but for compression, scale or light.

Method: the 256-bit perceptual hash of imagehash (signs of the 16 x 16 lowest frequencies of a cosine
transform), then a comparison of tiny colour thumbnails, for what the hash cannot see (it has no colour and
no brightness). See https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from PIL import Image

# Pixels of the square that a picture is brought to before it is hashed.
HASH_INPUT = 64
HASH_BYTES = 32
THUMBNAIL = 8

# Recompressed at quality 30, halved or brightened by a tenth, photos of plankton stay below 20 in 19 of 20 cases;
# the most alike of different specimens on their plain background differ by 62.
MAX_HASH_DISTANCE = 24
# Mean difference over the thumbnail's channels, of 255.
MAX_THUMBNAIL_DIFFERENCE = 24.0

_BITS_SET = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1).astype(np.uint8)


def hash_image(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is compared of a picture.

    Args:
        image: uint8 RGB of shape (HASH_INPUT, HASH_INPUT, 3).

    Returns:
        its perceptual hash, uint8 of shape (HASH_BYTES,), and its thumbnail, uint8 of shape (THUMBNAIL**2 * 3,).
    """
    import imagehash

    picture = Image.fromarray(image)
    bits = imagehash.phash(picture, hash_size=16).hash
    thumbnail = picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.packbits(bits.ravel()), np.asarray(thumbnail).ravel()


def near_duplicates(hashes: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Group pictures that are near duplicates, directly or through others.

    Two hashes that differ in at most d of their bits agree wholly in one of d + 1 parts (the pigeonhole
    principle), so only pictures that share a part are compared: 50,000 take seconds.

    Args:
        hashes: uint8 of shape (n, HASH_BYTES).
        thumbnails: uint8 of shape (n, THUMBNAIL**2 * 3).

    Returns:
        int64 of shape (n,): for each picture, the lowest position in its group; its own where it is alone.
    """
    groups = np.arange(len(hashes))
    for part in np.array_split(np.unpackbits(hashes, axis=1), MAX_HASH_DISTANCE + 1, axis=1):
        for pairs in _pairs_of_equals(part @ (1 << np.arange(part.shape[1]))):
            # Most pictures that share a part again were found near by an earlier one.
            pairs = pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]]
            groups = join(groups, pairs[_are_near(pairs, hashes, thumbnails)])
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


def _pairs_of_equals(values: np.ndarray) -> Iterator[np.ndarray]:
    """All pairs of positions with equal values, in batches: int64 of shape (up to n, 2)."""
    order = np.argsort(values, kind="stable")
    values = values[order]
    starts = np.arange(len(order))
    for offset in range(1, len(order)):
        # Values are sorted: one that differs from the one `offset` further on differs from all beyond.
        starts = starts[starts < len(order) - offset]
        starts = starts[values[starts] == values[starts + offset]]
        if not len(starts):
            return
        yield np.stack([order[starts], order[starts + offset]], axis=1)


def _are_near(pairs: np.ndarray, hashes: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    first, second = pairs.T
    distances = _BITS_SET[hashes[first] ^ hashes[second]].sum(axis=1, dtype=np.int64)
    near = distances <= MAX_HASH_DISTANCE
    differences = np.abs(thumbnails[first[near]].astype(np.int16) - thumbnails[second[near]])
    near[near] = differences.mean(axis=1) <= MAX_THUMBNAIL_DIFFERENCE
    return near
