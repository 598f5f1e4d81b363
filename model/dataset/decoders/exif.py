"""Orientation of a photo by its EXIF or XMP metadata, read within bounds, whatever the metadata say.

Method: the first directory of a TIFF structure, as in Exif 3.0, section 4.6. Libraries read all entries with their
values, which may overlap: the memory and time they take are the product of both.
"""

import re
import struct

EXIF = b"Exif\0\0"
"""Beginning of a block of EXIF data in a JPEG."""

# The number of a TIFF or BigTIFF; some writers swap its bytes.
_ORDERS = {b"II*\0": "<", b"II\0*": "<", b"MM\0*": ">", b"MM*\0": ">"}
_ORIENTATION = 0x0112
_INTEGERS = {3: "H", 4: "I", 8: "h", 9: "i"}
# Cameras write about 20 entries, in the order of their numbers.
_MAX_ENTRIES = 1000
_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")


def orientation_of_exif(block: bytes) -> int | None:
    """Orientation by a block of EXIF data, 1 to 8; None if it states none, or cannot be read."""
    block = block.removeprefix(EXIF)
    order = _ORDERS.get(block[:4])
    if order is None or len(block) < 8:
        return None
    [start] = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        return None
    [count] = struct.unpack_from(order + "H", block, start)
    end = min(start + 2 + 12 * min(count, _MAX_ENTRIES), len(block) - 11)
    for position in range(start + 2, end, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", block, position)
        if tag == _ORIENTATION and number == 1 and kind in _INTEGERS:
            return valid_orientation(struct.unpack_from(order + _INTEGERS[kind], block, position + 8)[0])
    return None


def orientation_of_xmp(packet: bytes) -> int | None:
    """Orientation by a packet of XMP, 1 to 8; None if it states none."""
    found = _XMP.search(packet)
    return int(found.group(1)) if found else None


def valid_orientation(value: object) -> int:
    """An orientation from a file; 1 if it is none."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
