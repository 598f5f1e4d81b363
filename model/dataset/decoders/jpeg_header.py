"""Header of a JPEG, read without decoding: size, coding process, and number of scans.

Method: the markers and segments of ITU-T T.81, annex B.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterator

from model.errors import ImageError, ImageTooLargeError

# Real files have at most a few hundred: profiles and comments are split into segments of 64 KB.
MAX_SEGMENTS = 5000
# Fill bytes 0xFF before a marker, all together; some writers align segments with them.
_MAX_FILL = 1 << 16
_BASELINE = 0xC0
# Huffman and arithmetic coding.
_PROGRESSIVE = (2, 10)
_ALL_COEFFICIENTS = (1 << 64) - 1
_JPEG_LS = 0xF7
_FRAMES = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {_JPEG_LS}
_STANDALONE = frozenset(range(0xD0, 0xD8)) | {0x01}
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclasses.dataclass(frozen=True)
class JpegHeader:
    """Header of a JPEG.

    Attributes:
        width, height: size in pixels, as stored.
        precision: bits per sample, usually 8.
        process: the frame marker, counted from that of a baseline JPEG: 1 extended, 2 progressive, 3 lossless,
            9 and 10 arithmetic coding ...
        components: pairs of horizontal and vertical sampling factors.
        first_scan: offset of the first byte of entropy-coded data.
        components_of_first_scan: number of components that the first scan holds.
        segments: start and end of each segment up to the first scan, in bytes.
    """

    width: int
    height: int
    precision: int
    process: int
    components: tuple[tuple[int, int], ...]
    first_scan: int
    components_of_first_scan: int
    segments: tuple[tuple[int, int], ...]

    @property
    def samples(self) -> int:
        """Number of samples of all components, rounded up to whole blocks."""
        horizontal = max(pair[0] for pair in self.components)
        vertical = max(pair[1] for pair in self.components)
        blocks = -(-self.width // (8 * horizontal)) * -(-self.height // (8 * vertical))
        return 64 * blocks * sum(pair[0] * pair[1] for pair in self.components)

    @property
    def is_buffered(self) -> bool:
        """Whether the decoder keeps all coefficients in memory: several scans contribute to each pixel."""
        return self.process in _PROGRESSIVE or self.components_of_first_scan < len(self.components)

    @property
    def kind(self) -> str:
        """What Pillow cannot decode of this file: `12-bit JPEG`; empty if it can."""
        if self.process == _JPEG_LS - _BASELINE:
            return "JPEG-LS"
        if self.process in (3, 7, 11, 15):
            return "lossless JPEG"
        if self.process in (5, 6, 13, 14):
            return "hierarchical JPEG"
        if self.precision != 8:
            return f"{self.precision}-bit JPEG"
        if len(self.components) not in (1, 3, 4):
            return f"JPEG of {len(self.components)} components"
        return ""


def read_jpeg_header(content: bytes) -> JpegHeader:
    """Read the header of a JPEG, up to its first scan.

    Raises:
        ImageError: the header is damaged, or has more segments than any camera or program writes.
    """
    frame: tuple[int, int, int, int, tuple[tuple[int, int], ...]] | None = None
    segments: list[tuple[int, int]] = []
    position, fill = 2, 0
    for _ in range(MAX_SEGMENTS):
        start = content.find(b"\xff", position)
        position = start
        while content[position + 1 : position + 2] == b"\xff" and fill <= _MAX_FILL:
            position, fill = position + 1, fill + 1
        if start < 0 or position + 4 > len(content):
            raise ImageError("the header is incomplete")
        marker = content[position + 1]
        position += 2
        if marker in _STANDALONE or marker == 0:
            continue
        if marker == _END_OF_IMAGE:
            raise ImageError("the file ends before any pixels")
        length = int.from_bytes(content[position : position + 2], "big")
        segment = content[position + 2 : position + length]
        if length < 2 or len(segment) != length - 2:
            raise ImageError("a segment of the header is incomplete")
        if marker in _FRAMES and frame is None:
            frame = _frame(marker, segment)
        segments.append((position - 2, position + length))
        position += length
        if marker == _START_OF_SCAN:
            if frame is None or not segment:
                raise ImageError("the header has no size")
            return JpegHeader(*frame, position, components_of_first_scan=segment[0], segments=tuple(segments))
    raise ImageError(f"expected at most {MAX_SEGMENTS:,} segments before the pixels, received more")


def count_scans(content: bytes, header: JpegHeader, limit: int) -> int:
    """Number of scans that a decoder reads for one image; counting ends above `limit`.

    Raises:
        ImageTooLargeError: more segments than any program writes.
    """
    if not header.is_buffered:
        return 1
    # Fast, and exact unless these two bytes are inside a segment between scans, or after the end of the image.
    scans = 1 + content.count(b"\xff\xda", header.first_scan)
    return scans if scans <= limit else _walk_scans(content, header.first_scan, limit)


def has_end(content: bytes, header: JpegHeader) -> bool:
    """Whether the marker of the end of the image follows the first scan; it may be lost without any pixel."""
    # From the back, where it is: a search from the front reads the whole file.
    return content.rfind(bytes((0xFF, _END_OF_IMAGE)), header.first_scan) >= 0


def has_all_scans(content: bytes, header: JpegHeader) -> bool:
    """Whether the scans state all coefficients of all components to the last bit; the last scan may be incomplete.

    Raises:
        ImageTooLargeError: more segments than any program writes.
    """
    found: dict[int, int] = {}
    for start, end in (header.segments[-1], *_following_scans(content, header.first_scan)):
        scan = content[start + 4 : end]
        count = scan[0] if scan else 0
        if len(scan) < 4 + 2 * count:
            return False
        first, last, bits = scan[1 + 2 * count : 4 + 2 * count]
        if bits & 15 == 0 and first <= last < 64:
            # The lowest bit of these coefficients.
            coefficients = (1 << (last + 1)) - (1 << first)
            for component in scan[1 : 1 + 2 * count : 2]:
                found[component] = found.get(component, 0) | coefficients
    return list(found.values()) == [_ALL_COEFFICIENTS] * len(header.components)


def _following_scans(content: bytes, position: int) -> Iterator[tuple[int, int]]:
    """Start and end of each later segment that begins a scan."""
    for _ in range(MAX_SEGMENTS):
        found = _NEXT_MARKER.search(content, position)
        if found is None or content[found.start() + 1] == _END_OF_IMAGE:
            return
        position = found.end() + max(int.from_bytes(content[found.end() : found.end() + 2], "big"), 2)
        if content[found.start() + 1] == _START_OF_SCAN:
            yield found.start(), position
    raise ImageTooLargeError(f"expected a JPEG of at most {MAX_SEGMENTS:,} segments between scans, received more")


def _walk_scans(content: bytes, position: int, limit: int) -> int:
    return 1 + sum(1 for _ in itertools.islice(_following_scans(content, position), limit))


def _frame(marker: int, segment: bytes) -> tuple[int, int, int, int, tuple[tuple[int, int], ...]]:
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
        raise ImageError("the size in the header is incomplete")
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    factors = tuple((value >> 4, value & 15) for value in segment[7 : 7 + 3 * segment[5] : 3])
    if not width or not height or not factors or any(not 1 <= side <= 4 for pair in factors for side in pair):
        raise ImageError(f"the header has the size {width} x {height} with {len(factors)} components")
    return width, height, segment[0], marker - _BASELINE, factors
