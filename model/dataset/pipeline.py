"""Decoding many images in threads: one loop and one memory policy for training, evaluation, prediction and export.

Three numbers are limited, whatever the images: the threads, the memory for decoding at the same time in this process,
and the results waiting to be returned in order.
"""

import collections
import contextvars
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NoReturn, TypeVar

import numpy as np

from model.dataset.images import DecodedImage, DecodedPhoto, fit_photo, open_photo
from model.dataset.memory_budget import MemoryBudget, with_limited_content
from model.dataset.reading import raise_with_path, read_photo
from model.errors import ImageError
from model.resources import available_memory, available_processors
from model.results import InputSpec, Sample

Item = TypeVar("Item")
Result = TypeVar("Result")

# Images per call of a network. Small batches stay in the processor's cache: on a CPU, 8 take less time per image than
# 16 or 64, and less memory.
BATCH_SIZE = 8

_MAX_THREADS = 32
# For a photo of 24 megapixels and its copies.
_BYTES_PER_THREAD = 250_000_000
# Decoded results waiting for in order, per thread: it bounds memory.
_RESULTS_PER_THREAD = 4
_MAX_ENCODED_BYTES = 64 * 1024 * 1024

Transform = Callable[[np.ndarray, Sample], np.ndarray]
"""From a decoded image uint8 (height, width, 3) and its sample to an image of the same shape and dtype."""


def _raise(_item: object, error: ImageError) -> NoReturn:
    raise error


def decoded(
    items: Iterable[Item],
    read: Callable[[Item], bytes | DecodedImage],
    spec: InputSpec,
    threads: int | None = None,
    on_error: Callable[[Item, ImageError], Result] = _raise,
    transform: Callable[[np.ndarray, Item], np.ndarray] | None = None,
) -> Iterator[np.ndarray | Result]:
    """Decode images in threads and yield them in the order of `items`: uint8 (height, width, 3).

    Args:
        read: function from an item to an encoded or decoded image; called in a thread.
        spec: the input of the network, to which the images are resized.
        threads: see `in_threads`.
        on_error: function of an item that cannot be decoded and its error; its result is yielded instead. By
            default the error is raised.
        transform: function applied to each decoded image, in the same thread.

    Raises:
        ImageError: an image cannot be decoded, and `on_error` raises.
    """

    def work(item: Item) -> np.ndarray | Result:
        photo = _decode_or(on_error, item, read, spec)
        if not isinstance(photo, DecodedPhoto):
            return photo
        return photo.pixels if transform is None else transform(photo.pixels, item)

    return in_threads(work, items, threads)


def decoded_photos(
    items: Iterable[Item],
    read: Callable[[Item], bytes | DecodedImage],
    spec: InputSpec,
    threads: int | None = None,
    on_error: Callable[[Item, ImageError], Result] = _raise,
) -> Iterator[DecodedPhoto | Result]:
    """Decode images as `decoded` does, and yield them with the distribution of their values."""
    return in_threads(lambda item: _decode_or(on_error, item, read, spec), items, threads)


def _decode_or(
    on_error: Callable[[Item, ImageError], Result],
    item: Item,
    read: Callable[[Item], bytes | DecodedImage],
    spec: InputSpec,
) -> DecodedPhoto | Result:
    try:
        return decode_within_budget(read(item), spec)
    except ImageError as error:
        return on_error(item, error)


def decoded_batches(
    samples: Iterable[Sample],
    spec: InputSpec,
    batch_size: int = BATCH_SIZE,
    transform: Transform | None = None,
    read: Callable[[Sample], bytes] = read_photo,
) -> Iterator[np.ndarray]:
    """Images of samples as batches uint8 (at most batch_size, height, width, 3), decoded in threads.

    Args:
        read: function from a sample to its encoded image; called in a thread.

    Raises:
        ImageError, StorageError: an image cannot be read or decoded; the message begins with its path.
    """
    images = decoded(samples, read, spec, on_error=raise_with_path, transform=transform)
    while batch := list(itertools.islice(images, batch_size)):
        yield np.stack(batch)


def encoded_batches(
    images: Iterable[tuple[str, Item]], max_images: int, max_bytes: int = _MAX_ENCODED_BYTES
) -> Iterator[list[tuple[str, Item]]]:
    """Names and contents in lists of at most `max_images`; a list ends with the image that fills `max_bytes`."""
    batch: list[tuple[str, Item]] = []
    size = 0
    for image in images:
        batch.append(image)
        size += len(image[1]) if isinstance(image[1], bytes) else 0
        if len(batch) == max_images or size >= max_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None) -> Iterator[Result]:
    """Results of `work` in the order of `items`; a few are computed ahead, so memory does not grow with their number.

    Args:
        threads: the maximum number; None means one per processor of this process. There are fewer if memory is
            small. With 1 the work is done in the calling thread.
    """
    work = with_limited_content(work)
    if threads == 1:
        yield from map(work, items)
        return
    affordable = available_memory() // _BYTES_PER_THREAD
    threads = max(1, min(_MAX_THREADS, threads or available_processors(), affordable))
    with ThreadPoolExecutor(threads, thread_name_prefix="topgraft-decode") as pool:
        waiting: collections.deque[Future[Result]] = collections.deque()
        try:
            for item in items:
                waiting.append(pool.submit(contextvars.copy_context().run, work, item))
                if len(waiting) >= _RESULTS_PER_THREAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for result in waiting:
                result.cancel()


_BUDGET = MemoryBudget()
# Photos that are decoded in child processes: quick ones do not wait for them.
_SLOW_BUDGET = MemoryBudget()


def decode_within_budget(content: bytes | DecodedImage, spec: InputSpec) -> DecodedPhoto:
    """Decode a photo once the memory budget, which all threads share, has room for it; see `decode_photo`."""
    if not isinstance(content, bytes):
        return fit_photo(content, spec)
    photo = open_photo(content, spec)
    budget = _BUDGET if photo.cost.is_quick else _SLOW_BUDGET
    # Once a process is free: photos that wait for a process keep no memory from others.
    return photo.decode(lambda: budget.reserve(photo.cost.memory))
