"""JPEG 2000, decoded by OpenJPEG: at a lower resolution where that is enough, and in the depth of the file.

Method: the markers SIZ and COD of ITU-T T.800, annex A.
"""

import dataclasses
from typing import Any, cast

from PIL import Jpeg2KImagePlugin

from model.dataset.decoders.boxes import read_boxes
from model.dataset.decoders.depth import to_full_depth
from model.dataset.decoders.source import (
    ImageSource,
    Pixels,
    Size,
    array_bytes,
    array_pixels,
    fitting_bytes,
    native_color,
    not_supported,
    stream,
)
from model.dataset.image_limits import check_size
from model.errors import ImageError

_CODESTREAM = b"\xff\x4f\xff\x51"
_CODING_STYLE, _START_OF_TILE = 0x52, 0x90
_MAX_MARKERS = 1000
# Per sample: 32-bit integers, once for the image and, in part, once for the tiles that are decoded.
_BYTES_PER_SAMPLE = 5.5
# Tables of blocks of 64 x 64 samples, which are made whatever the resolution.
_BYTES_OF_BLOCKS = 0.1
_WORK_PER_SAMPLE = 10
# Of each component of each tile, for parameters and an index.
_BYTES_PER_TILE, _WORK_PER_TILE = 4000, 5000


@dataclasses.dataclass(frozen=True)
class Codestream:
    """Header of a JPEG 2000 codestream; `levels` is the number of lower resolutions, `tiles` that of tiles."""

    width: int
    height: int
    depths: tuple[int, ...]
    is_signed: bool
    is_subsampled: bool
    has_offset: bool
    levels: int
    tiles: int


def open_jpeg2000(content: bytes) -> ImageSource:
    """Read the header of a JPEG 2000. Decoding at 1/2, 1/4 ... of the scale takes less memory and time.

    Raises:
        ImageNotSupportedError: components that are neither gray nor RGB, nor their transparency.
        ImageError: the header is damaged.
    """
    header = read_codestream(content)
    check_size(header.width, header.height)
    samples = len(header.depths)
    if samples > 4 or len(set(header.depths)) > 1 or max(header.depths) > 16:
        depths = ", ".join(map(str, header.depths[:8]))
        raise not_supported(f"JPEG 2000 with components of {depths} bits", "save it as TIFF or PNG of 8 or 16 bits")
    work = float(samples * (header.width * header.height * _WORK_PER_SAMPLE + header.tiles * _WORK_PER_TILE))
    if header.depths[0] > 8 and samples > 1:
        return _deep_source(content, header, work)
    opened = Jpeg2KImagePlugin.Jpeg2KImageFile(stream(content))
    width, height = opened.size

    def decode(target: Size | None) -> Pixels:
        _set_reduction(opened, _reduction(header, target))
        opened.load()
        return Pixels(native_color(opened))

    def memory(target: Size | None) -> int:
        pixels = width * height >> 2 * _reduction(header, target)
        fitted = fitting_bytes(opened, full=target is None)
        blocks = width * height * samples * _BYTES_OF_BLOCKS
        return round(pixels * (samples * _BYTES_PER_SAMPLE + fitted) + blocks) + 2 * len(content) + _tile_bytes(header)

    return ImageSource("JPEG 2000", width, height, memory, decode, work)


def _deep_source(content: bytes, header: Codestream, work: float) -> ImageSource:
    samples, depth = len(header.depths), header.depths[0]
    if header.is_signed or header.is_subsampled:
        kind = f"JPEG 2000 of {depth} bits with signed or subsampled components"
        raise not_supported(kind, "save it as TIFF or PNG of 16 bits")

    def decode(_target: Size | None) -> Pixels:
        import imagecodecs

        return array_pixels(to_full_depth(imagecodecs.jpeg2k_decode(content), depth))

    def memory(target: Size | None) -> int:
        fitted = array_bytes(samples, 2, samples in (2, 4), full=target is None)
        # The planes of the decoder are gone when the result is resized.
        planes = round(header.width * header.height * max(samples * (_BYTES_PER_SAMPLE + 2), fitted))
        return planes + len(content) + _tile_bytes(header)

    return ImageSource("JPEG 2000", header.width, header.height, memory, decode, work)


def _tile_bytes(header: Codestream) -> int:
    return header.tiles * len(header.depths) * _BYTES_PER_TILE


def _reduction(header: Codestream, target: Size | None) -> int:
    """Number of times that the size can be halved."""
    # Sizes of images with an offset are rounded differently.
    if target is None or header.has_offset:
        return 0
    halvings = 0
    while halvings < header.levels and all(
        side >> halvings + 1 >= max(1, needed)
        for side, needed in zip((header.width, header.height), target, strict=True)
    ):
        halvings += 1
    return halvings


def _set_reduction(opened: Jpeg2KImagePlugin.Jpeg2KImageFile, reduction: int) -> None:
    """Decode at a lower resolution; Pillow's own property `reduce` rounds sizes differently from OpenJPEG."""
    width, height = (-(-side >> reduction) for side in opened.size)
    tile = opened.tile[0]
    codec, _, *others = cast("tuple[Any, ...]", tile.args)
    opened._size = (width, height)
    opened.tile = [tile._replace(extents=(0, 0, width, height), args=(codec, reduction, *others))]


def read_codestream(content: bytes) -> Codestream:
    """Read the header of a codestream, or of a file with one; errors as `open_jpeg2000`."""
    start = 0
    if not content.startswith(_CODESTREAM):
        start = next((box.start for box in read_boxes(content) if box.kind == b"jp2c"), len(content))
    siz = content[start + 4 : start + 4 + int.from_bytes(content[start + 4 : start + 6], "big")]
    count = int.from_bytes(siz[36:38], "big")
    if content[start : start + 4] != _CODESTREAM or len(siz) < 38 + 3 * count or not count:
        raise ImageError("the header has no size")
    right, bottom, left, top = (int.from_bytes(siz[place : place + 4], "big") for place in (4, 8, 12, 16))
    tile_width, tile_height, tile_left, tile_top = (
        int.from_bytes(siz[place : place + 4], "big") for place in range(20, 36, 4)
    )
    if not tile_width or not tile_height:
        raise ImageError("the header has tiles of no size")
    components = siz[38 : 38 + 3 * count]
    return Codestream(
        width=right - left,
        height=bottom - top,
        depths=tuple((value & 0x7F) + 1 for value in components[::3]),
        is_signed=any(value & 0x80 for value in components[::3]),
        is_subsampled=set(components[1::3] + components[2::3]) != {1},
        has_offset=left != 0 or top != 0,
        levels=_levels(content, start + 4 + len(siz)),
        tiles=max(0, -(-(right - tile_left) // tile_width)) * max(0, -(-(bottom - tile_top) // tile_height)),
    )


def _levels(content: bytes, position: int) -> int:
    """Number of resolution levels below the full one."""
    for _ in range(_MAX_MARKERS):
        marker = content[position + 1 : position + 2]
        if len(content) < position + 14 or marker == bytes([_START_OF_TILE]):
            break
        if marker == bytes([_CODING_STYLE]):
            return min(content[position + 9], 32)
        position += 2 + max(2, int.from_bytes(content[position + 2 : position + 4], "big"))
    raise ImageError("the header has no coding style")
