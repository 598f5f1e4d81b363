"""What decoders of all formats have in common: an image before decoding, and its pixels after."""

import dataclasses
import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFile

from model.dataset.decoders.exif import valid_orientation
from model.errors import ImageNotSupportedError

Size = tuple[int, int]
"""Width and height in pixels, as Pillow orders them."""

FULL_SIZE_BYTES = 16
"""Bytes per pixel of an image that is not resized: its channels, the RGB image, its bytes twice, and the array."""

_ORIENTATION_TAG = 0x0112
SWAPPING_ORIENTATIONS = (5, 6, 7, 8)


@dataclasses.dataclass(frozen=True, eq=False)
class Pixels:
    """Decoded pixels in the depth of the file, not yet upright.

    Attributes:
        color: a PIL image of 8 bits per channel; or an array of shape (height, width) or (height, width, 3), of any
            integer or floating-point type.
        alpha: opacity as uint8 of shape (height, width), if `color` is an array with transparent parts.
        is_premultiplied: whether `color` has been multiplied by `alpha`.
    """

    color: Image.Image | np.ndarray
    alpha: np.ndarray | None = None
    is_premultiplied: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSource:
    """An encoded image whose header has been read. No pixel is decoded yet.

    Attributes:
        format: name of the format for messages, such as `JPEG`.
        width, height: size in pixels, as stored.
        memory: function from the smallest size that is needed (None: full size) to the maximum memory in bytes that
            decoding takes, besides the encoded content.
        decode: function from the smallest size that is needed (None: full size) to the pixels. The result is never
            smaller than that size, unless the image is.
        work: estimated work of decoding, in units of a pixel of a baseline JPEG; infinite where the header does not
            bound it.
        orientation: orientation of EXIF, 1 to 8, to be applied to the decoded pixels.
    """

    format: str
    width: int
    height: int
    memory: Callable[[Size | None], int]
    decode: Callable[[Size | None], Pixels]
    work: float
    orientation: int = 1

    @property
    def upright_size(self) -> Size:
        """Width and height in pixels, with the orientation applied."""
        return (self.height, self.width) if self.orientation in SWAPPING_ORIENTATIONS else (self.width, self.height)


def pillow_source(
    name: str,
    opened: ImageFile.ImageFile,
    extra_per_pixel: float = 0,
    work_per_pixel: float = 1,
    orientation: int | None = None,
) -> ImageSource:
    """Source of an image that Pillow decodes as a whole.

    Args:
        opened: the image, opened and not loaded.
        extra_per_pixel: bytes per pixel that the decoder needs besides the decoded image.
        work_per_pixel: see `ImageSource.work`.
        orientation: EXIF orientation; read from the image if it is None. Pillow decodes a whole PNG for that.
    """
    width, height = opened.size
    pixels = width * height

    def decode(_target: Size | None) -> Pixels:
        opened.load()
        return Pixels(native_color(opened))

    def memory(target: Size | None) -> int:
        return round(pixels * (extra_per_pixel + fitting_bytes(opened, full=target is None)))

    upright = exif_orientation(opened) if orientation is None else orientation
    return ImageSource(name, width, height, memory, decode, pixels * work_per_pixel, upright)


def native_color(image: Image.Image) -> Image.Image | np.ndarray:
    """A decoded PIL image as `Pixels.color`: an array if it has more than 8 bits per channel."""
    return np.asarray(image) if image.mode.startswith(("I", "F")) else image


def array_pixels(values: np.ndarray) -> Pixels:
    """Pixels of a decoded array of shape (height, width) or (height, width, 2 to 4).

    The last channel of two or four is the opacity.
    """
    if values.ndim == 2 or values.shape[2] not in (2, 4):
        return Pixels(values)
    alpha = opacity(values[..., -1])
    color = values[..., 0] if values.shape[2] == 2 else values[..., :3]
    return Pixels(color, None if alpha.min() == 255 else alpha)


def opacity(values: np.ndarray) -> np.ndarray:
    """Opacity as uint8, from the full range of an unsigned type, or from [0, 1] of floats."""
    if values.dtype.kind == "f":
        return np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8)
    return values if values.dtype == np.uint8 else (values >> 8 * (values.dtype.itemsize - 1)).astype(np.uint8)


def fitting_bytes(image: Image.Image, full: bool) -> int:
    """Bytes per pixel of a decoded PIL image and of its conversion to the input of a network.

    Args:
        full: whether the whole image is converted to uint8 RGB, instead of being resized.
    """
    mode = image.mode
    if mode.startswith(("I", "F")):
        # The image, its bytes, the array, and its 8-bit copy.
        decoded, converted = (2, 5) if mode.startswith("I;16") else (4, 9)
    elif mode in ("L", "RGB"):
        decoded, converted = (1, 0) if mode == "L" else (4, 0)
    elif mode in ("1", "P"):
        decoded, converted = 1, 9 if image.has_transparency_data else 1 if mode == "1" else 4
    else:
        # One channel and its transparency at a time, or a copy in RGB.
        decoded, converted = 4, 4
    return decoded + converted + (FULL_SIZE_BYTES if full else 0)


def array_bytes(samples: int, itemsize: int, alpha: bool, full: bool) -> int:
    """Bytes per pixel of a decoded array and of its conversion to the input of a network; see `fitting_bytes`."""
    colors = 1 if samples < 3 else 3
    decoded = samples * itemsize
    reduced = 0 if itemsize == 1 else colors
    return decoded + reduced + (5 if alpha else 1) + (FULL_SIZE_BYTES if full else 0)


def exif_orientation(image: Image.Image) -> int:
    """Orientation by the EXIF data of a PIL image, 1 to 8; 1 for data that cannot be read."""
    try:
        return valid_orientation(image.getexif().get(_ORIENTATION_TAG, 1))
    # A damaged EXIF block does not affect the pixels; its readers raise any exception.
    except Exception:
        return 1


def not_supported(kind: str, advice: str) -> ImageNotSupportedError:
    """The error for a whole file of a kind that is not read.

    Args:
        kind: `12-bit JPEG`.
        advice: `save it as PNG`.
    """
    return ImageNotSupportedError(f"not supported: {kind}; {advice}")


def stream(content: bytes) -> io.BytesIO:
    """A file of these bytes for Pillow; the bytes are shared, not copied."""
    return io.BytesIO(content)


class SplicedStream(io.RawIOBase):
    """A file for Pillow that consists of a short beginning and the rest of other bytes, which are not copied.

    Args:
        beginning: the first bytes.
        content: the bytes that follow, from `start`.
    """

    def __init__(self, beginning: bytes, content: bytes, start: int) -> None:
        self._beginning, self._content, self._start = beginning, content, start
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position, as `io.BytesIO` does."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.BytesIO` does."""
        first, length = self._position, self._length
        last = length if size is None or size < 0 else min(first + size, length)
        self._position = max(first, last)
        shift = self._start - len(self._beginning)
        return self._beginning[first:last] + self._content[max(first + shift, self._start) : max(last + shift, 0)]

    @property
    def _length(self) -> int:
        return len(self._beginning) + len(self._content) - self._start
