"""Similar hashes are found as by comparing each with each."""

import time

import numpy as np
import pytest

from model.dataset.duplicates import HASH_BYTES, MAX_HASH_DISTANCE, join, near_duplicates
from model.dataset.hash_search import join_similar
from tests.support.slowness import slowness


def groups_by_search(hashes: np.ndarray, max_distance: int = MAX_HASH_DISTANCE) -> np.ndarray:
    groups = np.arange(len(hashes))

    def join_pairs(pairs: np.ndarray) -> None:
        groups[:] = join(groups, pairs)

    join_similar(hashes, max_distance, np.zeros(len(hashes)), groups, join_pairs)
    return groups


def groups_by_all_pairs(hashes: np.ndarray, max_distance: int = MAX_HASH_DISTANCE) -> np.ndarray:
    bits = np.unpackbits(hashes, axis=1)
    distances = (bits[:, None] != bits[None]).sum(axis=2)
    return join(np.arange(len(hashes)), np.argwhere(np.triu(distances <= max_distance, 1)))


def copies_with_flipped_bits(count: int, copies: int, flipped: int, frequency: float, seed: int = 0) -> np.ndarray:
    """Hashes and copies of each that differ in up to `flipped` bits, in random order: uint8 (n, HASH_BYTES)."""
    generator = np.random.default_rng(seed)
    bits = np.repeat(generator.random((count, 8 * HASH_BYTES)) < frequency, copies, axis=0)
    for row in bits:
        row[generator.choice(len(row), generator.integers(0, flipped + 1), replace=False)] ^= True
    return np.packbits(generator.permutation(bits), axis=1)


@pytest.mark.parametrize("frequency", [0.5, 0.2, 0.05])
@pytest.mark.parametrize("copies", [1, 2, 5])
def test_groups_are_those_of_all_pairs(frequency: float, copies: int) -> None:
    hashes = copies_with_flipped_bits(600 // copies, copies, 20, frequency)
    assert groups_by_search(hashes).tolist() == groups_by_all_pairs(hashes).tolist()


@pytest.mark.parametrize("distance", [0, 1, 15, 16, 17])
def test_pairs_at_each_distance_are_similar_up_to_the_limit(distance: int) -> None:
    # So many that hashes are compared by their blocks.
    hashes = copies_with_flipped_bits(1500, 1, 0, 0.5)
    bits = np.unpackbits(hashes[:1], axis=1)
    bits[0, np.random.default_rng(distance).choice(8 * HASH_BYTES, distance, replace=False)] ^= 1
    groups = groups_by_search(np.concatenate([hashes, np.packbits(bits, axis=1)]))
    assert (groups[-1] == 0) == (distance <= MAX_HASH_DISTANCE)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_hashes_for_a_pair(count: int) -> None:
    assert groups_by_search(np.zeros((count, HASH_BYTES), np.uint8)).tolist() == list(range(count))


def test_a_distance_that_blocks_cannot_find_is_refused() -> None:
    with pytest.raises(ValueError, match="less than 18, got 18"):
        groups_by_search(np.zeros((2, HASH_BYTES), np.uint8), max_distance=18)


def test_identical_images_with_other_colours_stay_apart() -> None:
    hashes = np.zeros((300, HASH_BYTES), np.uint8)
    thumbnails = np.repeat(np.array([[0], [128], [255]], np.uint8), 100, axis=0).repeat(192, axis=1)
    assert near_duplicates(hashes, thumbnails).tolist() == [0] * 100 + [100] * 100 + [200] * 100


def test_identical_hashes_that_are_not_joined_are_compared_once() -> None:
    hashes = np.concatenate([copies_with_flipped_bits(4000, 1, 0, 0.5), np.zeros((60, HASH_BYTES), np.uint8)])
    reported: list[np.ndarray] = []
    join_similar(hashes, MAX_HASH_DISTANCE, np.zeros(len(hashes)), np.arange(len(hashes)), reported.append)
    pairs = np.sort(np.concatenate(reported), axis=1)
    identical = pairs[(hashes[pairs[:, 0]] == hashes[pairs[:, 1]]).all(axis=1)]
    assert len(np.unique(identical[:, 0] * len(hashes) + identical[:, 1])) == 60 * 59 // 2


def test_images_of_one_hash_and_of_many_colours_are_compared_quickly() -> None:
    count = 20_000
    colours = np.random.default_rng(0).integers(0, 256, (count, 3)).astype(np.uint8)
    thumbnails = np.tile(colours, (1, 64))
    start = time.process_time()
    groups = near_duplicates(np.zeros((count, HASH_BYTES), np.uint8), thumbnails)
    assert time.process_time() - start < 10 * slowness()
    # Colours so near that they are linked, directly or by others.
    assert len(np.unique(groups)) < 0.01 * count


@pytest.mark.slow
def test_time_grows_with_the_number_of_images_and_not_with_their_pairs() -> None:
    seconds = []
    for count in (25_000, 100_000):
        hashes = copies_with_flipped_bits(count // 2, 2, 10, 0.5)
        start = time.process_time()
        groups = near_duplicates(hashes, np.zeros((count, 192), np.uint8))
        seconds.append(time.process_time() - start)
        assert len(np.unique(groups)) <= count // 2 * 1.2
    # All pairs would take sixteen times as long.
    assert seconds[1] < 9 * seconds[0]
