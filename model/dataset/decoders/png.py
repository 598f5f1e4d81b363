"""PNG: its pixels only. Texts, profiles and damaged ancillary chunks are left out before decoding."""

import dataclasses
import zlib
from collections.abc import Iterator

from PIL import PngImagePlugin

from model.dataset.decoders.exif import orientation_of_exif
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
from model.dataset.image_limits import MAX_PARTS
from model.errors import ImageError, ImageTooLargeError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_OF_THE_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# Lengths of chunks that are kept if they are intact, which saves a copy of most files; all others are left out.
_HARMLESS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"tIME": 7}
_OVERHEAD = 12
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_WORK_PER_CHUNK = 300
# Of a compressed byte: libpng decompresses data after the pixels, too, up to 1,032 bytes for each one.
_WORK_OF_SURPLUS = 100
# Decompression, and filters that depend on the pixels before.
_WORK_PER_PIXEL = 6


@dataclasses.dataclass(frozen=True)
class _Png:
    width: int
    height: int
    depth: int
    color_type: int
    orientation: int
    has_transparent_color: bool
    chunks: int
    compressed: int
    """Length of the compressed pixels in bytes."""
    pixels_only: bytes
    """The file without chunks that do not affect the pixels."""


def open_png(content: bytes) -> ImageSource:
    """Read the header of a PNG.

    Raises:
        ImageNotSupportedError: a variant that only Apple's programs read.
        ImageTooLargeError: more than `MAX_PARTS` chunks.
        ImageError: the header is damaged.
    """
    png = _read(content)
    if png.depth == 16:
        return _deep_source(png)
    opened = PngImagePlugin.PngImageFile(stream(png.pixels_only))
    source = pillow_source("PNG", opened, work_per_pixel=_WORK_PER_PIXEL, orientation=png.orientation)
    return dataclasses.replace(source, work=source.work + png.chunks * _WORK_PER_CHUNK)


def _deep_source(png: _Png) -> ImageSource:
    """16 bits per channel, which Pillow would reduce to 8 bits, or copy."""
    has_alpha = png.color_type in (4, 6) or png.has_transparent_color
    # libpng adds the opacity that a transparent colour stands for.
    samples = _SAMPLES[png.color_type] + png.has_transparent_color
    pixels = png.width * png.height

    def decode(_target: Size | None) -> Pixels:
        import imagecodecs

        values = imagecodecs.png_decode(png.pixels_only)
        return array_pixels(values)

    def memory(target: Size | None) -> int:
        return pixels * array_bytes(samples, 2, has_alpha, full=target is None)

    work = pixels * 2 * _WORK_PER_PIXEL + png.chunks * _WORK_PER_CHUNK + png.compressed * _WORK_OF_SURPLUS
    return ImageSource("PNG", png.width, png.height, memory, decode, work, png.orientation)


def _read(content: bytes) -> _Png:
    kept: list[tuple[int, int]] = []
    header = b""
    orientation: int | None = None
    seen: set[bytes] = set()
    chunks, compressed, dropped, has_transparent_color = 0, 0, 0, False
    for kind, start, end in _chunks(content):
        if kind == b"CgBI":
            raise not_supported("PNG in a variant of Apple's (CgBI)", "open it in Preview and export it as PNG")
        if kind == b"IHDR" and not header:
            header = content[start + 8 : end - 4]
        if kind == b"eXIf" and kind not in seen and _is_intact(content, start, end):
            orientation = orientation_of_exif(content[start + 8 : end - 4])
        is_first = kind == b"IDAT" or kind not in seen
        seen.add(kind)
        if is_first and _is_kept(content, kind, start, end):
            chunks, compressed = chunks + 1, compressed + (end - start) * (kind == b"IDAT")
            if kept and kept[-1][1] == start:
                start = kept.pop()[0]
            kept.append((start, end))
            has_transparent_color |= kind == b"tRNS"
        else:
            dropped += 1
    if len(header) != 13:
        raise ImageError("the header has no size")
    pixels_only = content if not dropped else b"".join((_SIGNATURE, *(content[start:end] for start, end in kept)))
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    if header[9] not in _SAMPLES:
        raise ImageError(f"the header has colour type {header[9]}")
    return _Png(
        width, height, header[8], header[9], orientation or 1, has_transparent_color, chunks, compressed, pixels_only
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk, up to the end of the image; the last one may be incomplete."""
    position = len(_SIGNATURE)
    for _ in range(MAX_PARTS):
        if position + 8 > len(content):
            return
        kind = content[position + 4 : position + 8]
        end = position + 12 + int.from_bytes(content[position : position + 4], "big")
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end
    raise ImageTooLargeError(f"expected a PNG of at most {MAX_PARTS:,} chunks, received more")


def _is_kept(content: bytes, kind: bytes, start: int, end: int) -> bool:
    if kind in _HARMLESS:
        return end - start == _HARMLESS[kind] + _OVERHEAD and _is_intact(content, start, end)
    # A damaged transparency is left out, because the pixels are intact.
    return kind in _OF_THE_PIXELS and (kind != b"tRNS" or _is_intact(content, start, end))


def _is_intact(content: bytes, start: int, end: int) -> bool:
    return zlib.crc32(content[start + 4 : end - 4]).to_bytes(4, "big") == content[end - 4 : end]
