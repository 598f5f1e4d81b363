"""All pairs of similar hashes among many, without comparing each with each.

Method: multi-index hashing (Norouzi, Punjani and Fleet, 2012). The bits are divided into blocks. Two hashes that differ
in fewer than two bits per block on average have a block in which they differ in one bit at most, and this block is
equal once that bit is removed. So hashes are sorted by each block with each of its bits removed, and only those with
equal keys are compared.
"""

from collections.abc import Callable, Iterator

import numpy as np

# Twenty thousand images of one hash, all different, take nine seconds of processor time.
MAX_EQUAL = 200
_WORD_BITS = 64
_BLOCK_BITS = 16
# Reported at a time, at least, because joining groups takes as long as there are hashes.
_PAIRS = 65_536


def join_similar(
    hashes: np.ndarray,
    max_distance: int,
    brightness: np.ndarray,
    groups: np.ndarray,
    join: Callable[[np.ndarray], None],
) -> None:
    """Report pairs of similar hashes until all that are similar, directly or transitively, are in one group.

    The time grows linearly with the number of hashes, as long as few different ones are equal in a block. Hashes that
    are in one group already are not compared any more, and of equal ones in one group only one is compared with others.
    Each hash is compared with MAX_EQUAL equal ones at most: the next in brightness.

    Args:
        hashes: uint8 of shape (n, bytes).
        max_distance: highest number of bits in which similar hashes differ; fewer than two for every 16 bits.
        brightness: of shape (n,), of the image of each hash.
        groups: int64 of shape (n,), group of each hash; `join` changes it.
        join: called with positions of similar hashes of different groups, int64 of shape (pairs, 2); it may join only
            some of them.
    """
    words = _words(hashes)
    _, identity = np.unique(words, axis=1, return_inverse=True)
    everything = np.lexsort((brightness, identity))
    each = np.arange(len(hashes))
    for pairs in _similar_pairs(everything, identity[everything], words, each, 0, groups, MAX_EQUAL):
        join(pairs)
    _, representatives = np.unique(np.stack([identity, groups]), axis=1, return_index=True)
    for key in _keys(hashes[representatives], max_distance):
        order = np.argsort(key, kind="stable")
        for pairs in _similar_pairs(representatives[order], key[order], words, identity, max_distance, groups):
            join(pairs)


def _keys(hashes: np.ndarray, max_distance: int) -> Iterator[np.ndarray]:
    """Keys of which similar hashes have at least one in common: uint16 of shape (n,) each."""
    blocks = _blocks(hashes)
    if max_distance >= 2 * len(blocks):
        raise ValueError(f"max_distance must be less than {2 * len(blocks)}, got {max_distance}")
    masks = [np.uint16(0xFFFF ^ (1 << bit)) for bit in range(_BLOCK_BITS)]
    compared = sum(_comparisons(block & mask) for block in blocks for mask in masks)
    if compared > _comparisons(np.zeros(len(hashes), np.uint16)):
        # Few hashes, or hashes that are equal in most bits.
        yield np.zeros(len(hashes), np.uint16)
        return
    for block in blocks:
        for mask in masks:
            yield block & mask


def _blocks(hashes: np.ndarray) -> np.ndarray:
    """The bits in blocks of 16: uint16 of shape (blocks, n).

    Neighbouring bits are often correlated, so each block takes bits from the whole hash.
    """
    bits = np.unpackbits(hashes, axis=1)
    count = -(-bits.shape[1] // _BLOCK_BITS)
    bits = np.pad(bits, ((0, 0), (0, count * _BLOCK_BITS - bits.shape[1])))
    return np.array([np.packbits(bits[:, start::count], axis=1).view(np.uint16)[:, 0] for start in range(count)])


def _words(hashes: np.ndarray) -> np.ndarray:
    """The hashes as uint64 of shape (words, n), filled up with zeros."""
    padding = -hashes.shape[1] % (_WORD_BITS // 8)
    return np.ascontiguousarray(np.ascontiguousarray(np.pad(hashes, ((0, 0), (0, padding)))).view(np.uint64).T)


def _comparisons(key: np.ndarray) -> int:
    """Number of pairs with equal keys."""
    counts = np.bincount(key).astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())


def _similar_pairs(
    order: np.ndarray,
    key: np.ndarray,
    words: np.ndarray,
    identity: np.ndarray,
    max_distance: int,
    groups: np.ndarray,
    max_step: int | None = None,
) -> Iterator[np.ndarray]:
    """Similar hashes with equal keys, but other identities and groups; the groups may change after each batch.

    Args:
        order: int64 of shape (m,), positions of the hashes to compare.
        key: of shape (m,), their keys, sorted.
        max_step: largest distance in `order` of hashes that are compared; None for all.
    """
    words, identity = words.take(order, axis=1), identity[order]
    step, next_selection = 1, 1
    pairs: list[np.ndarray] = []
    while len(order) and (max_step is None or step <= max_step):
        if step == next_selection:
            selected = _have_others(key, groups[order], step)
            order, key, words = order[selected], key[selected], words.compress(selected, axis=1)
            identity = identity[selected]
            next_selection = step + max(1, step // 2)
        # Most pairs differ too much in the first word already.
        near = np.bitwise_count(words[0, step:] ^ words[0, :-step]) <= max_distance
        near &= (key[step:] == key[:-step]) & (identity[step:] != identity[:-step])
        first = np.flatnonzero(near)
        differing = np.bitwise_count(words[:, first] ^ words[:, first + step]).sum(axis=0)
        first = first[differing <= max_distance]
        found = np.stack([order[first], order[first + step]], axis=1)
        pairs.append(found[groups[found[:, 0]] != groups[found[:, 1]]])
        step += 1
        if step == next_selection or sum(map(len, pairs)) >= _PAIRS:
            yield np.concatenate(pairs)
            pairs = []
    if pairs:
        yield np.concatenate(pairs)


def _have_others(key: np.ndarray, groups: np.ndarray, step: int) -> np.ndarray:
    """Whether more than `step` hashes have the same key as this one, in several groups: bool of shape (n,).

    Args:
        key: sorted.
    """
    if not len(key):
        return np.zeros(0, bool)
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    lengths = np.diff(np.r_[starts, len(key)])
    differ = np.minimum.reduceat(groups, starts) != np.maximum.reduceat(groups, starts)
    return np.repeat(differ & (lengths > step), lengths)
