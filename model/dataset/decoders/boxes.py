"""Boxes, of which HEIF, AVIF, JPEG 2000 and JPEG XL files consist: ISO/IEC 14496-12, section 4.2."""

import dataclasses
from collections.abc import Iterator

from model.dataset.image_limits import MAX_PARTS
from model.errors import ImageError, ImageTooLargeError


@dataclasses.dataclass(frozen=True)
class Box:
    """A box: its type, and the range of bytes of its payload."""

    kind: bytes
    start: int
    end: int


def read_boxes(content: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Boxes in a range of bytes; the last one ends with the range, even if the file is truncated.

    Raises:
        ImageTooLargeError: more than `MAX_PARTS` boxes.
        ImageError: a box is shorter than its own header.
    """
    end = len(content) if end is None else min(end, len(content))
    for _ in range(MAX_PARTS):
        if start + 8 > end:
            return
        length, kind, header = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8], 8
        if length == 1:
            length, header = int.from_bytes(content[start + 8 : start + 16], "big"), 16
        elif length == 0:
            length = end - start
        if length < header:
            raise ImageError(f"a part of the header has a length of {length} bytes")
        yield Box(kind, start + header, min(start + length, end))
        start += length
    raise ImageTooLargeError(f"expected a file of at most {MAX_PARTS:,} boxes, received more")


def brands(content: bytes) -> frozenset[bytes]:
    """Major and compatible brands of a file that begins with a box `ftyp`; empty for other files."""
    if content[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(content[:4], "big"), len(content), 1024)
    return frozenset({content[8:12], *(content[start : start + 4] for start in range(16, end - 3, 4))})
