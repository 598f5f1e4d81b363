"""Decoding of images, for training, evaluation and prediction alike.

Pixels are uint8 RGB in [0, 255] of shape (height, width, 3); a size is (height, width) in pixels.
"""

import dataclasses
import functools
import stat
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from model.dataset.decoders.source import ImageSource, Pixels, exif_orientation, native_color
from model.dataset.decoding_errors import translated_error, unknown_error
from model.dataset.decoding_process import DecodingProcesses, Header
from model.dataset.fitting import fit_pixels, full_pixels, smallest_size, transparent_image
from model.dataset.formats import find_format
from model.dataset.image_limits import (
    MAX_CONTENT_BYTES,
    MAX_DECODING_BYTES,
    QUICK_BYTES,
    QUICK_WORK,
    check_content,
    check_memory,
    check_size,
)
from model.dataset.intensity.gray_levels import reduce_photo
from model.dataset.intensity.value_distribution import ValueDistribution
from model.dataset.memory_budget import reserve_content
from model.errors import ImageError, ImageTooLargeError
from model.intensity import FULL, Intensity
from model.reading import without_number
from model.results import InputSpec

# The resized channels, the RGB image, its bytes, and the array.
_BYTES_PER_INPUT_PIXEL = 14
# Opening a named pipe waits for its writer, and a device may act when it is opened.
_SPECIAL_FILES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# Memory of a decoding process: the largest file and its decoded image, twice; an outer net for wrong estimates.
_MAX_PROCESS_BYTES = 2 * (MAX_CONTENT_BYTES + MAX_DECODING_BYTES)

_ONE_PIXEL, _ANY_MEMORY = InputSpec.square(1), 1 << 62

DecodedImage = Image.Image | np.ndarray
"""A PIL image, or an array uint8 RGB of shape (height, width, 3)."""


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """Photo as a network sees it.

    Attributes:
        pixels: uint8 RGB of shape (height, width, 3), writable.
        values: distribution of the values in the file, if they have more than 8 bits per channel; otherwise None.
    """

    pixels: np.ndarray
    values: ValueDistribution | None


@dataclasses.dataclass(frozen=True, eq=False)
class OpenedPhoto:
    """A photo whose header has been read and checked; no pixel is decoded yet.

    Attributes:
        cost: what `decode` takes.
    """

    cost: "DecodingCost"
    _content: bytes
    _spec: InputSpec | None
    _max_memory: int
    _source: ImageSource | None
    _target: tuple[int, int] | None

    def decode(self, reserved: Callable[[], AbstractContextManager[None]] = nullcontext) -> DecodedPhoto:
        """Decode the photo as `decode_photo` does, at most once; `reserved` is entered once a process is free."""
        if self._source is None or not self.cost.is_quick:
            return DecodedPhoto(*_decoding_processes().decode(self._content, self._spec, self._max_memory, reserved))
        try:
            with reserved():
                return _decode(self._source, self._target, self._spec)
        except Exception as error:
            raise translated_error(self._content, error) from error


class DecodingCost(NamedTuple):
    """Cost of decoding a photo.

    Attributes:
        memory: maximum bytes besides the file.
        is_quick: whether the content is decoded in well under a second.
    """

    memory: int
    is_quick: bool


def decode_image(content: bytes, spec: InputSpec | None = None, max_memory: int = MAX_DECODING_BYTES) -> np.ndarray:
    """Decode an image to uint8 RGB of shape (height, width, 3), writable; see `decode_photo`."""
    return decode_photo(content, spec, max_memory).pixels


def decode_photo(
    content: bytes,
    spec: InputSpec | None = None,
    max_memory: int = MAX_DECODING_BYTES,
) -> DecodedPhoto:
    """Decode an image, apply its EXIF orientation, and resize it to the input of a network.

    A JPEG or JPEG 2000 much larger than the input is decoded at a fraction of its scale, never below the input's size.
    Transparent parts become white. Of several frames or pages the first is taken. An image that its header does not
    prove to be quick is decoded in a child process, within TOPGRAFT_PHOTO_SECONDS.

    Args:
        content: bytes of the file.
        spec: size, resize mode and intensity range; None keeps the size of the image, and the full intensity range.
        max_memory: maximum memory of decoding in bytes, estimated by the header before decoding.

    Raises:
        ImageTooLargeError: decoding takes more memory than `max_memory`, or the file has more parts than any program
            writes.
        ImageTooSlowError: decoding takes too long.
        ImageNotSupportedError: a whole file of a kind that is not read; the message names it.
        ImageError: not an image, or a damaged one; the message describes the content.
    """
    return open_photo(content, spec, max_memory).decode()


