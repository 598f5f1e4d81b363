"""Archives from anywhere, unpacked without trusting them.

Sizes are counted while bytes are unpacked, for a header may claim anything. An archive with a path that
leads outside, a link, a device or a name twice is refused whole, and nothing of it stays on disk.
"""

import bz2
import contextlib
import dataclasses
import gzip
import io
import lzma
import os
import re
import shutil
import stat
import tarfile
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, NoReturn

from model.errors import ArchiveError, ArchiveTooLargeError

_BLOCK = 1 << 20
# tarfile takes a header's own data in one read, as long as the header claims; real ones have some hundred bytes.
_MOST_AT_ONCE = 16 * _BLOCK
_TAR_OVERHEAD = 4096
# An entry of a zip's table has 46 bytes, its name and perhaps as much again in extra fields.
_TABLE_BYTES_PER_ENTRY = 400
_SHORTEST_TABLE = 4 * _BLOCK
_SLACK = 64 * _BLOCK


@dataclasses.dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold at most.

    Attributes:
        entries: files and folders.
        total_bytes: of all files together, unpacked.
        entry_bytes: of one file, unpacked.
        ratio: unpacked bytes for each byte of the archive, beyond a first 64 MiB; photos stay near 1.
    """

    entries: int = 1_000_000
    total_bytes: int = 256 * 1024**3
    entry_bytes: int = 4 * 1024**3
    ratio: float = 200.0


DATASET_LIMITS = ArchiveLimits()
UPLOAD_LIMITS = ArchiveLimits(entries=1_000, total_bytes=1024**3, entry_bytes=128 * 1024**2)


def is_archive(path: Path) -> bool:
    """Whether `path` is a file that begins as a zip or a tar (plain, gzip, bzip2 or xz)."""
    if not path.is_file():
        return False
    with open(path, "rb") as stream:
        return _kind(stream.read(512)) is not None


def unpack_archive(archive: Path, directory: Path, limits: ArchiveLimits = DATASET_LIMITS) -> Path:
    """Unpack a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz: all of it, or nothing.

    Args:
        archive: the file; its content counts, not its name.
        directory: where to; what is there already is replaced. Its parents are made.
        limits: when to stop.

    Returns:
        `directory`.

    Raises:
        ArchiveError: damaged, encrypted, unsafe, over a limit, or it cannot be written; the message says which.
    """
    staging = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
    try:
        staging.mkdir(parents=True)
        with open(archive, "rb") as stream, _damage_explained(str(archive)):
            budget = _Budget(str(archive), limits, archive.stat().st_size)
            for name, content in _entries(stream, str(archive), budget):
                _write(staging / name, content, budget.of(name))
        shutil.rmtree(directory, ignore_errors=True)
        os.rename(staging, directory)
    except OSError as error:
        raise ArchiveError(f"{archive}: cannot be unpacked into {directory}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return directory


def unkept_names(names: Iterable[str]) -> list[str]:
    """Those of the names of files that `unpack_archive` would refuse, or give another name.

    Raises:
        ArchiveTooLargeError: they are more than an archive may hold.
    """
    known = _Names("the archive", DATASET_LIMITS)
    unkept = []
    for name in names:
        try:
            is_kept = known.add(name, is_folder=False) == name
        except ArchiveTooLargeError:
            raise
        except ArchiveError:
            is_kept = False
        if not is_kept:
            unkept.append(name)
    return unkept


def iter_zip_images(
    content: bytes | Path | IO[bytes],
    limits: ArchiveLimits = UPLOAD_LIMITS,
    on_error: Callable[[str, str], None] | None = None,
    label: str | None = None,
) -> Iterator[tuple[str, bytes]]:
    """The files of a zip, one in memory at a time: (name inside the zip, bytes).

    Folders, hidden files and what macOS adds (`__MACOSX/`) are skipped. Whether a file is a picture is for
    the decoder to say.

    Args:
        content: the bytes of the zip, its path, or an open file, which is left open.
        limits: when to stop.
        on_error: called with (name, why) for a file that is damaged, encrypted or larger than
            `limits.entry_bytes`, which is then skipped; None raises instead.
        label: what messages call the zip; by default its path, if it has one.

    Raises:
        ArchiveError: not a zip, unsafe, over a limit, or no file in it.
    """
    label = label or (str(content) if isinstance(content, Path) else "the zip")
    found = False
    with contextlib.ExitStack() as stack:
        with _damage_explained(label):
            stream = stack.enter_context(_as_stream(content))
            budget = _Budget(label, limits, stream.seek(0, os.SEEK_END))
            archive = stack.enter_context(_open_zip(stream, label, limits))
            infos = _checked_infos(archive, _Names(label, limits))
        for name, info in infos:
            if _is_hidden(name):
                continue
            found = True
            try:
                with _damage_explained(f"{label}: {name}"):
                    picture = b"".join(budget.of(name)(_open_entry(archive, info, name)))
            except ArchiveTooLargeError:
                raise
            except ArchiveError as error:
                if on_error is None:
                    raise
                on_error(name, error.message)
            else:
                yield name, picture
    if not found:
        raise ArchiveError(f"{label}: expected pictures in it, found no file")


def iter_archive_files(
    archive: Path, is_wanted: Callable[[str], bool], limits: ArchiveLimits = DATASET_LIMITS
) -> Iterator[tuple[str, bytes]]:
    """Some files of an archive, in its order and one in memory at a time: (name inside it, bytes).

    Args:
        archive: as for `unpack_archive`; what is not wanted is passed over, and what comes after the last file asked
            for is not read at all.
        is_wanted: told the name of each file.
        limits: when to stop.

    Raises:
        ArchiveError: damaged, encrypted, unsafe, or over a limit, as far as it is read.
    """
    with open(archive, "rb") as stream, _damage_explained(str(archive)):
        budget = _Budget(str(archive), limits, archive.stat().st_size)
        for name, content in _entries(stream, str(archive), budget):
            if is_wanted(name):
                yield name, b"".join(budget.of(name)(content))


def count_zip_files(content: Path | IO[bytes], limits: ArchiveLimits = DATASET_LIMITS) -> int:
    """How many files the table of a zip lists, hidden ones not counted; 0 where it cannot be read."""
    with contextlib.suppress(ArchiveError, OSError), contextlib.ExitStack() as stack, _damage_explained("the zip"):
        stream = stack.enter_context(_as_stream(content))
        archive = stack.enter_context(_open_zip(stream, "the zip", limits))
        return sum(not info.is_dir() and not _is_hidden(info.filename) for info in archive.infolist())
    return 0


def _as_stream(content: bytes | Path | IO[bytes]) -> contextlib.AbstractContextManager[IO[bytes]]:
    if isinstance(content, bytes):
        return io.BytesIO(content)
    return open(content, "rb") if isinstance(content, Path) else contextlib.nullcontext(content)


class _Budget:
    """Counts what is unpacked, and refuses what is too much."""

    def __init__(self, label: str, limits: ArchiveLimits, archive_bytes: int) -> None:
        self.label = label
        self.limits = limits
        self.total = min(limits.total_bytes, int(limits.ratio * archive_bytes) + _SLACK)
        self.left = self.total

    def of(self, name: str) -> Callable[[IO[bytes]], Iterator[bytes]]:
        """A reader of one entry, in blocks."""

        def blocks(content: IO[bytes]) -> Iterator[bytes]:
            length = 0
            while block := content.read(_BLOCK):
                length += len(block)
                self.left -= len(block)
                if self.left < 0:
                    raise ArchiveTooLargeError(
                        f"{self.label}: expected at most {self.total:,} bytes when unpacked, received more, in {name!r}"
                    )
                if length > self.limits.entry_bytes:
                    raise ArchiveError(
                        f"{self.label}: expected files of at most {self.limits.entry_bytes:,} bytes, {name!r} is larger"
                    )
                yield block

        return blocks


class _BoundedReads:
    """The stream of a zip for zipfile, which takes the whole table of contents in one read, however long."""

    def __init__(self, stream: IO[bytes], label: str, limits: ArchiveLimits) -> None:
        self.stream = stream
        self.label = label
        self.entries = limits.entries
        self.most = max(_SHORTEST_TABLE, limits.entries * _TABLE_BYTES_PER_ENTRY)

    def read(self, length: int = -1) -> bytes:
        if length > self.most:
            raise ArchiveTooLargeError(
                f"{self.label}: expected at most {self.entries:,} files and folders, found a table of contents of "
                f"{length:,} bytes"
            )
        return self.stream.read(length)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        return self.stream.seek(position, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def seekable(self) -> bool:
        return True


class _Names:
    """The names seen, and the refusal of those that are unsafe, there twice or too many."""

    def __init__(self, label: str, limits: ArchiveLimits) -> None:
        self.label = label
        self.limits = limits
        self.count = 0
        self.files: set[str] = set()
        self.folders: set[str] = set()

    def add(self, name: str, is_folder: bool) -> str:
        """The name with `/` between its parts, safe to put below a folder; empty for the top itself."""
        self.count += 1
        if self.count > self.limits.entries:
            raise ArchiveTooLargeError(
                f"{self.label}: expected at most {self.limits.entries:,} files and folders, found more"
            )
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name) or ".." in parts or "\0" in name:
            self.refuse(name, "its path leads outside")
        if not parts and not is_folder:
            self.refuse(name, "it has no name")
        path = "/".join(parts)
        parents = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if path in self.files or (path in self.folders and not is_folder) or parents & self.files:
            self.refuse(name, "it is there twice")
        self.folders |= parents | ({path} if is_folder else set())
        if not is_folder:
            self.files.add(path)
        return path

    def refuse(self, name: str, reason: str) -> NoReturn:
        raise ArchiveError(f"{self.label}: refused, nothing was unpacked: {name!r}: {reason}. Make the archive anew")


class _Guarded:
    """A decompressed stream for tarfile that bounds what is read, at once and in all."""

    def __init__(self, stream: IO[bytes], label: str, most: int) -> None:
        self.stream = stream
        self.label = label
        self.left = most
        self.last = b""

    def read(self, length: int = -1) -> bytes:
        if not 0 <= length <= _MOST_AT_ONCE:
            raise ArchiveError(f"{self.label}: refused: a header claims {length:,} bytes for itself")
        self.last = self.stream.read(length)
        self.left -= len(self.last)
        if self.left < 0:
            raise ArchiveTooLargeError(f"{self.label}: refused: it unpacks to many times its size")
        return self.last

    def seek(self, position: int) -> int:
        return self.stream.seek(position)

    def tell(self) -> int:
        return self.stream.tell()


def _entries(stream: IO[bytes], label: str, budget: _Budget) -> Iterator[tuple[str, IO[bytes]]]:
    names = _Names(label, budget.limits)
    kind = _kind(stream.read(512))
    stream.seek(0)
    if kind == "zip":
        return _zip_entries(stream, names)
    if kind is None:
        raise ArchiveError(f"{label}: expected a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz, received something else")
    return _tar_entries(_decompressed(stream, kind), names, budget)


def _kind(beginning: bytes) -> str | None:
    for kind, signature in (("gzip", b"\x1f\x8b"), ("bzip2", b"BZh"), ("xz", b"\xfd7zXZ\0")):
        if beginning.startswith(signature):
            return kind
    if beginning.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return "tar" if beginning[257:262] == b"ustar" else None


def _decompressed(stream: IO[bytes], kind: str) -> IO[bytes]:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    if kind == "bzip2":
        return bz2.BZ2File(stream)
    return lzma.LZMAFile(stream) if kind == "xz" else stream


def _open_zip(stream: IO[bytes], label: str, limits: ArchiveLimits) -> zipfile.ZipFile:
    return zipfile.ZipFile(_BoundedReads(stream, label, limits))


def _zip_entries(stream: IO[bytes], names: _Names) -> Iterator[tuple[str, IO[bytes]]]:
    with _open_zip(stream, names.label, names.limits) as archive:
        for name, info in _checked_infos(archive, names):
            yield name, _open_entry(archive, info, name)


def _checked_infos(archive: zipfile.ZipFile, names: _Names) -> list[tuple[str, zipfile.ZipInfo]]:
    checked = []
    for info in archive.infolist():
        file_type = stat.S_IFMT(info.external_attr >> 16)
        is_folder = info.filename.endswith(("/", "\\")) or file_type == stat.S_IFDIR
        if file_type not in (0, stat.S_IFREG, stat.S_IFDIR):
            names.refuse(info.filename, "it is a link or a device")
        name = names.add(info.filename, is_folder)
        if not is_folder:
            checked.append((name, info))
    return checked


def _open_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> IO[bytes]:
    if info.flag_bits & 1:
        raise ArchiveError(f"{archive.filename or 'the zip'}: {name!r} is encrypted. Make the zip without a password")
    # The others are decompressed without bounds by zipfile, 45 bytes of bzip2 into 45 million.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{archive.filename or 'the zip'}: {name!r} is compressed otherwise than by deflate")
    return archive.open(info)


def _tar_entries(stream: IO[bytes], names: _Names, budget: _Budget) -> Iterator[tuple[str, IO[bytes]]]:
    guarded = _Guarded(stream, names.label, budget.total + names.limits.entries * _TAR_OVERHEAD)
    with tarfile.open(fileobj=guarded, mode="r:") as archive:  # type: ignore[call-overload]
        for member in archive:
            # tarfile remembers every member it has passed.
            archive.members = []
            if not (member.isreg() or member.isdir()):
                names.refuse(member.name, "it is a link or a device")
            name = names.add(member.name, member.isdir())
            content = archive.extractfile(member)
            if content is not None:
                yield name, content
        # tarfile takes a damaged header for the end, and leaves checksums behind the end unread.
        if guarded.last.strip(b"\0"):
            raise tarfile.ReadError("a header is damaged")
        while guarded.read(_BLOCK):
            pass


def _write(path: Path, content: IO[bytes], blocks: Callable[[IO[bytes]], Iterator[bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, open(path, "xb") as target:
        for block in blocks(content):
            target.write(block)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


@contextlib.contextmanager
def _damage_explained(label: str) -> Iterator[None]:
    try:
        yield
    except ArchiveError:
        raise
    # A damaged archive makes its readers raise anything: BadZipFile, EOFError, zlib.error, RecursionError ...
    except Exception as error:
        # With a number it comes from the operating system: the disk is full, a name is too long.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ArchiveError(
            f"{label}: damaged, it cannot be read to its end: {error or type(error).__name__}"
        ) from error
