"""Unpacking and reading of untrusted archives.

An archive with a path that leads outside, a link, a device or a repeated name is refused completely. None of its
files remain on disk.
"""

import bz2
import contextlib
import io
import lzma
import os
import shutil
import tarfile
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from model.errors import ArchiveError, ArchiveTooLargeError
from model.files.archive_limits import DATASET_LIMITS, UPLOAD_LIMITS, ArchiveLimits, ByteBudget, MemberNames
from model.files.browsing import has_hidden_part
from model.files.tar_members import decompressed, iter_tar_members
from model.files.zip_members import as_stream, checked_infos, iter_zip_members, open_member, open_zip
from model.files.zip_names import decode_name, name_of

_SIGNATURE_BYTES = 512
_LOCAL_HEADER, _LOCAL_LENGTH, _LOCAL_NAME = b"PK\x03\x04", slice(26, 28), 30
_FIRST_BYTES = 1 << 16
# Of the beginning of a stream, which is incomplete.
_DECOMPRESSORS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\xfd7zXZ\x00": lambda content: lzma.LZMADecompressor().decompress(content, _FIRST_BYTES),
    b"\x1f\x8b": lambda content: zlib.decompressobj(31).decompress(content, _FIRST_BYTES),
    b"BZh": lambda content: bz2.BZ2Decompressor().decompress(content, _FIRST_BYTES),
}


def is_archive(path: Path) -> bool:
    """Whether `path` is a file that begins as a zip or a tar (plain, gzip, bzip2 or xz)."""
    if not path.is_file():
        return False
    with open(path, "rb") as stream:
        return _kind(stream.read(_SIGNATURE_BYTES)) is not None


