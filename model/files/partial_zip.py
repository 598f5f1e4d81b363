"""What came whole of a zip that broke off before its table of contents: member by member, each by its CRC-32.

A server that packs while it sends, as a Nextcloud does, tells sizes and sums behind each member ("data descriptor",
PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 and 4.3.9): where a stored member ends, only the listing of the folder says.
"""

import dataclasses
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from model.files.archives import unkept_names

_BLOCK = 1 << 20
_HEADER = struct.Struct("<4s5H3I2H")
_SIGNATURE, _DESCRIPTOR = b"PK\x03\x04", b"PK\x07\x08"
_ENCRYPTED, _SUM_FOLLOWS, _UTF8 = 0x1, 0x8, 0x800
_STORED, _DEFLATED = 0, 8
_ZIP64 = 1


@dataclasses.dataclass(frozen=True)
class _Member:
    name: str
    flags: int
    method: int
    crc: int
    has_long_sizes: bool


def keep_whole_members(archive: Path, sizes: Mapping[str, int], inner: str, directory: Path) -> list[str]:
    """Write the members that came whole into a folder; nothing else stays there, and nothing is raised for damage.

    Args:
        sizes: of the files that the folder has: name -> bytes; no other member is written.
        inner: what the names in the zip begin with, such as "photos/"; may be missing there.
        directory: where to; made where it is not there.

    Returns:
        The names written.

    Raises:
        OSError: it cannot be written; the members before are there whole.
    """
    kept = []
    with open(archive, "rb") as stream:
        while (member := _next(stream)) is not None:
            if member.name.endswith("/"):
                if not _is_whole(stream, member, 0, None):
                    break
                continue
            name = _listed_name(member.name, sizes, inner)
            if name is None or not _is_whole(stream, member, sizes[name], directory / name):
                break
            kept.append(name)
    return kept


def _listed_name(name: str, sizes: Mapping[str, int], inner: str) -> str | None:
    """What the listing calls a member; None where that is not certain, or no name to write to."""
    fitting = {name, name.removeprefix(inner)} & sizes.keys()
    return fitting.pop() if len(fitting) == 1 and not unkept_names(fitting) else None


def _next(stream: IO[bytes]) -> _Member | None:
    """The header of the next member; None where there is none, or none that can be read."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size or not header.startswith(_SIGNATURE):
        return None
    _, _, flags, method, _, _, crc, _, _, name_bytes, extra_bytes = _HEADER.unpack(header)
    name, extra = stream.read(name_bytes), stream.read(extra_bytes)
    if len(extra) < extra_bytes or flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
        return None
    text = name.decode("utf-8" if flags & _UTF8 else "cp437", errors="replace")
    return _Member(text, flags, method, crc, _has_long_sizes(extra))


def _has_long_sizes(extra: bytes) -> bool:
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == _ZIP64:
            return True
        extra = extra[4 + length :]
    return False


def _is_whole(stream: IO[bytes], member: _Member, size: int, path: Path | None) -> bool:
    """Whether a member is there to its end, with its sum; written to `path` then, if that is one."""
    if path is None:
        length = sum(len(block) for block in _blocks(stream, member, size))
        return length == size and _sum_of(stream, member) == 0
    is_whole = False
    try:
        is_whole = _write(path, stream, member, size)
    finally:
        if not is_whole:
            path.unlink(missing_ok=True)
    return is_whole


def _write(path: Path, stream: IO[bytes], member: _Member, size: int) -> bool:
    """Write what is there of a member; whether that is all of it, with its sum."""
    crc, length = 0, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as target:
        for block in _blocks(stream, member, size):
            target.write(block)
            crc, length = zlib.crc32(block, crc), length + len(block)
    return length == size and crc == _sum_of(stream, member)


def _blocks(stream: IO[bytes], member: _Member, size: int) -> Iterator[bytes]:
    """The content of a member, no more than `size` bytes and one block of it; the stream is left at its end."""
    if member.method == _STORED:
        left = size
        while left and (block := stream.read(min(left, _BLOCK))):
            left -= len(block)
            yield block
        return
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    length = 0
    while not decompressor.eof and length <= size:
        content = decompressor.unconsumed_tail or stream.read(_BLOCK)
        if not content:
            return
        try:
            block = decompressor.decompress(content, _BLOCK)
        except zlib.error:
            return
        length += len(block)
        yield block
    stream.seek(-len(decompressor.unused_data), 1)


def _sum_of(stream: IO[bytes], member: _Member) -> int | None:
    """The CRC-32 that the zip tells of a member, behind it or before; None where that is cut off."""
    if not member.flags & _SUM_FOLLOWS:
        return member.crc
    sizes = 16 if member.has_long_sizes else 8
    descriptor = stream.read(8 + sizes)
    if len(descriptor) < 8 + sizes or not descriptor.startswith(_DESCRIPTOR):
        return None
    return int.from_bytes(descriptor[4:8], "little")
