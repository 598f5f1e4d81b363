"""Photos that are slow to decode, or whose structure is slow to read: what the time limit of a photo is for."""

import struct
import zlib

from PIL import Image

from tests.support.photos import encoded

_RED = (120, 30, 9)


def scan_bomb(scans: int = 60, side: int = 2000) -> bytes:
    """A progressive JPEG whose last scan is repeated; each takes as long as the whole photo."""
    content = encoded(Image.new("RGB", (side, side), _RED), "JPEG", progressive=True)
    last = content.rfind(b"\xff\xda")
    return content[:last] + content[last:-2] * scans + b"\xff\xd9"


def large(file_format: str) -> bytes:
    """A plain photo of few bytes and many pixels."""
    side, options = {
        "PNG": (2600, {}),
        "GIF": (2600, {}),
        "WEBP": (4000, {"quality": 1, "method": 0}),
        "TIFF": (2600, {"compression": "tiff_adobe_deflate"}),
        "JPEG2000": (2000, {}),
        "AVIF": (2600, {"speed": 10}),
        "JPEG": (5100, {}),
    }[file_format]
    gray = file_format == "GIF"
    return encoded(Image.new("L" if gray else "RGB", (side, side), 120 if gray else _RED), file_format, **options)


def endless_comment() -> bytes:
    """A PPM whose header is a comment of 60 MB."""
    return b"P6 #" + b"x" * 60_000_000


