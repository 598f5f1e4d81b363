"""JPEG, decoded by Pillow with DCT scaling."""

import zlib
from typing import IO, cast

from PIL import JpegImagePlugin

from model.dataset.decoders.exif import EXIF, orientation_of_exif, orientation_of_xmp
from model.dataset.decoders.jpeg_header import JpegHeader, count_scans, has_all_scans, has_end, read_jpeg_header
from model.dataset.decoders.source import (
    FULL_SIZE_BYTES,
    ImageSource,
    Pixels,
    Size,
    SplicedStream,
    not_supported,
)
from model.dataset.image_limits import MAX_SCANS
from model.errors import ImageError, ImageTooLargeError

_BYTES_PER_COEFFICIENT = 2
_SCALES = (8, 4, 2)
_ROWS = 64
_END = b"\xff\xd9"
_SCAN = b"\xff\xda"
_FIRST_RESTART, _RESTARTS = 0xD0, 8
# Codes of any block.
_CODES = b"\x5a\xa5\x33\x66" * 8
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
# Segments of applications, and comments.
_METADATA = frozenset((*range(0xE0, 0xF0), 0xFE))


def open_jpeg(content: bytes) -> ImageSource:
    """Read the header of a JPEG. Decoding at 1/2, 1/4 or 1/8 of the scale takes less memory and time.

    Raises:
        ImageNotSupportedError: a lossless, hierarchical or 12-bit JPEG.
        ImageTooLargeError: more than `MAX_SCANS` scans.
        ImageError: the header is damaged.
    """
    header = read_jpeg_header(content)
    if header.kind:
        raise not_supported(header.kind, "save it as a JPEG of 8 bits, or as PNG or TIFF of 16 bits")
    scans = count_scans(content, header, MAX_SCANS)
    if scans > MAX_SCANS:
        raise ImageTooLargeError(f"expected a JPEG of at most {MAX_SCANS} scans, received more")
    content, probe = _with_end(content, header)
    opened = _open(content, header)

    def decode(target: Size | None) -> Pixels:
        if probe:
            _refuse_missing_pixels(_open(content, header), _open(probe, header))
        if target is not None:
            opened.draft(None, target)
        opened.load()
        return Pixels(opened)

    # Each scan goes over all coefficients.
    work = float(header.width * header.height) * (1 + 0.5 * (scans - 1))
    width, height = opened.size
    return ImageSource(
        "JPEG",
        width,
        height,
        lambda target: _memory(header, None, copies=2) if probe else _memory(header, target),
        decode,
        work * (3 if probe else 1),
        _orientation(content, header),
    )


def _with_end(content: bytes, header: JpegHeader) -> tuple[bytes, bytes]:
    """The file with the marker of its end; and, if that was lost, the same with other data before it.

    Files that lack a scan are left as they are: the decoder refuses them.
    """
    if has_end(content, header) or (header.is_buffered and not has_all_scans(content, header)):
        return content, b""
    whole = content.rstrip(b"\xff")
    return whole + _END, whole + _other_data(whole) + _END


def _other_data(content: bytes) -> bytes:
    """Codes of blocks, also after each restart marker, from the one that the decoder expects next.

    At one of the two markers after that it would stop, and read no code.
    """
    start = content.rindex(_SCAN)
    places = [content.rfind(bytes((0xFF, _FIRST_RESTART + number)), start) for number in range(_RESTARTS)]
    following = places.index(max(places)) + 1 if max(places) >= 0 else 0
    numbers = ((following + count) % _RESTARTS for count in range(_RESTARTS))
    return _CODES + b"".join(bytes((0xFF, _FIRST_RESTART + number)) + _CODES for number in numbers)


def _refuse_missing_pixels(opened: JpegImagePlugin.JpegImageFile, probe: JpegImagePlugin.JpegImageFile) -> None:
    """Refuse a file whose pixels depend on what follows its data: the decoder still expected some.

    Both are decoded at full scale, at which every coefficient shows.

    Raises:
        ImageError: the file is truncated.
    """
    opened.load()
    probe.load()
    if _checksum(opened) != _checksum(probe):
        raise ImageError("the file is truncated: pixels are missing")


def _checksum(image: JpegImagePlugin.JpegImageFile) -> int:
    checksum = 0
    for top in range(0, image.height, _ROWS):
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        checksum = zlib.crc32(rows.tobytes(), checksum)
    return checksum


def _open(content: bytes, header: JpegHeader) -> JpegImagePlugin.JpegImageFile:
    """Open a file without bytes between segments, and without metadata but what states the colours.

    Pillow parses metadata at once: repeated segments of EXIF take a time that is quadratic in their number.
    """
    segments = [content[start:end] for start, end in header.segments]
    kept = [segment for segment in segments if segment[1] not in _METADATA or _is_kept(segment)]
    beginning = b"".join((content[:2], *kept))
    return JpegImagePlugin.JpegImageFile(cast("IO[bytes]", SplicedStream(beginning, content, header.first_scan)))


def _is_kept(segment: bytes) -> bool:
    # A JFIF is 14 bytes long, after its marker and its length.
    return segment[4:10] == b"Adobe\0" or (segment[4:9] == b"JFIF\0" and len(segment) >= 18)


def _orientation(content: bytes, header: JpegHeader) -> int:
    """Orientation by the first EXIF segment, otherwise by the first XMP segment."""
    segments = [(start + 4, end) for start, end in header.segments]
    exif, xmp = (
        next((content[start:end] for start, end in segments if content.startswith(name, start, end)), b"")
        for name in (EXIF, _XMP)
    )
    return orientation_of_exif(exif) or orientation_of_xmp(xmp) or 1


def _memory(header: JpegHeader, target: Size | None, copies: int = 1) -> int:
    coefficients = _BYTES_PER_COEFFICIENT * header.samples if header.is_buffered else 0
    scale = 1 if target is None else _scale(header, target)
    pixels = -(-header.width // scale) * -(-header.height // scale)
    per_pixel = {1: 1, 3: 4, 4: 8}[len(header.components)] + (FULL_SIZE_BYTES if target is None else 0)
    # Rows of coefficients and samples that the decoder works on.
    rows = 64 * header.width * len(header.components)
    return coefficients + rows + copies * per_pixel * pixels


def _scale(header: JpegHeader, target: Size) -> int:
    """The scale that `draft` selects."""
    ratio = min(header.width // max(1, target[0]), header.height // max(1, target[1]))
    return next((scale for scale in _SCALES if ratio >= scale), 1)
