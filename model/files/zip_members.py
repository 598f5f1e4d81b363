"""Members of a zip file, read by zipfile within bounds."""

import contextlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from model.errors import ArchiveError, ArchiveTooLargeError
from model.files.archive_limits import BLOCK, ArchiveLimits, MemberNames
from model.files.zip_names import name_of, warn_of_code_page
from model.received import quoted

# An entry of the table of contents has 46 bytes, its name and perhaps as much again in extra fields.
_TABLE_BYTES_PER_ENTRY = 400
_MIN_TABLE_BYTES = 4 * BLOCK


class _BoundedReads:
    """Stream for zipfile, which otherwise reads a table of contents of any length at once."""

    def __init__(self, stream: IO[bytes], label: str, limits: ArchiveLimits) -> None:
        self._stream = stream
        self._label = label
        self._entries = limits.entries
        self._max_bytes = max(_MIN_TABLE_BYTES, limits.entries * _TABLE_BYTES_PER_ENTRY)

    def read(self, length: int = -1) -> bytes:
        if length > self._max_bytes:
            raise ArchiveTooLargeError(
                f"{self._label}: expected at most {self._entries:,} files and folders, found a table of contents of "
                f"{length:,} bytes"
            )
        return self._stream.read(length)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(position, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True


def as_stream(content: bytes | Path | IO[bytes]) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A stream of bytes, a file, or a stream that is open already, which is left open."""
    if isinstance(content, bytes):
        return io.BytesIO(content)
    return open(content, "rb") if isinstance(content, Path) else contextlib.nullcontext(content)


def open_zip(stream: IO[bytes], label: str, limits: ArchiveLimits) -> zipfile.ZipFile:
    """A zip whose table of contents is read only up to the size that `limits` allow."""
    return zipfile.ZipFile(_BoundedReads(stream, label, limits))


def iter_zip_members(stream: IO[bytes], names: MemberNames) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each file, after the names of all have been checked."""
    with open_zip(stream, names.label, names.limits) as archive:
        for name, info in checked_infos(archive, names):
            yield name, open_member(archive, info, name)


def checked_infos(archive: zipfile.ZipFile, names: MemberNames) -> list[tuple[str, zipfile.ZipInfo]]:
    """Safe name and table entry of each file.

    Raises:
        ArchiveError: a member is a link or a device, or `names` refuses it.
    """
    checked = []
    warn_of_code_page(archive.infolist(), names.label)
    for info in archive.infolist():
        written = name_of(info)
        file_type = stat.S_IFMT(info.external_attr >> 16)
        is_folder = written.endswith(("/", "\\")) or file_type == stat.S_IFDIR
        if file_type not in (0, stat.S_IFREG, stat.S_IFDIR):
            names.refuse(written, "it is a link or a device")
        name = names.add(written, is_folder)
        if not is_folder:
            checked.append((name, info))
    return checked


def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> IO[bytes]:
    """Content of a file.

    Raises:
        ArchiveError: it is encrypted, or compressed by another method than deflate.
    """
    if info.flag_bits & 1:
        raise ArchiveError(
            f"{archive.filename or 'the zip'}: {quoted(name)} is encrypted. Create the zip without a password"
        )
    # zipfile decompresses the other methods without bounds: 45 bytes of bzip2 into 45 million.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(
            f"{archive.filename or 'the zip'}: {quoted(name)} is compressed by another method than deflate. Create the "
            "zip with deflate"
        )
    return archive.open(info)
