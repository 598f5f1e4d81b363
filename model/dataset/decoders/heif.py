"""HEIC and HEIF, decoded by libheif (pillow-heif); AVIF, decoded by Pillow."""

import re

import numpy as np
from PIL import AvifImagePlugin

from model.dataset.decoders.boxes import read_boxes
from model.dataset.decoders.source import (
    ImageSource,
    Pixels,
    Size,
    array_bytes,
    array_pixels,
    not_supported,
    pillow_source,
    stream,
)
from model.dataset.image_limits import check_size
from model.errors import ImageError

_SIZE_PROPERTY = re.compile(rb"ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)
# Planes of the decoder, and their conversion to RGB, besides the result; more for AVIF of full colour or depth.
_AVIF_BYTES, _AVIF_BYTES_OF_FULL_COLOR, _AVIF_BYTES_OF_HIGH_DEPTH = 7.5, 3.5, 3
_HEIF_BYTES = 3
_AVIF_CONFIGURATION = re.compile(rb"av1C..(.)", re.DOTALL)
_HIGH_DEPTH, _SUBSAMPLED = 0x40, 0x08
_WORK_PER_PIXEL = 8
_UNSUPPORTED = re.compile(r"[Uu]nsupported|not supported|not enabled|no decoding|decoder plugin", re.ASCII)


def open_avif(content: bytes) -> ImageSource:
    """Read the header of an AVIF; of a sequence, the first frame is the image.

    Raises:
        ImageError: the header is damaged.
    """
    _check_sizes(content)
    opened = AvifImagePlugin.AvifImageFile(stream(content))
    return pillow_source("AVIF", opened, _avif_bytes(content), _WORK_PER_PIXEL)


def open_heif(content: bytes) -> ImageSource:
    """Read the header of a HEIC or HEIF; the primary image is taken, turned as the file says.

    The orientation of EXIF is a copy of the rotation that libheif applies: it is not applied again.

    Raises:
        ImageNotSupportedError: pixels in a coding that libheif does not decode.
        ImageError: the header is damaged.
    """
    import pillow_heif

    _check_sizes(content)
    try:
        image = pillow_heif.open_heif(stream(content), convert_hdr_to_8bit=True)
    except (ValueError, RuntimeError, OSError) as error:
        raise _translated(error) from error
    width, height = image.size
    has_alpha = image.has_alpha
    pixels = width * height

    def decode(_target: Size | None) -> Pixels:
        try:
            values = np.asarray(image)
        except (ValueError, RuntimeError, OSError) as error:
            raise _translated(error) from error
        return array_pixels(values)

    def memory(target: Size | None) -> int:
        return round(pixels * (_HEIF_BYTES + array_bytes(4 if has_alpha else 3, 1, has_alpha, full=target is None)))

    return ImageSource("HEIF", width, height, memory, decode, float(pixels * _WORK_PER_PIXEL))


def _avif_bytes(content: bytes) -> float:
    """Bytes per pixel that the decoder takes besides the result, by the configuration of the image."""
    found = (
        _AVIF_CONFIGURATION.search(content, box.start, box.end) for box in read_boxes(content) if box.kind == b"meta"
    )
    flags = next((match.group(1)[0] for match in found if match), _HIGH_DEPTH)
    extra = 0 if flags & _SUBSAMPLED else _AVIF_BYTES_OF_FULL_COLOR
    return _AVIF_BYTES + extra + (_AVIF_BYTES_OF_HIGH_DEPTH if flags & _HIGH_DEPTH else 0)


def _check_sizes(content: bytes) -> None:
    """Check the sizes of all images inside, tiles and thumbnails included."""
    for box in read_boxes(content):
        if box.kind == b"meta":
            for match in _SIZE_PROPERTY.finditer(content, box.start, box.end):
                check_size(*(int.from_bytes(side, "big") for side in match.groups()))


def _translated(error: Exception) -> ImageError:
    if _UNSUPPORTED.search(str(error)):
        return not_supported(f"HEIF of this kind ({error})", "save it as JPEG")
    return ImageError(str(error))
