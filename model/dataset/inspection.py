"""Decoding every image of a dataset once, in parallel, keeping what checks need and no pixels."""

import collections
import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from model.dataset import duplicates
from model.dataset.images import decode_image, measure_image
from model.dataset.reading import read_photo
from model.dataset.verdict import Rejected
from model.errors import ImageError
from model.resources import available_memory, available_processors
from model.results import InputSpec, Progress, Sample

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_THREADS = 32
# For a photo of 24 megapixels and what is made of it.
_BYTES_FOR_A_THREAD = 250_000_000
# Decoded results waiting for their turn, for each thread: it bounds memory.
_AHEAD = 4
_PROGRESS_STEPS = 200
_HASH_INPUT = InputSpec.square(duplicates.HASH_INPUT)


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What was learnt of the n images that can be decoded, in their order, and which cannot.

    Attributes:
        content_hashes: sha256 of each file's bytes, in hexadecimal.
        sizes: int32 (n, 2): upright height and width in pixels.
        hashes, thumbnails: as `duplicates.near_duplicates` takes them.
    """

    samples: tuple[Sample, ...]
    content_hashes: tuple[str, ...]
    sizes: np.ndarray
    hashes: np.ndarray
    thumbnails: np.ndarray
    rejected: tuple[Rejected, ...]


def inspect_images(samples: Sequence[Sample], progress: Progress) -> Inspection:
    """Decode each image once, with one thread for each core; `progress` is told in the phase `check`.

    Raises:
        StorageError: the disk or mount of the dataset stayed away; no photo is rejected for that.
    """
    total = len(samples)
    rejected: list[Rejected] = []
    kept: list[int] = []
    content_hashes: list[str] = []
    sizes = np.zeros((total, 2), np.int32)
    hashes = np.zeros((total, duplicates.HASH_BYTES), np.uint8)
    thumbnails = np.zeros((total, duplicates.THUMBNAIL**2 * 3), np.uint8)
    for position, look in enumerate(in_parallel(_look, samples)):
        if isinstance(look, str):
            rejected.append(Rejected(samples[position].name, look))
        else:
            content_hash, sizes[position], hashes[position], thumbnails[position] = look
            content_hashes.append(content_hash)
            kept.append(position)
        done = position + 1
        if done == total or done % max(1, total // _PROGRESS_STEPS) == 0:
            progress("check", done, total)
    return Inspection(
        samples=tuple(samples[position] for position in kept),
        content_hashes=tuple(content_hashes),
        sizes=sizes[kept],
        hashes=hashes[kept],
        thumbnails=thumbnails[kept],
        rejected=tuple(rejected),
    )


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results of `work` in the order of `items`, from one thread for each processor, fewer with little memory.

    Only a few results wait at a time, so that memory does not grow with the number of items.
    """
    room = available_memory() // _BYTES_FOR_A_THREAD
    threads = max(1, min(_MOST_THREADS, available_processors(), room))
    with ThreadPoolExecutor(threads, thread_name_prefix="topgraft-decode") as pool:
        waiting: collections.deque[Future[Result]] = collections.deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= _AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for result in waiting:
                result.cancel()


def _look(sample: Sample) -> tuple[str, tuple[int, int], np.ndarray, np.ndarray] | str:
    try:
        content = read_photo(sample)
        image = decode_image(content, _HASH_INPUT)
        return (hashlib.sha256(content).hexdigest(), measure_image(content), *duplicates.hash_image(image))
    except ImageError as error:
        return error.message
