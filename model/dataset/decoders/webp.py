"""WebP, decoded by libwebp straight into an array: Pillow's decoder takes five times the memory."""

import dataclasses
from collections.abc import Iterator

from model.dataset.decoders.exif import orientation_of_exif
from model.dataset.decoders.source import ImageSource, Pixels, Size, array_bytes, array_pixels
from model.dataset.image_limits import MAX_PARTS
from model.errors import ImageError, ImageTooLargeError

_FIRST_CHUNK = 12
_ALPHA = 0x10
_WORK_PER_PIXEL = 4


@dataclasses.dataclass(frozen=True)
class WebPHeader:
    """Header of a WebP."""

    width: int
    height: int
    has_alpha: bool
    is_lossless: bool
    orientation: int


def open_webp(content: bytes) -> ImageSource:
    """Read the header of a WebP; of an animation, the first frame is the image.

    Raises:
        ImageTooLargeError: more than `MAX_PARTS` chunks.
        ImageError: the header is damaged.
    """
    webp = read_webp_header(content)
    pixels = webp.width * webp.height

    def decode(_target: Size | None) -> Pixels:
        import imagecodecs

        return array_pixels(imagecodecs.webp_decode(content))

    def memory(target: Size | None) -> int:
        fitted = array_bytes(4 if webp.has_alpha else 3, 1, webp.has_alpha, full=target is None)
        # The decoder has its own copy of a lossless image, in ARGB.
        return pixels * (fitted + 4 * webp.is_lossless)

    work = pixels * _WORK_PER_PIXEL
    return ImageSource("WebP", webp.width, webp.height, memory, decode, work, webp.orientation)


def read_webp_header(content: bytes) -> WebPHeader:
    """Read the header of a WebP; errors as `open_webp`."""
    size: tuple[int, int] | None = None
    flags, lossless = 0, False
    exif: memoryview | None = None
    for kind, data in _chunks(content):
        if kind == b"VP8X" and len(data) >= 10:
            flags = data[0]
            size = (1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little"))
        elif kind == b"VP8 " and len(data) >= 10:
            size = size or (int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF)
        elif kind == b"VP8L" and len(data) >= 5:
            lossless = True
            bits = int.from_bytes(data[1:5], "little")
            size = size or (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
            flags |= _ALPHA * (bits >> 28 & 1)
        elif kind == b"ANMF":
            # The frames may be lossless.
            lossless = True
        elif kind == b"EXIF":
            exif = data if exif is None else exif
    if size is None:
        raise ImageError("the header has no size")
    orientation = None if exif is None else orientation_of_exif(bytes(exif))
    return WebPHeader(*size, bool(flags & _ALPHA), lossless, orientation or 1)


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    position = _FIRST_CHUNK
    view = memoryview(content)
    for _ in range(MAX_PARTS):
        if position + 8 > len(content):
            return
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        yield content[position : position + 4], view[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
    raise ImageTooLargeError(f"expected a WebP of at most {MAX_PARTS:,} chunks, received more")