def unpack_archive(archive: Path, directory: Path, limits: ArchiveLimits = DATASET_LIMITS) -> Path:
    """Unpack a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz: all of it, or nothing.

    Args:
        archive: the file; its content decides the format, not its name.
        directory: target folder; an existing one is replaced. Its parents are created.
        limits: upper limits.

    Returns:
        `directory`.

    Raises:
        ArchiveError: damaged, encrypted, unsafe, over a limit, or not writable; the message says which.
    """
    staging = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
    try:
        staging.mkdir(parents=True)
        with open(archive, "rb") as stream, explained_damage(str(archive)):
            budget = ByteBudget(str(archive), limits, archive.stat().st_size)
            for name, content in _members(stream, MemberNames(str(archive), limits), budget):
                with content:
                    _write(staging / name, budget.blocks(name, content))
        shutil.rmtree(directory, ignore_errors=True)
        os.rename(staging, directory)
    except OSError as error:
        raise ArchiveError(f"{archive}: cannot be unpacked into {directory}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return directory


def first_name(beginning: bytes) -> str | None:
    """Name of the first member of an archive, from its first bytes; None if they do not contain it."""
    try:
        if beginning.startswith(_LOCAL_HEADER):
            start, length = _LOCAL_NAME, int.from_bytes(beginning[_LOCAL_LENGTH], "little")
            name = beginning[start : start + length]
            return decode_name(name, 0, b"") if name and len(name) == length else None
        decompress = next((new for begins, new in _DECOMPRESSORS.items() if beginning.startswith(begins)), None)
        content = decompress(beginning) if decompress else beginning
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            member = archive.next()
            return member.name if member else None
    except (OSError, EOFError, ValueError, RecursionError, lzma.LZMAError, zlib.error, tarfile.TarError):
        return None


def iter_zip_images(
    content: bytes | Path | IO[bytes],
    limits: ArchiveLimits = UPLOAD_LIMITS,
    on_error: Callable[[str, str], None] | None = None,
    label: str | None = None,
    on_hidden: Callable[[str], None] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file of a zip, one in memory at a time.

    Folders, hidden files and files that systems add on their own (`model.files.browsing.is_hidden`) are skipped.
    Whether another file is an image is decided by the caller.

    Args:
        content: bytes of the zip, its path, or an open file, which is left open.
        limits: upper limits.
        on_error: called with (name, reason) for a file that is damaged, encrypted or larger than
            `limits.entry_bytes`, which is then skipped; None raises instead.
        label: name of the zip in messages; by default its path, if it has one.
        on_hidden: called with the name of each file that is skipped because it is hidden or added by a system.

    Raises:
        ArchiveError: not a zip, unsafe, over a limit, or without files.
    """
    label = label or (str(content) if isinstance(content, Path) else "the zip")
    found = False
    with contextlib.ExitStack() as stack:
        with explained_damage(label):
            stream = stack.enter_context(as_stream(content))
            budget = ByteBudget(label, limits, stream.seek(0, os.SEEK_END))
            archive = stack.enter_context(open_zip(stream, label, limits))
            infos = checked_infos(archive, MemberNames(label, limits))
        for name, info in infos:
            if has_hidden_part(name):
                if on_hidden is not None:
                    on_hidden(name)
                continue
            found = True
            try:
                with explained_damage(f"{label}: {name}"):
                    image = b"".join(budget.blocks(name, open_member(archive, info, name)))
            except ArchiveTooLargeError:
                raise
            except ArchiveError as error:
                if on_error is None:
                    raise
                on_error(name, error.message)
            else:
                yield name, image
    if not found:
        raise ArchiveError(f"{label}: expected images, found no file in the archive")


def iter_archive_files(
    archive: Path, is_requested: Callable[[str], bool], limits: ArchiveLimits = DATASET_LIMITS
) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the requested files of an archive, in its order, one in memory at a time.

    Args:
        archive: as for `unpack_archive`; nothing after the last file that is asked for is read.
        is_requested: whether the file of a name is requested; the others are skipped.
        limits: upper limits.

    Raises:
        ArchiveError: damaged, encrypted, unsafe, or over a limit, as far as it is read.
    """
    with open(archive, "rb") as stream, explained_damage(str(archive)):
        budget = ByteBudget(str(archive), limits, archive.stat().st_size)
        for name, content in _members(stream, MemberNames(str(archive), limits), budget):
            if is_requested(name):
                yield name, b"".join(budget.blocks(name, content))


def count_zip_files(content: Path | IO[bytes], limits: ArchiveLimits = DATASET_LIMITS) -> int:
    """Number of files that the table of a zip lists, without hidden ones; 0 if the table cannot be read."""
    with contextlib.suppress(ArchiveError, OSError), contextlib.ExitStack() as stack, explained_damage("the zip"):
        stream = stack.enter_context(as_stream(content))
        archive = stack.enter_context(open_zip(stream, "the zip", limits))
        return sum(not info.is_dir() and not has_hidden_part(name_of(info)) for info in archive.infolist())
    return 0


@contextlib.contextmanager
def explained_damage(label: str) -> Iterator[None]:
    """Convert the errors that readers raise for damaged archives to ArchiveError."""
    try:
        yield
    except ArchiveError:
        raise
    # A damaged archive makes its readers raise anything: BadZipFile, EOFError, zlib.error, RecursionError ...
    except Exception as error:
        # An error with a number comes from the operating system: the disk is full, a name is too long.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ArchiveError(
            f"{label}: damaged archive, cannot be read to its end: {error or type(error).__name__}"
        ) from error


def _members(stream: IO[bytes], names: MemberNames, budget: ByteBudget) -> Iterator[tuple[str, IO[bytes]]]:
    kind = _kind(stream.read(_SIGNATURE_BYTES))
    stream.seek(0)
    if kind == "zip":
        return iter_zip_members(stream, names)
    if kind is None:
        raise ArchiveError(
            f"{names.label}: expected a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz, received something else"
        )
    return iter_tar_members(decompressed(stream, kind), names, budget)


def _kind(beginning: bytes) -> str | None:
    for kind, signature in (("gzip", b"\x1f\x8b"), ("bzip2", b"BZh"), ("xz", b"\xfd7zXZ\0")):
        if beginning.startswith(signature):
            return kind
    if beginning.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return "tar" if beginning[257:262] == b"ustar" else None


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "xb") as target:
        target.writelines(blocks)
