"""PBM, PGM, PPM and PFM. Binary pixels of 16 bits keep their depth; the others are decoded by Pillow."""

import math
import re

import numpy as np
from PIL import PpmImagePlugin

from model.dataset.decoders.source import (
    ImageSource,
    Pixels,
    Size,
    array_bytes,
    not_supported,
    pillow_source,
    stream,
)
from model.errors import ImageError

# Comments included; programs write less than 100 bytes.
_MAX_HEADER = 16_384
_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_HEADER = re.compile(rb"(P[56])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)(?:#[^\n\r]*[\n\r])?\s")
_PLAIN = (b"P1", b"P2", b"P3")
# Pillow decodes these in Python, number by number, and the comments of plain ones in a time that is quadratic.
_IN_PYTHON = ("ppm", "ppm_plain")
_BYTES_OF_PLAIN = 100


def open_netpbm(content: bytes) -> ImageSource:
    """Read the header of a netpbm file.

    Raises:
        ImageNotSupportedError: PAM, whose channels can be anything; PFM in colour.
        ImageError: the header is damaged, or longer than 16 KB.
    """
    kind, beginning = content[:2], content[:_MAX_HEADER]
    if kind in (b"P7", b"PF"):
        raise not_supported("PAM" if kind == b"P7" else "PFM in colour", "save it as PNG or TIFF")
    if match := _HEADER.match(beginning):
        width, height, maximum = (int(number) for number in match.groups()[1:])
        if 255 < maximum < 65536:
            return _deep_source(content, width, height, maximum, match.end(), 3 if kind == b"P6" else 1)
    elif len(content) > _MAX_HEADER and not re.match(rb"P[1-6fF]" + _GAP + rb"\d+" + _GAP + rb"-?[\d.]+\s", beginning):
        raise ImageError(
            f"expected a header of at most {_MAX_HEADER:,} bytes, comments included, received a longer one"
        )
    opened = PpmImagePlugin.PpmImageFile(stream(content))
    work = math.inf if opened.tile[0].codec_name in _IN_PYTHON else 1
    return pillow_source("PPM", opened, _BYTES_OF_PLAIN * (kind in _PLAIN), work)


def _deep_source(content: bytes, width: int, height: int, maximum: int, start: int, channels: int) -> ImageSource:
    pixels = width * height

    def decode(_target: Size | None) -> Pixels:
        stored = np.frombuffer(content, ">u2", pixels * channels, offset=start)
        # The full range of 16 bits, as Pillow has it for gray.
        values = stored.astype(np.uint16)
        if maximum < 65535:
            np.minimum(values, maximum, out=values)
            table = (np.arange(maximum + 1, dtype=np.uint64) * 65535 + maximum // 2) // maximum
            values = table.astype(np.uint16)[values]
        return Pixels(values.reshape((height, width) if channels == 1 else (height, width, 3)))

    def memory(target: Size | None) -> int:
        return pixels * (array_bytes(channels, 2, alpha=False, full=target is None) + 2 * channels)

    return ImageSource("PPM", width, height, memory, decode, 2.0 * pixels)
