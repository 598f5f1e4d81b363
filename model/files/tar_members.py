"""Members of a tar file, plain or compressed, read by tarfile within bounds."""

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Iterator
from typing import IO

from model.errors import ArchiveError, ArchiveTooLargeError
from model.files.archive_limits import BLOCK, ByteBudget, MemberNames

# tarfile reads the data of a header at once, as long as the header claims; real ones have some hundred bytes.
_MAX_HEADER_BYTES = 16 * BLOCK
_OVERHEAD_PER_ENTRY = 4096


class _BoundedReads:
    """Decompressed stream for tarfile, with limits on the length of one read and of all reads."""

    def __init__(self, stream: IO[bytes], label: str, max_bytes: int) -> None:
        self._stream = stream
        self._label = label
        self._left = max_bytes
        self.last_block = b""

    def read(self, length: int = -1) -> bytes:
        if not 0 <= length <= _MAX_HEADER_BYTES:
            raise ArchiveError(f"{self._label}: refused: a header claims {length:,} bytes for itself")
        self.last_block = self._stream.read(length)
        self._left -= len(self.last_block)
        if self._left < 0:
            raise ArchiveTooLargeError(f"{self._label}: refused: it unpacks to many times its size")
        return self.last_block

    def seek(self, position: int) -> int:
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()


def decompressed(stream: IO[bytes], kind: str) -> IO[bytes]:
    """The tar inside a stream of the kind `gzip`, `bzip2`, `xz` or `tar`."""
    if kind == "gzip":
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    if kind == "bzip2":
        return bz2.BZ2File(stream)
    return lzma.LZMAFile(stream) if kind == "xz" else stream


def iter_tar_members(stream: IO[bytes], names: MemberNames, budget: ByteBudget) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each file.

    Raises:
        ArchiveError: a member is a link or a device, or `names` refuses it.
        tarfile.ReadError: a header is damaged.
    """
    bounded = _BoundedReads(stream, names.label, budget.max_bytes + names.limits.entries * _OVERHEAD_PER_ENTRY)
    with tarfile.open(fileobj=bounded, mode="r:") as archive:  # type: ignore[call-overload]
        for member in archive:
            # tarfile keeps every member it has passed.
            archive.members = []
            if not (member.isreg() or member.isdir()):
                names.refuse(member.name, "it is a link or a device")
            name = names.add(member.name, member.isdir())
            content = archive.extractfile(member)
            if content is not None:
                yield name, content
        # tarfile takes a damaged header for the end, and leaves checksums after the end unread.
        if bounded.last_block.strip(b"\0"):
            raise tarfile.ReadError("a header is damaged")
        while bounded.read(BLOCK):
            pass
