"""A dataset from a storage into a folder of this machine.

What is there already, with the same size and time, is not fetched again; what an interrupted pull fetched is kept; and
nothing is deleted because a listing does not show it: with another user's name in its address a server lists nothing
at all. An archive is unpacked beside the folder and then moved into it.
"""

import contextlib
import dataclasses
import glob
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from model import durable
from model.errors import (
    ArchiveError,
    StorageBusyError,
    StorageDamagedError,
    StorageFullError,
    StorageNotFoundError,
    StorageUnreachableError,
)
from model.files.archives import is_archive, unpack_archive
from model.files.packing import verify_unpacked
from model.results import Progress, no_progress
from model.storage.interface import Entry, Storage
from model.storage.opening import open_storage
from model.storage.pulled_files import is_of, is_whole, local_name, marker_of, read_marker, size_of, sizes_in
from model.storage.uses import in_use, only_pull, require_unused
from model.storage.zipped_folder import ZippedFolder

# Below, asking for each file is as fast as a zip of the whole folder.
_MANY_FILES = 20
# Servers keep whole seconds, some of them two.
_SECONDS_ALIKE = 2.0
# What a killed rclone leaves.
_PARTIAL = re.compile(r"\.[0-9a-f]{8}\.partial$")

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
        self.remove_leftovers()
        try:
            return self.folder() if entry.is_folder else self.file(entry)
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)

    def remove_leftovers(self) -> None:
        """Of pulls that were killed while they unpacked: hidden folders, under names of their own."""
        inner = self.staging.with_name(f"{self.staging.name}.inner")
        for left in (self.staging, inner, *inner.parent.glob(f".{glob.escape(self.staging.name)}.*")):
            shutil.rmtree(left, ignore_errors=True)

    def file(self, entry: Entry) -> Pulled:
        """An archive, unpacked; any other file as it is."""
        marker = read_marker(self.directory)
        identity = {"source": self.source, "size": entry.size, "modified": entry.modified}
        if is_of(marker, identity) and not self.missing(marker["files"]):
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
        files = sizes_in(self.staging)
        self.take_over(self.staging)
        durable.write_json(marker_of(self.directory), identity | {"files": files})
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
            way = self.fetch(there, changed)
            self.require_all(files)
        if changed or not is_whole(self.directory):
            durable.write_json(marker_of(self.directory), {"source": self.source, "files": files})
        return self.pulled(way, len(files), len(changed), size, files)

    def fetch(self, there: list[Entry], changed: list[Entry]) -> str:
        """By one zip where that is worth it, offered, and has room; the rest, or all, file by file."""
        zipped = ZippedFolder(self.source, self.directory, self.staging, there)
        # What a killed pull left takes the room that is asked for next.
        if self.keep_whole(zipped):
            changed = [entry for entry in changed if not self.is_here(entry)]
        size = sum(entry.size for entry in changed)
        self.require_room(size)
        marker_of(self.directory).unlink(missing_ok=True)
        way = "files"
        is_worth_it = len(changed) >= _MANY_FILES and 2 * len(changed) >= len(there)
        if is_worth_it and self.free() >= zipped.most_bytes() and self.zip(zipped, size):
            way = "zip"
        if any(not self.is_here(entry) for entry in changed):
            self.storage.fetch("", self.directory, self.progress)
        return way

    def zip(self, zipped: ZippedFolder, size: int) -> bool:
        """Fetch the folder as a zip; whether that worked: otherwise what did not come whole comes file by file."""
        try:
            if not zipped.fetch(self.progress, size):
                return False
        except (StorageBusyError, StorageUnreachableError, ArchiveError, OSError) as error:
            kept = self.keep_whole(zipped)
            log.warning("%s %d of its files came whole. Going on file by file.", error, kept)
            return False
        self.take_over(self.staging)
        return True

    def keep_whole(self, zipped: ZippedFolder) -> int:
        """Let the folder have what came whole in a zip that broke off; how many files."""
        kept = zipped.keep_whole()
        if kept:
            marker_of(self.directory).unlink(missing_ok=True)
            self.add(self.staging)
        return kept

    def take_over(self, unpacked: Path) -> None:
        """Let the folder have all that was unpacked; in a mirror, nothing else."""
        marker_of(self.directory).unlink(missing_ok=True)
        if self.mirror:
            shutil.rmtree(self.directory, ignore_errors=True)
        self.add(unpacked)

    def add(self, unpacked: Path) -> None:
        """Move what was unpacked into the folder: at once where that is new, else file by file, each whole."""
        if not self.directory.exists() or not any(self.directory.iterdir()):
            os.replace(unpacked, self.directory)
            return
        for path in sorted(path for path in unpacked.rglob("*") if path.is_file()):
            target = self.directory / path.relative_to(unpacked)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)

    def require_room(self, size: int) -> None:
        """A disk that is too small is better known before than after an hour."""
        free = self.free()
        if free < size:
            raise StorageFullError(
                f"{self.source}: expected {size:,} bytes free in {self.directory.parent}, found {free:,}. Nothing was "
                "fetched. Make room there, or name another folder."
            )

    def free(self) -> int:
        """Bytes on the disk of the folder."""
        return shutil.disk_usage(self.directory.parent).free

    def is_here(self, entry: Entry) -> bool:
        """Whether a file is here as it is there."""
        try:
            status = (self.directory / local_name(entry.name)).stat()
        except OSError:
            return False
        return status.st_size == entry.size and abs(status.st_mtime - entry.modified) <= _SECONDS_ALIKE

    def missing(self, files: Mapping[str, int]) -> list[str]:
        """The names of files that are not here, or with another size."""
        return [name for name, size in files.items() if size_of(self.directory / local_name(name)) != size]

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
        known = {local_name(name) for name in names}
        extra = [name for name in sizes_in(self.directory) if name not in known]
        unwanted = [name for name in extra if self.mirror or _PARTIAL.search(name)]
        if unwanted:
            require_unused(self.directory, self.source)
        for name in unwanted:
            (self.directory / name).unlink()
        seconds = round(time.monotonic() - self.start, 2)
        only_here = len(extra) - len(unwanted)
        return Pulled(self.source, str(self.directory), way, files, fetched, size, only_here, seconds)
