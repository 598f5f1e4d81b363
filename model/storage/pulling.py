"""A dataset from a storage into a folder of this machine.

What is there already, with the same size and time, is not fetched again; what an interrupted pull fetched is kept; and
nothing is deleted because a listing does not show it: with another user's name in its address a server lists nothing
at all. An archive is unpacked beside the folder and then moved into it.
"""

import contextlib
import dataclasses
import glob
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model import durable
from model.dataset.archives import is_archive, unpack_archive
from model.errors import (
    ArchiveError,
    StorageBusyError,
    StorageDamagedError,
    StorageFullError,
    StorageNotFoundError,
    StorageUnreachableError,
)
from model.results import Progress, no_progress
from model.storage.interface import DOWNLOAD, Entry, Storage
from model.storage.nextcloud import fetch_zip, may_offer_zip, unpack_zip
from model.storage.opening import open_storage
from model.storage.packing import verify_unpacked
from model.storage.places import is_remote, parse_place
from model.storage.settings import remote_settings
from model.storage.uses import in_use, note_of, only_pull, require_unused

# Below, asking for each file is as fast as a zip of the whole folder.
_MANY_FILES = 20
# Servers keep whole seconds, some of them two.
_SECONDS_ALIKE = 2.0
# What a killed rclone leaves.
_PARTIAL = re.compile(r"\.[0-9a-f]{8}\.partial$")

_MARKED_SYMBOL = re.compile("\u201b(?=[\u2400-\u2421])")

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Pulled:
    """What a pull came to.

    Attributes:
        source: `remote:path`.
        directory: where it is now.
        way: `archive`, `zip` (the server packed the folder), `files` (one by one), `file` (one that is no archive) or
            `unchanged` (all was there).
        files: how many there are in the storage.
        fetched: how many of them came over now.
        bytes: the size of what came over, as files.
        only_here: files in the folder that the storage does not have; they were left.
    """

    source: str
    directory: str
    way: str
    files: int
    fetched: int
    bytes: int
    only_here: int
    seconds: float


def pull(source: str, directory: Path, progress: Progress = no_progress, mirror: bool = False) -> Pulled:
    """Bring a folder, or what is in an archive, into `directory`.

    Args:
        source: `remote:path`, or a local path.
        directory: made where it is not there; what is in it and not in the storage stays.
        progress: told of the phase `download`, in kilobytes.
        mirror: remove what is not in the storage; only for folders that are nobody's own, such as copies in the cache.

    Raises:
        StorageError: see `model.storage.interface.Storage`; StorageNotFoundError also where the folder is empty.
        ArchiveError: the archive is damaged or unsafe; nothing of it is in `directory`.
    """
    with only_pull(directory):
        return _Pull(source, directory, progress, mirror).run()


@contextlib.contextmanager
def pulled_copy(
    source: str, directory: Path, user: str, progress: Progress = no_progress, may_be_old: bool = False
) -> Iterator[Pulled | None]:
    """Bring a folder, or what is in an archive, into a folder of the cache, which no pull changes inside the block.

    Args:
        user: who uses it, for messages to others.
        may_be_old: take what is here, where it is whole, without asking the storage; None is what comes of it.

    Raises:
        StorageBusyError: it has changed in the storage, and somebody uses what is here.
        StorageError, ArchiveError: as `pull`.
    """
    with contextlib.ExitStack() as held:
        with only_pull(directory):
            pulled = None
            if not (may_be_old and is_whole(directory)):
                pulled = _Pull(source, directory, progress, mirror=True).run()
            held.enter_context(in_use(directory, user))
        yield pulled


def is_whole(directory: Path) -> bool:
    """Whether a pull into the folder was carried to its end."""
    return directory.is_dir() and _marker(directory).is_file()


