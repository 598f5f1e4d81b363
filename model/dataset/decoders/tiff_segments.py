"""Strips and tiles of a TIFF page: compressions that are read, and bounds on what they decode to."""

import math
from typing import TYPE_CHECKING

from model.dataset.decoders.jpeg2000 import read_codestream
from model.dataset.decoders.jpeg_header import count_scans, read_jpeg_header
from model.dataset.decoders.webp import read_webp_header
from model.dataset.image_limits import MAX_SCANS
from model.errors import ImageError, ImageTooLargeError

if TYPE_CHECKING:
    from tifffile import TiffPage

_JPEG, _WEBP, _JPEG_2000 = (7,), (50001, 34927), (33003, 33005, 34712)
# By tag 259; each is decoded within the size of its strip or tile.
_READ = {
    1: "no compression",
    2: "CCITT compression",
    3: "CCITT compression",
    4: "CCITT compression",
    5: "LZW compression",
    7: "JPEG compression",
    8: "deflate compression",
    32773: "PackBits compression",
    32946: "deflate compression",
    33003: "JPEG 2000 compression",
    33005: "JPEG 2000 compression",
    34712: "JPEG 2000 compression",
    34925: "LZMA compression",
    34926: "Zstandard compression",
    34927: "WebP compression",
    50000: "Zstandard compression",
    50001: "WebP compression",
}
_NOT_READ = {
    6: "old-style JPEG compression",
    32809: "ThunderScan compression",
    34676: "SGI log compression",
    34713: "Nikon compression",
    34887: "LERC compression",
    34892: "lossy DNG compression",
    50002: "JPEG XL compression",
    52546: "JPEG XL compression",
}
_PREDICTORS = (1, 2, 3)
# Of these, strips take time by the number of bytes that are decoded; of the others, the content can take longer.
QUICK = (1, 5, 8, 32773, 32946, 50000, 34926)
_WORK_PER_SEGMENT = 500
# Of a decoded strip or tile: in the order of the machine, and in the 32-bit integers of JPEG 2000.
_COPIES, _COPIES_OF_IMAGES = 3, 8
# Blocks of a JPEG that reach beyond the edge of a strip.
_BLOCK = 16


def is_read(page: "TiffPage") -> bool:
    """Whether the compression and its predictor are read."""
    return page.compression in _READ and page.predictor in _PREDICTORS


def is_jpeg(page: "TiffPage") -> bool:
    """Whether the strips are JPEGs, which are decoded to RGB."""
    return page.compression in _JPEG


def compression_name(page: "TiffPage") -> str:
    """Name of the compression for messages: `LZW compression`."""
    number = int(page.compression)
    return _READ.get(number) or _NOT_READ.get(number) or f"compression {number}"


def bytes_per_sample(page: "TiffPage") -> int:
    """Size of a decoded sample in bytes."""
    return page.dtype.itemsize if page.dtype is not None else 1


def segment_shape(page: "TiffPage") -> tuple[int, int]:
    """Height and width of a strip or tile, in pixels."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return page.rowsperstrip, page.imagewidth


def buffer_bytes(page: "TiffPage") -> int:
    """Memory in bytes of decoding one strip or tile: the decoded bytes, and a copy in the order of the machine."""
    if page.is_contiguous:
        return 0
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    copies = _COPIES_OF_IMAGES if page.compression in (*_JPEG, *_WEBP, *_JPEG_2000) else _COPIES
    return copies * math.prod(segment_shape(page)) * samples * bytes_per_sample(page)


def check_segments(page: "TiffPage", content: bytes) -> None:
    """Check that all strips or tiles are inside the file, and that images inside them are not larger than they are.

    Raises:
        ImageTooLargeError: an image inside is larger than its strip or tile, or has too many scans.
        ImageError: the file is truncated, or parts are missing.
    """
    height, width = segment_shape(page)
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    expected = math.ceil(page.imagelength / max(1, height)) * math.ceil(page.imagewidth / max(1, width)) * planes
    if len(page.dataoffsets) != len(page.databytecounts) or len(page.dataoffsets) < expected or not height or not width:
        raise ImageError(f"expected {expected:,} strips or tiles, received {len(page.dataoffsets):,}")
    for offset, count in zip(page.dataoffsets[:expected], page.databytecounts[:expected], strict=True):
        if not count or offset + count > len(content):
            raise ImageError(
                f"truncated: the pixels at bytes {offset:,} to {offset + count:,} of {len(content):,} are missing"
            )
        if page.compression in (*_JPEG, *_WEBP, *_JPEG_2000):
            _check_image(page, content[offset : offset + count], height, width)


def work(page: "TiffPage", content: bytes) -> float:
    """Work of reading and decompressing the strips or tiles; see `ImageSource.work`."""
    if page.compression not in QUICK or sum(page.databytecounts) > len(content):
        return math.inf
    return float(len(page.dataoffsets) * _WORK_PER_SEGMENT)


def _check_image(page: "TiffPage", content: bytes, height: int, width: int) -> None:
    if page.compression in _JPEG:
        header = read_jpeg_header(content)
        size = (header.width, header.height)
        if count_scans(content, header, MAX_SCANS) > MAX_SCANS:
            raise ImageTooLargeError(f"expected a JPEG of at most {MAX_SCANS} scans, received more")
    elif page.compression in _WEBP:
        webp = read_webp_header(content)
        size = (webp.width, webp.height)
    else:
        codestream = read_codestream(content)
        size = (codestream.width, codestream.height)
    if size[0] > width + _BLOCK or size[1] > height + _BLOCK:
        raise ImageTooLargeError(
            f"expected strips or tiles of {width:,} x {height:,} pixels, received an image of {size[0]:,} x {size[1]:,}"
        )
