"""Many images, little memory: how much of them is held at a time, whatever they are."""

import contextlib
import threading
from collections.abc import Iterable, Iterator

from model.dataset.images import MAX_PIXELS, measure_image
from model.errors import ImageError
from model.features.onnx_session import give_back_free_memory

_MOST_BYTES = 64 * 1024 * 1024
# What the decoder frees of a smaller one is soon used again.
_LARGE_PICTURE = 16_000_000


def batches(
    images: Iterable[tuple[str, bytes]], most_images: int, most_bytes: int = _MOST_BYTES
) -> Iterator[list[tuple[str, bytes]]]:
    """Names and contents in lists of at most `most_images`; a list ends with the image that fills `most_bytes`."""
    batch: list[tuple[str, bytes]] = []
    size = 0
    for image in images:
        batch.append(image)
        size += len(image[1])
        if len(batch) == most_images or size >= most_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class RoomForPixels:
    """Lets threads decode as many pixels at a time as the largest picture allowed has, and no more.

    Decoding takes up to 16 bytes a pixel: without this, as many times a gigabyte as there are processors.
    """

    def __init__(self, pixels: int = MAX_PIXELS) -> None:
        self._free = self._all = pixels
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def for_image(self, content: bytes) -> Iterator[None]:
        """Wait until there is room for an encoded image, and keep it inside the block."""
        pixels = min(_pixels(content), self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            if pixels > _LARGE_PICTURE:
                give_back_free_memory()
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


def _pixels(content: bytes) -> int:
    """By the header; 0 for what will not be decoded."""
    try:
        height, width = measure_image(content)
    except ImageError:
        return 0
    return height * width
