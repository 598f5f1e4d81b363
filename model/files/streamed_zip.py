"""Files of a zip, unpacked while it arrives and before its table of contents is known.

A server that packs while it sends, such as Nextcloud, stores files uncompressed and writes the size and the CRC-32 of
each behind it ("data descriptor", PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 and 4.3.9). The size of a listed file is
known from the listing of the folder. A file that is not listed, such as a photo uploaded meanwhile, is skipped up to
the first descriptor with the size and the CRC-32 of the bytes before it.
"""

import dataclasses
import io
import logging
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping

from model.errors import ArchiveError
from model.files.archive_limits import BLOCK, DATASET_LIMITS, ArchiveLimits, ByteBudget, MemberNames
from model.files.zip_names import decode_name, extra_fields
from model.received import quoted

_HEADER = struct.Struct("<4s5H3I2H")
_FILE_SIGNATURE, _DESCRIPTOR_SIGNATURE = b"PK\x03\x04", b"PK\x07\x08"
_TABLE_SIGNATURES = (b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06")
_DESCRIPTOR, _ZIP64_DESCRIPTOR = struct.Struct("<4sI2I"), struct.Struct("<4sI2Q")
_ENCRYPTED_FLAG, _DESCRIPTOR_FLAG = 0x1, 0x8
_STORED, _DEFLATED = 0, 8
_ZIP64_FIELD = 1
# Size of a header whose ZIP64 field has the size.
_SIZE_IN_ZIP64_FIELD = 0xFFFFFFFF

log = logging.getLogger(__name__)


def iter_streamed_zip(
    blocks: Iterable[bytes], sizes: Mapping[str, int], prefix: str, label: str, limits: ArchiveLimits = DATASET_LIMITS
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and content of each listed file of a zip, in its order, one block in memory at a time.

    Read each content to its end before requesting the next file: size and CRC-32 are compared at the end.

    Args:
        blocks: the zip, as it arrives; nothing from its table of contents on is read.
        sizes: listed files of the folder: name -> bytes. Others are skipped.
        prefix: beginning of the names in the zip that the listed names do not have, such as `photos/`; may be missing
            there too.
        label: name of the zip in messages.
        limits: upper limits.

    Raises:
        ArchiveError: broken off, damaged, encrypted, unsafe, or over a limit. The files before are whole.
    """
    budget = ByteBudget(label, limits)
    names = MemberNames(label, limits)
    stream: io.BufferedReader = io.BufferedReader(_BlockStream(blocks, budget), BLOCK)
    while (header := _read_header(stream, label)) is not None:
        if header.name.endswith("/"):
            names.add(header.name, is_folder=True)
            _skip(budget.blocks(header.name, _Content(stream, header, 0, label)))
            continue
        listed = _listed_name(header.name, sizes, prefix)
        name = header.name.removeprefix(prefix) if listed is None else listed
        if names.add(name, is_folder=False) != name:
            raise ArchiveError(f"{label}: expected relative file names separated by `/`, found {quoted(header.name)}.")
        if listed is None:
            log.info("%s: skipped %r, which is not listed.", label, header.name)
            _skip(budget.blocks(name, _Content(stream, header, header.size, label)))
        else:
            yield name, budget.blocks(name, _Content(stream, header, sizes[name], label))


def _skip(content: Iterable[bytes]) -> None:
    for _ in content:
        pass


def _listed_name(name: str, sizes: Mapping[str, int], prefix: str) -> str | None:
    """Listed name of a file of the zip; None if no name, or more than one, matches."""
    listed = {name, name.removeprefix(prefix)} & sizes.keys()
    return listed.pop() if len(listed) == 1 else None


class _BlockStream(io.RawIOBase):
    """Blocks of bytes as a stream; counts them as they arrive."""

    def __init__(self, blocks: Iterable[bytes], budget: ByteBudget) -> None:
        self._blocks = iter(blocks)
        self._budget = budget
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = next(filter(None, self._blocks), b"")
            self._budget.archive_bytes += len(self._rest)
        length = min(len(buffer), len(self._rest))
        buffer[:length], self._rest = self._rest[:length], self._rest[length:]
        return length


@dataclasses.dataclass(frozen=True)
class _Header:
    name: str
    method: int
    has_descriptor: bool
    has_zip64_field: bool
    crc: int
    size: int | None
    """Bytes of the content; None if only the descriptor has them."""


def _read_header(stream: io.BufferedReader, label: str) -> _Header | None:
    """Header of the next file or folder; None at the table of contents."""
    start = stream.read(_HEADER.size)
    if start.startswith(_TABLE_SIGNATURES):
        return None
    if len(start) < _HEADER.size or not start.startswith(_FILE_SIGNATURE):
        raise ArchiveError(
            f"{label}: expected another file or the table of contents, found neither: the zip is truncated."
        )
    _, _, flags, method, _, _, crc, _, size, name_bytes, extra_bytes = _HEADER.unpack(start)
    raw_name, extra = stream.read(name_bytes), stream.read(extra_bytes)
    name = decode_name(raw_name, flags, extra)
    if flags & _ENCRYPTED_FLAG or method not in (_STORED, _DEFLATED):
        raise ArchiveError(f"{label}: {quoted(name)} is encrypted, or compressed by another method than deflate.")
    # It begins with the uncompressed size.
    zip64_field = next((content for kind, content in extra_fields(extra) if kind == _ZIP64_FIELD), None)
    if zip64_field and size == _SIZE_IN_ZIP64_FIELD:
        size = int.from_bytes(zip64_field[:8], "little")
    has_descriptor = bool(flags & _DESCRIPTOR_FLAG)
    known_size = None if has_descriptor and size == 0 else size
    return _Header(name, method, has_descriptor, zip64_field is not None, crc, known_size)


class _Content:
    """Content of one file; leaves the stream behind it and its descriptor."""

    def __init__(self, stream: io.BufferedReader, header: _Header, size: int | None, label: str) -> None:
        """Content of `size` bytes; None if its end is found from the compression or the descriptor."""
        self._stream, self._header, self._size, self._label = stream, header, size, label
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._descriptor = _ZIP64_DESCRIPTOR if header.has_zip64_field else _DESCRIPTOR
        # Bytes taken from the stream that may be the beginning of the descriptor.
        self._pending = b""
        self._crc = self._length = 0

    def read(self, length: int) -> bytes:
        """Read at most `length` bytes; empty at the end, after size and CRC-32 have been compared.

        Raises:
            ArchiveError: the content is longer or shorter than expected, or changed.
        """
        block = self._next_block(length)
        self._crc, self._length = zlib.crc32(block, self._crc), self._length + len(block)
        is_too_long = self._size is not None and self._length > self._size
        if is_too_long or (not block and not self._is_whole()):
            size = "some bytes" if self._size is None else f"{self._size:,} bytes"
            raise ArchiveError(
                f"{self._label}: expected {quoted(self._header.name)} with {size} and their CRC-32, received something "
                "else: the zip is truncated or damaged."
            )
        return block

    def _next_block(self, length: int) -> bytes:
        if self._header.method == _DEFLATED:
            return self._inflate(length)
        if self._size is None:
            return self._read_to_descriptor(length)
        return self._stream.read(min(length, self._size - self._length))

    def _inflate(self, length: int) -> bytes:
        while not self._inflater.eof and (pending := self._stream.peek(1)):
            try:
                block = self._inflater.decompress(pending, length)
            except zlib.error as error:
                raise ArchiveError(f"{self._label}: {quoted(self._header.name)} is damaged: {error}.") from error
            left = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
            self._stream.read(len(pending) - len(left))
            if block:
                return block
        return b""

    def _read_to_descriptor(self, length: int) -> bytes:
        """Stored bytes; empty at the descriptor that has their size and CRC-32, and at the end of the stream."""
        if not self._pending:
            block_length = min(length, _descriptor_start(self._stream.peek(1)))
            if block_length:
                return self._stream.read(block_length)
        self._pending += self._stream.read(self._descriptor.size - len(self._pending))
        if len(self._pending) < self._descriptor.size or self._is_descriptor(self._pending):
            return b""
        start = _descriptor_start(self._pending, 1)
        block, self._pending = self._pending[:start], self._pending[start:]
        return block

    def _is_descriptor(self, found: bytes) -> bool:
        """Whether these bytes describe the content read so far."""
        expected = (_DESCRIPTOR_SIGNATURE, self._crc, self._length, self._length)
        return self._descriptor.unpack(found) == expected

    def _is_whole(self) -> bool:
        return self._size in (None, self._length) and self._expected() == (self._crc, self._length)

    def _expected(self) -> tuple[int, int | None] | None:
        """CRC-32 and size by the zip, in the header or in the descriptor behind the content; None if truncated."""
        if not self._header.has_descriptor:
            return self._header.crc, self._header.size
        descriptor = self._pending + self._stream.read(self._descriptor.size - len(self._pending))
        if len(descriptor) < self._descriptor.size or not descriptor.startswith(_DESCRIPTOR_SIGNATURE):
            return None
        _, crc, _, size = self._descriptor.unpack(descriptor)
        return crc, size


def _descriptor_start(content: bytes, start: int = 0) -> int:
    """Position where a descriptor may begin, also with its signature cut off at the end; the length if nowhere."""
    found = content.find(_DESCRIPTOR_SIGNATURE, start)
    if found >= 0:
        return found
    partial = (length for length in (3, 2, 1) if content.endswith(_DESCRIPTOR_SIGNATURE[:length]))
    return max(start, len(content) - next(partial, 0))