def open_photo(content: bytes, spec: InputSpec | None = None, max_memory: int = MAX_DECODING_BYTES) -> OpenedPhoto:
    """Read and check the header of an image that will be decoded; in a child process, if it is not short and plain.

    Raises:
        ImageTooLargeError, ImageTooSlowError, ImageNotSupportedError, ImageError: see `decode_photo`.
    """
    if _needs_process(content):
        memory = _decoding_processes().open(content, spec, max_memory).memory
        return OpenedPhoto(DecodingCost(memory, False), content, spec, max_memory, None, None)
    try:
        source = _open(content)
        memory, target = _checked_memory(source, spec, max_memory)
    except Exception as error:
        raise translated_error(content, error) from error
    return OpenedPhoto(DecodingCost(memory, _is_quick(content, source)), content, spec, max_memory, source, target)


def decode_in_this_process(content: bytes, spec: InputSpec | None, max_memory: int) -> DecodedPhoto:
    """Decode an image as `decode_photo` does, without a time limit: for the child process only."""
    try:
        source = _open(content)
        _, target = _checked_memory(source, spec, max_memory)
        return _decode(source, target, spec)
    except Exception as error:
        raise translated_error(content, error) from error


def open_in_this_process(content: bytes, spec: InputSpec | None, max_memory: int) -> Header:
    """Read and check the header as `open_photo` does, without a time limit: for the child process only."""
    try:
        source = _open(content)
        memory, _ = _checked_memory(source, spec, max_memory)
    except Exception as error:
        raise translated_error(content, error) from error
    return Header(memory, *reversed(source.upright_size))


def decode_transparent(content: bytes) -> Image.Image:
    """Decode an image with its transparency: an RGBA image of its own size, upright; opaque without transparency.

    Raises:
        ImageError: as `decode_photo`.
    """
    try:
        source = _open(content)
        _, target = _checked_memory(source, None, MAX_DECODING_BYTES)
        pixels, _ = _to_8_bits(source.decode(target), FULL)
        return transparent_image(pixels, source.orientation)
    except Exception as error:
        raise translated_error(content, error) from error


