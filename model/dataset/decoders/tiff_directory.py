"""Directories of a TIFF, read without their pixels and within bounds, whatever the file says.

Method: TIFF 6.0, section 2; BigTIFF. The library that decodes pixels reads all values of a directory at once.
"""

import dataclasses
import struct
from collections.abc import Iterator

from model.dataset.image_limits import MAX_PARTS
from model.errors import ImageError, ImageTooLargeError

SUBFILE_TYPE, OLD_SUBFILE_TYPE, WIDTH, HEIGHT, PHOTOMETRIC, MAKE, SUB_DIRECTORIES, DNG_VERSION = (
    *(254, 255, 256, 257),
    *(262, 271, 330, 50706),
)
COMPRESSION = 259
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_TEXT = 2
_OF_SEGMENTS = (273, 279, 324, 325)
_MAX_ENTRIES = 4096
_MAX_VALUES = 64
_MAX_DIRECTORIES = 16


@dataclasses.dataclass(frozen=True)
class Directory:
    """A directory.

    Attributes:
        values: the first values of its numbers and texts, by tag.
        value_bytes: length of all values, also of those that are not read.
        tags: the tags in their order; some may be repeated.
    """

    values: dict[int, tuple[int, ...] | bytes]
    value_bytes: int
    tags: tuple[int, ...]

    def number(self, tag: int, default: int = 0) -> int:
        """First value of a tag of numbers."""
        found = self.values.get(tag, ())
        return found[0] if found and isinstance(found, tuple) else default

    @property
    def is_reduced(self) -> bool:
        """Whether the image is marked as a reduced version of another one."""
        return bool(self.number(SUBFILE_TYPE) & 1) or self.number(OLD_SUBFILE_TYPE) == 2

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.number(WIDTH) * self.number(HEIGHT)


def read_directories(content: bytes, max_entries: int = _MAX_ENTRIES) -> tuple[Directory, list[Directory]]:
    """The first directory, and others: those below it, and up to 16 in all that follow.

    Args:
        max_entries: maximum number of entries of a directory; one with more counts as damaged.

    Raises:
        ImageTooLargeError: more entries or parts than any program writes.
        ImageError: the header is damaged.
    """
    reader = _Reader(content, max_entries)
    first, following = reader.directory(reader.start)
    others = []
    below = first.values.get(SUB_DIRECTORIES, ())
    offsets = [offset for offset in below if isinstance(offset, int)][:_MAX_DIRECTORIES]
    for offset in offsets:
        others += reader.if_intact(offset)
    while following and len(others) < _MAX_DIRECTORIES:
        try:
            directory, following = reader.directory(following)
        except ImageError:
            break
        others.append(directory)
    return first, others


class _Reader:
    def __init__(self, content: bytes, max_entries: int) -> None:
        self._content, self._max_entries = content, max_entries
        self._order = "<" if content[:2] == b"II" else ">"
        is_big = self._unpack("H", 2)[0] == 43
        # Number of entries, number of values and offset; the length of an entry and of the value inside.
        self._count, self._offset, self._entry, self._inside = ("Q", "Q", 20, 8) if is_big else ("H", "I", 12, 4)
        self.start = self._unpack(self._offset, 8 if is_big else 4)[0]

    def if_intact(self, offset: int) -> list[Directory]:
        try:
            return [self.directory(offset)[0]]
        except ImageError:
            return []

    def directory(self, offset: int) -> tuple[Directory, int]:
        """A directory, and the offset of the one that follows; 0 for none."""
        count = self._unpack(self._count, offset)[0]
        if not 0 < count <= self._max_entries:
            raise ImageError(f"a directory at byte {offset:,} has {count:,} entries")
        start = offset + struct.calcsize(self._count)
        values = dict(self._entries(start, count))
        extents = [self._extent(position) for position in range(start, start + count * self._entry, self._entry)]
        try:
            following = self._unpack(self._offset, start + count * self._entry)[0]
        except ImageError:
            following = 0
        return Directory(values, sum(size for _, size in extents), tuple(tag for tag, _ in extents)), following

    def _extent(self, position: int) -> tuple[int, int]:
        """Tag and length of an entry."""
        tag, kind = self._unpack("HH", position)
        return tag, _SIZES.get(kind, 0) * self._unpack(self._offset, position + 4)[0]

    def _entries(self, start: int, number: int) -> Iterator[tuple[int, tuple[int, ...] | bytes]]:
        for position in range(start, start + number * self._entry, self._entry):
            tag, kind = self._unpack("HH", position)
            count = self._unpack(self._offset, position + 4)[0]
            if tag in _OF_SEGMENTS and count > MAX_PARTS:
                raise ImageTooLargeError(f"expected at most {MAX_PARTS:,} strips or tiles, received {count:,}")
            size = _SIZES.get(kind, 0) * count
            place = position + self._entry - self._inside
            if size > self._inside:
                place = self._unpack(self._offset, place)[0]
            # An entry that cannot be read does not affect the others; the decoder needs some of them.
            if size and place + size <= len(self._content):
                kept = min(count, _MAX_VALUES)
                if kind in _NUMBERS:
                    yield tag, self._unpack(f"{kept}{_NUMBERS[kind]}", place)
                elif kind == _TEXT:
                    yield tag, self._content[place : place + kept].split(b"\0")[0]

    def _unpack(self, form: str, offset: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self._order + form, self._content, offset)
        except (struct.error, OverflowError) as error:
            raise ImageError("the header is incomplete") from error