def png(width: int, height: int, *before_pixels: bytes, rows: bytes | None = None) -> bytes:
    """A gray PNG with more chunks before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    content = zlib.compress(bytes((width + 1) * height) if rows is None else rows)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before_pixels) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def million_texts() -> bytes:
    return png(10, 10, chunk(b"tEXt", b"a\0b") * 1_000_000)


def long_png() -> bytes:
    """A PNG of 1 x 89,000,000 pixels."""
    return png(1, 89_000_000, rows=bytes(1000))


def many_segments() -> bytes:
    """A JPEG with millions of empty comments before its pixels."""
    plain = encoded(Image.new("RGB", (10, 10), _RED), "JPEG")
    return plain[:2] + b"\xff\xfe\0\2" * 5_000_000 + plain[2:]


def many_gif_extensions() -> bytes:
    """A GIF with millions of empty comments before its first frame."""
    plain = encoded(Image.new("L", (10, 10), 120), "GIF")
    start = 13 + 3 * 2 ** ((plain[10] & 7) + 1)
    return plain[:start] + b"!\xfe\0" * 5_000_000 + plain[start:]


def many_webp_chunks() -> bytes:
    """A WebP with a million unknown chunks before its pixels."""
    plain = encoded(Image.new("RGB", (10, 10), _RED), "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
    chunks = plain[:30] + b"abcd\0\0\0\0" * 1_000_000 + plain[30:]
    return chunks[:4] + struct.pack("<I", len(chunks) - 8) + chunks[8:]


def many_segments_between_scans(number: int = 5_000_000, end: bytes = b"\xff\xd9") -> bytes:
    """A progressive JPEG with markers of 200 scans in a comment, and millions of empty comments between two scans."""
    plain = encoded(Image.new("RGB", (10, 10), _RED), "JPEG", progressive=True)
    place = plain.find(b"\xff", plain.find(b"\xff\xda") + 14)
    scans = b"\xff\xda" * 200
    comment = b"\xff\xfe" + struct.pack(">H", len(scans) + 2) + scans
    return plain[:place] + comment + b"\xff\xfe\0\2" * number + plain[place:-2] + end


def no_end_after_many_segments() -> bytes:
    """The same without the marker of its end, which is searched for."""
    return many_segments_between_scans(end=b"")


def restart_markers_without_end() -> bytes:
    """A JPEG whose last scan is 20 MB of restart markers, without the marker of its end."""
    return encoded(Image.new("RGB", (10, 10), _RED), "JPEG")[:-2] + b"\xff\xd0" * 10_000_000


def jpeg_metadata(number: int, start: bytes) -> bytes:
    """A JPEG with many segments of metadata, each as long as a segment can be."""
    plain = encoded(Image.new("RGB", (10, 10), _RED), "JPEG")
    segment = b"\xff\xe1" if start.startswith(b"Exif") else b"\xff\xed"
    return plain[:2] + (segment + b"\xff\xff" + start.ljust(65_533, b"\0")) * number + plain[2:]


def exif_of_overlapping_values(count: int = 65_535, length: int = 1_000_000) -> bytes:
    """A block of EXIF whose entries all state the same value of a megabyte."""
    entries = b"".join(struct.pack(">HHII", tag, 2, length, 8) for tag in range(count))
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", count) + entries + bytes(max(0, length - len(entries)))


def png_exif() -> bytes:
    """A PNG with 20 blocks of EXIF of a megabyte."""
    return png(10, 10, chunk(b"eXIf", exif_of_overlapping_values()) * 20)


def webp_exif() -> bytes:
    """A WebP with 20 blocks of EXIF of a megabyte."""
    plain = encoded(Image.new("RGB", (10, 10), _RED), "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
    block = exif_of_overlapping_values()
    chunks = plain[:30] + (b"EXIF" + struct.pack("<I", len(block)) + block + b"\0" * (len(block) % 2)) * 20 + plain[30:]
    return chunks[:4] + struct.pack("<I", len(chunks) - 8) + chunks[8:]


_DICOM = b"\0" * 128 + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.1\0"


def many_dicom_elements() -> bytes:
    """A DICOM file of 300,000 empty data elements."""
    return _DICOM + b"".join(
        struct.pack("<HH2sH", 9 + 2 * (index >> 16), index & 0xFFFF, b"LO", 0) for index in range(300_000)
    )


def many_dicom_items() -> bytes:
    """A DICOM file with a sequence of undefined length and 300,000 items."""
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    return _DICOM + struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + item * 300_000


def deflated_dicom(megabytes: int) -> bytes:
    """A deflated DICOM file of a few kilobytes that becomes one data element of so many megabytes."""
    syntax = b"1.2.840.10008.1.2.1.99"
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    group = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element))
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = deflater.compress(struct.pack("<HH2sHI", 9, 1, b"OB", 0, megabytes * 1_000_000))
    data += b"".join(deflater.compress(bytes(1_000_000)) for _ in range(megabytes)) + deflater.flush()
    return b"\0" * 128 + b"DICM" + group + element + data


def jpeg2000_of_tiles(width: int, height: int, side: int) -> bytes:
    """A JPEG 2000 of four components whose header states square tiles of another size."""
    content = bytearray(encoded(Image.new("RGBA", (width, height), (1, 2, 3, 4)), "JPEG2000", no_jp2=True))
    struct.pack_into(">2I", content, 24, side, side)
    return bytes(content)


def jpeg2000_markers() -> bytes:
    """A JPEG 2000 with millions of empty markers before its first tile."""
    plain = encoded(Image.new("RGB", (64, 64), _RED), "JPEG2000", no_jp2=True)
    place = plain.find(b"\xff\x90")
    return plain[:place] + b"\xff\x53\0\2" * 5_000_000 + plain[place:]


def plain_ppm_comments() -> bytes:
    """A plain PGM with millions of comments between its numbers."""
    return b"P2 10 10 255\n" + b"#\n" * 5_000_000 + b"1 " * 100


HEADERS = {
    "PPM comment": endless_comment,
    "PNG texts": million_texts,
    "PNG of one column": long_png,
    "JPEG comments": many_segments,
    "JPEG segments between scans": many_segments_between_scans,
    "JPEG segments and no end": no_end_after_many_segments,
    "JPEG restart markers and no end": restart_markers_without_end,
    "JPEG EXIF": lambda: jpeg_metadata(400, b"Exif\0\0MM\0*\0\0\0\x08"),
    "JPEG Photoshop": lambda: jpeg_metadata(400, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5459),
    "PNG EXIF": png_exif,
    "WebP EXIF": webp_exif,
    "GIF comments": many_gif_extensions,
    "WebP chunks": many_webp_chunks,
    "JPEG 2000 markers": jpeg2000_markers,
    "JPEG 2000 tiles": lambda: jpeg2000_of_tiles(255, 256, 1),
    "PPM comments between numbers": plain_ppm_comments,
    "DICOM that is deflated": lambda: deflated_dicom(400),
    "DICOM elements": many_dicom_elements,
    "DICOM items": many_dicom_items,
}
"""Files whose structure takes long to read."""


def interlaced(side: int) -> bytes:
    """A black PNG of 16 bits a channel, RGB, that is stored in seven passes."""
    rows = 0
    for x, y, step_x, step_y in _ADAM7:
        columns, lines = -(-(side - x) // step_x), -(-(side - y) // step_y)
        rows += lines * (1 + 6 * columns) if columns > 0 else 0
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")


# First column and row, distance of columns and rows, of each pass.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def animated(file_format: str, frames: int = 500) -> bytes:
    """An animation of many frames: the first is the photo."""
    first, *others = (Image.new("RGB", (64, 48), (index % 256, 30, 9)) for index in range(frames))
    return encoded(first, file_format, save_all=True, append_images=others)
