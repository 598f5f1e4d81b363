"""A folder as one tar with an index: the form for many small files in remote storage.

    .topgraft-index.json    first: the format, and name, size and sha256 of each file
    cats/1.jpg ...          then the files, sorted by name

The same files give the same bytes: times, owners and permissions are left out. Hidden files are left out, too.
"""

import dataclasses
import io
import json
import logging
import os
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from model import durable
from model.errors import ArchiveError, DatasetError
from model.files.archive_limits import unkept_names
from model.files.browsing import files_below, has_hidden_part, name_some
from model.files.checksums import file_sha256
from model.files.composition import describe_pairs, same_when_composed
from model.reading import describe, read_json
from model.received import quoted
from model.records import record_from
from model.results import Progress, no_progress

INDEX = ".topgraft-index.json"
PACK = "pack"

_FORMAT = 1
_PROBLEMS_SHOWN = 10
_MAX_PATH = 4096
_MAX_PART = 255
# About 200 bytes for each of the files that an archive may hold.
_MAX_INDEX_BYTES = 512 * 1024**2

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Packed:
    """Result of packing.

    Attributes:
        archive: path of the tar.
        files: number of files in it.
        content_bytes: size of these files together.
        size: bytes of the tar.
        sha256: checksum of the tar, in hexadecimal.
    """

    archive: str
    files: int
    content_bytes: int
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class _Row:
    """A file of the index: path inside the folder, bytes and checksum.

    Raises:
        ValueError: the path leads out of the folder, or is longer than that of any file.
    """

    name: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or max(map(len, parts)) > _MAX_PART or len(self.name) > _MAX_PATH:
            raise ValueError(f"expected a path inside the folder, received {quoted(self.name)}")


def pack_folder(folder: Path, archive: Path, progress: Progress = no_progress) -> Packed:
    """Pack the files of a folder into a tar, atomically; an existing file is replaced.

    Args:
        progress: called with the phase `pack`, in files.

    Raises:
        DatasetError: the folder does not exist or is empty, or an archive cannot store a file name.
        ArchiveTooLargeError: more files than an archive may hold.
    """
    files = _files_of(folder)
    rows = [{"name": name, "size": path.stat().st_size, "sha256": file_sha256(path)} for name, path in files.items()]
    index = json.dumps({"format": _FORMAT, "files": rows}).encode()

    def write(stream: IO[bytes]) -> None:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(_member(INDEX, len(index)), io.BytesIO(index))
            for done, row in enumerate(rows, 1):
                with open(files[str(row["name"])], "rb") as content:
                    tar.addfile(_member(str(row["name"]), int(str(row["size"]))), content)
                progress(PACK, done, len(rows))

    durable.remove_leftovers(archive)
    durable.replace_file(archive, write)
    content_bytes = sum(int(str(row["size"])) for row in rows)
    return Packed(str(archive), len(rows), content_bytes, archive.stat().st_size, file_sha256(archive))


def verify_unpacked(folder: Path) -> None:
    """Compare the files of an unpacked archive with its index, then remove it; without an index nothing is checked.

    Raises:
        ArchiveError: files are missing or changed; the message names them.
    """
    index = folder / INDEX
    if index.is_file():
        problems = list(_problems(folder, index))
        if problems:
            more = f" and {len(problems) - _PROBLEMS_SHOWN} more" if len(problems) > _PROBLEMS_SHOWN else ""
            raise ArchiveError(
                f"{folder}: expected the files that its index lists, but {'; '.join(problems[:_PROBLEMS_SHOWN])}"
                f"{more}. Fetch or pack it again."
            )
        index.unlink()


def _problems(folder: Path, index: Path) -> Iterator[str]:
    for row in _rows(index):
        path = folder / row.name
        if not os.path.isfile(path):
            yield f"{row.name} is missing"
        elif path.stat().st_size != row.size or file_sha256(path) != row.sha256:
            yield f"{row.name} has another content (sha256)"


def _rows(index: Path) -> list[_Row]:
    try:
        content = read_json(index, _MAX_INDEX_BYTES, file_names=True)
        if content["format"] != _FORMAT:
            raise ArchiveError(
                f"{index}: expected format {_FORMAT}, received {quoted(content['format'])}: packed by another "
                "version of topgraft. Pack it again."
            )
        return [record_from(_Row, row) for row in content["files"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArchiveError(
            f"{index}: expected the index of a packed folder, received: {describe(error)}. Pack it again."
        ) from error


def _files_of(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: expected a folder to pack, found none.")
    found = {path.relative_to(folder).as_posix(): path for path in files_below(folder)}
    seen = {name: path for name, path in found.items() if not has_hidden_part(name)}
    files = {name: path for name, path in sorted(seen.items()) if path.is_file()}
    if len(files) < len(seen):
        log.warning("%s: left out links to missing files: %s", folder, name_some(sorted(seen.keys() - files.keys())))
    if not files:
        raise DatasetError(f"{folder}: expected files to pack, found none.")
    _require_kept(folder, files)
    return files


def _require_kept(folder: Path, names: Collection[str]) -> None:
    """Raise DatasetError before packing if a name could not be unpacked again."""
    unkept = unkept_names(names)
    if unkept:
        raise DatasetError(
            f"{folder}: expected names that an archive can store, received {name_some(unkept)}. Rename them: a "
            "backslash separates folders, and a letter with a colon names a disk. Nothing was packed."
        )
    pairs = same_when_composed(names)
    if pairs:
        raise DatasetError(
            f"{folder}: expected names that differ in more than the composition of accents (Unicode NFC), received "
            f"{describe_pairs(pairs[:_PROBLEMS_SHOWN])}. Nextcloud and macOS take them for one: rename or join them. "
            "Nothing was packed."
        )


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member