class _Pull:
    """One pull, with what its steps share."""

    def __init__(self, source: str, directory: Path, progress: Progress, mirror: bool) -> None:
        self.source, self.directory, self.progress, self.mirror = source, directory, progress, mirror
        self.storage: Storage = open_storage(source)
        self.start = time.monotonic()
        self.staging = directory.with_name(f".{directory.name}.unpacking")

    def run(self) -> Pulled:
        """Fetch what is missing."""
        entry = self.storage.entry()
        if entry is None:
            raise StorageNotFoundError(
                f"{self.source}: expected a folder or an archive, found nothing there (404). See to the path."
            )
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self.folder() if entry.is_folder else self.file(entry)
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)

    def file(self, entry: Entry) -> Pulled:
        """An archive, unpacked; any other file as it is."""
        marker = _read_marker(self.directory)
        identity = {"source": self.source, "size": entry.size, "modified": entry.modified}
        if _names(marker, identity) and not self.missing(marker["files"]):
            return self.pulled("unchanged", len(marker["files"]), 0, 0, marker["files"])
        name = self.source.replace(":", "/").rstrip("/").rpartition("/")[2]
        archive = self.directory.with_name(f".{self.directory.name}.{name}")
        if self.is_here(dataclasses.replace(entry, name=name)):
            return self.pulled("file", 1, 0, 0, {name: entry.size})
        require_unused(self.directory, self.source)
        self.require_room(entry.size)
        self.storage.fetch("", archive, self.progress, entry)
        for older in archive.parent.glob(f".{glob.escape(archive.name)}.*.fetching"):
            older.unlink()
        if not is_archive(archive):
            self.directory.mkdir(exist_ok=True)
            os.replace(archive, self.directory / name)
            return self.pulled("file", 1, 1, entry.size, {name: entry.size})
        try:
            unpack_archive(archive, self.staging)
            verify_unpacked(self.staging)
        finally:
            archive.unlink()
        files = _sizes(self.staging)
        self.take_over(self.staging)
        durable.write_json(_marker(self.directory), identity | {"files": files})
        return self.pulled("archive", len(files), len(files), entry.size, files)

    def folder(self) -> Pulled:
        """The files of a folder: those that are missing here, or are others than there."""
        there = self.storage.list()
        if not there:
            raise StorageNotFoundError(
                f"{self.source}: expected files, received an empty listing. Nothing here was touched. See to the path "
                "and to the user's name at the end of the storage's address: a wrong one lists nothing."
            )
        files = {entry.name: entry.size for entry in there}
        changed = [entry for entry in there if not self.is_here(entry)]
        size = sum(entry.size for entry in changed)
        way = "unchanged"
        if changed:
            require_unused(self.directory, self.source)
            self.require_room(size)
            _marker(self.directory).unlink(missing_ok=True)
            way = self.fetch(there, changed, size)
            self.require_all(files)
        if changed or not is_whole(self.directory):
            durable.write_json(_marker(self.directory), {"source": self.source, "files": files})
        return self.pulled(way, len(files), len(changed), size, files)

    def fetch(self, there: list[Entry], changed: list[Entry], size: int) -> str:
        """By one zip where that is worth it and offered; the rest, or all, file by file."""
        way = "files"
        if len(changed) >= _MANY_FILES and 2 * len(changed) >= len(there) and self.zip(there, size):
            way = "zip"
        if any(not self.is_here(entry) for entry in changed):
            self.storage.fetch("", self.directory, self.progress)
        return way

    def zip(self, there: list[Entry], size: int) -> bool:
        """Fetch the folder as a zip; whether that worked: otherwise the files come one by one."""
        if not is_remote(self.source) or not may_offer_zip(remote_settings(parse_place(self.source).remote)):
            return False
        place = parse_place(self.source)
        archive = self.directory.with_name(f".{self.directory.name}.zip")

        def told(done: int) -> None:
            self.progress(DOWNLOAD, min(done, size) // 1000, size // 1000)

        try:
            if not fetch_zip(place, archive, told):
                return False
            unpack_zip(archive, place, self.staging)
        except (StorageBusyError, StorageUnreachableError, ArchiveError) as error:
            log.warning("%s Going on file by file.", error.message)
            return False
        finally:
            archive.unlink(missing_ok=True)
        for entry in there:
            path = self.staging / entry.name
            if path.is_file() and path.stat().st_size == entry.size:
                os.utime(path, (entry.modified, entry.modified))
            else:
                path.unlink(missing_ok=True)
        self.take_over(self.staging)
        return True

    def take_over(self, unpacked: Path) -> None:
        """Move what was unpacked into the folder: at once where that is new, else file by file, each whole."""
        _marker(self.directory).unlink(missing_ok=True)
        if self.mirror:
            shutil.rmtree(self.directory, ignore_errors=True)
        if not self.directory.exists() or not any(self.directory.iterdir()):
            os.replace(unpacked, self.directory)
            return
        for path in sorted(path for path in unpacked.rglob("*") if path.is_file()):
            target = self.directory / path.relative_to(unpacked)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)

    def require_room(self, size: int) -> None:
        """A disk that is too small is better known before than after an hour."""
        free = shutil.disk_usage(self.directory.parent).free
        if free < size:
            raise StorageFullError(
                f"{self.source}: expected {size:,} bytes free in {self.directory.parent}, found {free:,}. Nothing was "
                "fetched. Make room there, or name another folder."
            )

    def is_here(self, entry: Entry) -> bool:
        """Whether a file is here as it is there."""
        try:
            status = (self.directory / _local_name(entry.name)).stat()
        except OSError:
            return False
        return status.st_size == entry.size and abs(status.st_mtime - entry.modified) <= _SECONDS_ALIKE

    def missing(self, files: Mapping[str, int]) -> list[str]:
        """The names of files that are not here, or with another size."""
        return [name for name, size in files.items() if _size(self.directory / _local_name(name)) != size]

    def require_all(self, files: Mapping[str, int]) -> None:
        """A copy that some files did not come through is not whole, whatever rclone says."""
        missing = self.missing(files)
        if missing:
            raise StorageDamagedError(
                f"{self.source}: expected {len(files):,} files here as they are there, but {len(missing):,} are "
                f"missing or have another size, such as {missing[0]}. The others are in {self.directory}; run it again."
            )

    def pulled(self, way: str, files: int, fetched: int, size: int, names: Mapping[str, int]) -> Pulled:
        """What it came to; the files that only this folder has are counted, or removed from a mirror."""
        known = {_local_name(name) for name in names}
        extra = [name for name in _sizes(self.directory) if name not in known]
        unwanted = [name for name in extra if self.mirror or _PARTIAL.search(name)]
        if unwanted:
            require_unused(self.directory, self.source)
        for name in unwanted:
            (self.directory / name).unlink()
        seconds = round(time.monotonic() - self.start, 2)
        only_here = len(extra) - len(unwanted)
        return Pulled(self.source, str(self.directory), way, files, fetched, size, only_here, seconds)


def _marker(directory: Path) -> Path:
    """Remembers what was pulled into the folder, to its end."""
    return note_of(directory, "json")


def _read_marker(directory: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(_marker(directory).read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError):
        return {}


def _names(marker: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    return "files" in marker and all(marker.get(key) == value for key, value in identity.items())


def _sizes(directory: Path) -> dict[str, int]:
    """The files that a person sees in a folder: name -> size."""
    found = {}
    for folder, _, names in os.walk(directory):
        inside = os.path.relpath(folder, directory)
        for name in names:
            if not name.startswith("."):
                path = name if inside == os.curdir else f"{inside}/{name}"
                found[path] = os.path.getsize(f"{folder}/{name}")
    return found


def _local_name(name: str) -> str:
    """What rclone calls a file here whose name has a control character there: without the mark before its symbol."""
    return _MARKED_SYMBOL.sub("", name)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