def fit_photo(image: DecodedImage, spec: InputSpec) -> DecodedPhoto:
    """Resize an image in memory to the input of a network; the counterpart of `decode_photo`.

    Args:
        image: a PIL image, turned upright as its EXIF says; or an array uint8 RGB of shape (height, width, 3).
        spec: the input of the network.

    Raises:
        ImageError: the array has another type or shape, or the file behind the PIL image is damaged.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            received = f"{image.dtype} of shape {image.shape}"
            raise ImageError(f"expected an array uint8 RGB of shape (height, width, 3), received {received}")
        return DecodedPhoto(fit_pixels(Pixels(image), 1, spec), None)
    _ignore_notices_of_decoders()
    try:
        image.load()
        # Pillow reads 16-bit netpbm files as 32-bit integers of the range of 16.
        color = native_color(image)
        if isinstance(color, np.ndarray) and image.mode == "I" and image.format == "PPM":
            color = color.astype(np.uint16)
        pixels, values = _to_8_bits(Pixels(color), spec.intensity)
        return DecodedPhoto(fit_pixels(pixels, exif_orientation(image), spec), values)
    except MemoryError:
        raise
    # As in `decode_photo`.
    except Exception as error:
        raise ImageError(f"expected a PIL image that can be decoded, received: {without_number(error)}") from error


def read_image(path: Path, spec: InputSpec | None = None) -> np.ndarray:
    """Decode an image file as `decode_image` does; messages of errors begin with `path`.

    Raises:
        ImageTooLargeError: more than `MAX_CONTENT_BYTES` bytes, or as `decode_photo`.
        ImageError: the file does not exist, or is no image, or a damaged one.
    """
    try:
        return decode_image(read_content(path), spec)
    except ImageError as error:
        raise type(error)(f"{path}: {error.message}") from error


def read_content(path: Path) -> bytes:
    """Read the bytes of an image file.

    Raises:
        ImageTooLargeError: the file has more than `MAX_CONTENT_BYTES` bytes.
        ImageError: the file cannot be read, or as `read_bytes`.
    """
    try:
        return read_bytes(path)
    except OSError as error:
        raise ImageError(f"expected a readable file, received: {error.strerror or error}") from error


def read_bytes(path: Path) -> bytes:
    """Read the bytes of an image file, raising the error of the operating system if that fails.

    A large file whose first bytes are not those of an image, or of one that is too large to decode, is not read whole.

    Raises:
        ImageTooLargeError: the file has more than `MAX_CONTENT_BYTES` bytes, or takes too much memory to decode.
        ImageError: it is a named pipe, a socket or a device, which is not opened; or it is large, and no image.
        OSError: the file cannot be read.
    """
    status = path.stat()
    if kind := _SPECIAL_FILES.get(stat.S_IFMT(status.st_mode)):
        raise ImageError(f"expected a regular file, received {kind}. Save its content to a file")
    check_content(status.st_size)
    with open(path, "rb") as stream:
        head = stream.read(min(status.st_size, QUICK_BYTES) + 1)
        if len(head) > status.st_size:
            # It has grown, or its file system does not know the size.
            head += stream.read(QUICK_BYTES + 1 - len(head))
        if len(head) <= QUICK_BYTES:
            return head
        _check_head(head, status.st_size)
        reserve_content(status.st_size)
        content = head + stream.read(max(status.st_size, len(head)) - len(head) + 1)
        if len(content) > status.st_size:
            raise ImageError(f"expected a file of {status.st_size:,} bytes, received more: it is still being written")
    return content


def _check_head(head: bytes, size: int) -> None:
    """Refuse a large file by its beginning, if that suffices; otherwise the whole file is needed to say what it is."""
    found = find_format(head)
    if found is None:
        raise unknown_error(head, size)
    if not found.is_bounded(head):
        return
    try:
        source = _open(head)
    except (MemoryError, ImageTooLargeError):
        raise
    # Headers of some formats are at the end, and decoders raise any exception for a file that is cut.
    except Exception:
        return
    check_memory(source.format, source.width, source.height, source.memory((1, 1)))


def measure_image(content: bytes) -> tuple[int, int]:
    """Height and width of an image in pixels, with its EXIF orientation applied, from its header only.

    Raises:
        ImageTooLargeError: a side has too many pixels, or the file has more parts than any program writes.
        ImageTooSlowError: reading the header takes too long.
        ImageError: the header is not that of an image that is read.
    """
    if _needs_process(content):
        return _decoding_processes().open(content, _ONE_PIXEL, _ANY_MEMORY)[1:]
    try:
        width, height = _open(content).upright_size
        return height, width
    except Exception as error:
        raise translated_error(content, error) from error


def _needs_process(content: bytes) -> bool:
    return (found := find_format(content)) is not None and not found.is_bounded(content)


def _is_quick(content: bytes, source: ImageSource) -> bool:
    return len(content) <= QUICK_BYTES and source.work <= QUICK_WORK


@functools.cache
def _decoding_processes() -> DecodingProcesses:
    return DecodingProcesses(_MAX_PROCESS_BYTES)


@functools.cache
def _ignore_notices_of_decoders() -> None:
    """Keep warnings about metadata off the terminal: what matters for the pixels is an error, or refused before.

    A filter for the process, because `warnings.catch_warnings` is for one thread only.
    """
    for package in ("PIL", "pydicom"):
        warnings.filterwarnings("ignore", module=rf"{package}\.")


def _checked_memory(source: ImageSource, spec: InputSpec | None, max_memory: int) -> tuple[int, tuple[int, int] | None]:
    """Maximum memory of decoding in bytes, within the limit, and the smallest size in pixels that may be decoded."""
    if spec is None:
        memory, target = source.memory(None), None
    else:
        target = smallest_size((source.width, source.height), source.orientation, spec)
        memory = source.memory(target) + _BYTES_PER_INPUT_PIXEL * spec.height * spec.width
    check_memory(source.format, source.width, source.height, memory, max_memory)
    return memory, target


def _decode(source: ImageSource, target: tuple[int, int] | None, spec: InputSpec | None) -> DecodedPhoto:
    pixels, values = _to_8_bits(source.decode(target), spec.intensity if spec else FULL)
    if spec is None:
        return DecodedPhoto(full_pixels(pixels, source.orientation), values)
    return DecodedPhoto(fit_pixels(pixels, source.orientation, spec), values)


def _open(content: bytes) -> ImageSource:
    _ignore_notices_of_decoders()
    found = find_format(content)
    if found is None:
        raise unknown_error(content, len(content))
    source = found.open(content)
    check_size(source.width, source.height)
    return source


def _to_8_bits(pixels: Pixels, intensity: Intensity) -> tuple[Pixels, ValueDistribution | None]:
    if isinstance(pixels.color, Image.Image):
        return pixels, None
    color, values = reduce_photo(pixels.color, intensity)
    return dataclasses.replace(pixels, color=color), values
