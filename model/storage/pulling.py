"""Pulling of datasets: incremental download from remote storage into a local folder.

Files that exist locally with the same size and time are not downloaded again, and files of an interrupted pull are
kept. Local files that the remote does not list are not deleted, because a server lists nothing if its address has the
name of another user. An archive is unpacked next to the folder and then moved into it.
"""

import contextlib
import dataclasses
import glob
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from model import durable
from model.addresses import is_url
from model.errors import (
    ArchiveError,
    StorageBusyError,
    StorageDamagedError,
    StorageFullError,
    StorageNotFoundError,
    StorageUnreachableError,
)
from model.files.archives import is_archive, unpack_archive
from model.files.composition import LocalFiles, same_when_composed
from model.files.packing import verify_unpacked
from model.reading import UnreadableError, read_json, unreadable
from model.results import Progress, no_progress
from model.storage import open_storage
from model.storage.folder_locks import in_use, note_path, only_pull, require_unused
from model.storage.interface import Entry, Storage
from model.storage.nextcloud import fetch_as_zip, may_offer_zip
from model.storage.places import is_remote, parse_place
from model.storage.settings import remote_settings

# Below this number, one request per file is as fast as a zip of the whole folder.
_MIN_FILES_FOR_ZIP = 20
# Servers keep whole seconds, some of them two.
_TIME_TOLERANCE_SECONDS = 2.0
# About 200 bytes for each of a million files.
_MAX_MARKER_BYTES = 512 * 1024**2
# Left by a killed rclone.
_PARTIAL = re.compile(r"\.[0-9a-f]{8}\.partial$")
_MARKED_SYMBOL = re.compile("\u201b(?=[\u2400-\u2421])")

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Pulled:
    """Result of a pull.

    Attributes:
        source: `remote:path`.
        directory: local folder.
        way: `archive`, `zip` (the server packed the folder), `files` (one by one), `file` (a file that is not an
            archive) or `unchanged` (all files were up to date).
        files: number of files in the remote.
        fetched: number of files transferred by this pull.
        bytes: size of the transferred files.
        only_here: number of files in the folder that the remote does not have; they were kept.
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
    """Bring a folder, or the content of an archive, into `directory`.

    Args:
        source: `remote:path`, the URL of a file or a public link, or a local path.
        directory: created if missing; files in it that the remote does not have are kept.
        progress: called with the phase `download`, in kilobytes.
        mirror: remove files that the remote does not have; only for folders that belong to no user, such as copies in
            the cache.

    Raises:
        StorageError: see `model.storage.interface.Storage`; StorageNotFoundError also if the folder is empty.
        ArchiveError: the archive is damaged or unsafe; nothing of it is in `directory`.
    """
    with only_pull(directory):
        return _Pull(source, directory, progress, mirror).run()


@contextlib.contextmanager
def pulled_copy(
    source: str, directory: Path, user: str, progress: Progress = no_progress, may_be_old: bool = False
) -> Iterator[Pulled | None]:
    """Bring a folder, or the content of an archive, into a folder of the cache, which no pull changes inside the block.

    Args:
        user: user of the copy, such as "the training pets", for messages of other processes.
        may_be_old: use a complete local copy without asking the remote; the block then gets None.

    Raises:
        StorageBusyError: the remote has changed, and another process uses the copy.
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
    """Whether a pull into the folder was completed."""
    return directory.is_dir() and _marker_path(directory).is_file()


class _Pull:
    """One pull; its attributes are shared by the steps."""

    def __init__(self, source: str, directory: Path, progress: Progress, mirror: bool) -> None:
        self.source, self.directory, self.progress, self.mirror = source, directory, progress, mirror
        self.storage: Storage = open_storage(source)
        self.start = time.monotonic()
        self.staging = directory.with_name(f".{directory.name}.unpacking")
        self.local = LocalFiles(directory)

    def run(self) -> Pulled:
        """Fetch the files that are missing or out of date."""
        if is_url(self.source):
            return self.with_staging(self.link)
        entry = self.storage.entry()
        if entry is None:
            raise StorageNotFoundError(
                f"{self.source}: expected a folder or an archive, found nothing (404). Check the path."
            )
        return self.with_staging(self.folder if entry.is_folder else lambda: self.file(entry))

    def with_staging(self, work: Callable[[], Pulled]) -> Pulled:
        """Call `work`; the folder in which it unpacks does not remain."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        self.remove_leftovers()
        try:
            return work()
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)

    def link(self) -> Pulled:
        """Pull the file behind a URL, such as a public link: unpack an archive, copy any other file."""
        from model.storage.download import download, linked_file

        file = linked_file(self.source)
        identity = {"source": self.source, "size": file.size, "version": file.version}
        marker = _read_marker(self.directory)
        if file.version and _describes(marker, identity) and not self.missing(marker["files"]):
            return self.pulled("unchanged", len(marker["files"]), 0, 0, marker["files"])
        name = file.name or "download"
        archive = self.directory.with_name(f".{self.directory.name}.{name}")
        require_unused(self.directory, self.source)
        self.require_room(file.size)
        archive.unlink(missing_ok=True)
        try:
            download(self.source, archive, progress=self.progress)
            return self.store(archive, name, archive.stat().st_size, identity)
        finally:
            archive.unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Remove the hidden folders of pulls that were killed while they unpacked."""
        unpacking = self.staging.parent.glob(f".{glob.escape(self.staging.name)}.*")
        for left in (self.staging, *unpacking):
            shutil.rmtree(left, ignore_errors=True)

    def file(self, entry: Entry) -> Pulled:
        """Pull a file: unpack an archive, copy any other file."""
        marker = _read_marker(self.directory)
        identity = {"source": self.source, "size": entry.size, "modified": entry.modified}
        if _describes(marker, identity) and not self.missing(marker["files"]):
            return self.pulled("unchanged", len(marker["files"]), 0, 0, marker["files"])
        name = self.source.replace(":", "/").rstrip("/").rpartition("/")[2]
        archive = self.directory.with_name(f".{self.directory.name}.{name}")
        if self.is_up_to_date(dataclasses.replace(entry, name=name)):
            return self.pulled("file", 1, 0, 0, {name: entry.size})
        require_unused(self.directory, self.source)
        self.require_room(entry.size)
        self.storage.fetch("", archive, self.progress, entry)
        for older in archive.parent.glob(f".{glob.escape(archive.name)}.*.fetching"):
            older.unlink()
        return self.store(archive, name, entry.size, identity)

    def store(self, archive: Path, name: str, size: int, identity: dict[str, Any]) -> Pulled:
        """Unpack a fetched archive into the folder, or move any other file there."""
        if not is_archive(archive):
            self.directory.mkdir(exist_ok=True)
            os.replace(archive, self.directory / name)
            return self.pulled("file", 1, 1, size, {name: size})
        try:
            unpack_archive(archive, self.staging)
            verify_unpacked(self.staging)
        finally:
            archive.unlink()
        files = _sizes_in(self.staging)
        self.move_in(self.staging)
        durable.write_json(_marker_path(self.directory), identity | {"files": files})
        return self.pulled("archive", len(files), len(files), size, files)

    def folder(self) -> Pulled:
        """Pull the files of a folder that are missing locally or differ."""
        listed = self.storage.list()
        if not listed:
            raise StorageNotFoundError(
                f"{self.source}: expected files, received an empty listing. No local file was changed. Check the path, "
                "and the user name at the end of the remote's URL: with a wrong one the server lists nothing."
            )
        files = {entry.name: entry.size for entry in listed}
        changed = [entry for entry in listed if not self.is_up_to_date(entry)]
        size = sum(entry.size for entry in changed)
        way = "unchanged"
        if changed:
            require_unused(self.directory, self.source)
            way = self.fetch(listed, changed)
            self.local.refresh()
            self.require_all(files)
        if changed or not is_whole(self.directory):
            durable.write_json(_marker_path(self.directory), {"source": self.source, "files": files})
        return self.pulled(way, len(files), len(changed), size, files)

    def fetch(self, listed: list[Entry], changed: list[Entry]) -> str:
        """Fetch by one zip if many files changed and the server offers it; the rest, or all, file by file."""
        self.require_room(sum(entry.size for entry in changed))
        _marker_path(self.directory).unlink(missing_ok=True)
        if self.mirror:
            self.remove_conflicts(changed)
        is_worth_a_zip = len(changed) >= _MIN_FILES_FOR_ZIP and 2 * len(changed) >= len(listed)
        way = "zip" if is_worth_a_zip and self.fetch_zip(listed, changed) else "files"
        if any(not self.is_up_to_date(entry) for entry in changed):
            self.storage.fetch("", self.directory, self.progress)
            self.fetch_same_when_composed(changed)
        return way

    def fetch_same_when_composed(self, changed: list[Entry]) -> None:
        """Fetch files whose names differ only in composition, which rclone takes for one file."""
        names = {name for pair in same_when_composed(entry.name for entry in changed) for name in pair}
        for entry in changed:
            if any(entry.name == name or entry.name.startswith(f"{name}/") for name in names):
                self.storage.fetch(entry.name, self.directory / _local_name(entry.name), self.progress, entry)

    def fetch_zip(self, listed: list[Entry], changed: list[Entry]) -> bool:
        """Fetch the changed files by a zip of the folder; False if not offered, or usable only for some files."""
        if not is_remote(self.source):
            return False
        place = parse_place(self.source)
        if not may_offer_zip(remote_settings(place.remote)):
            return False
        members = [dataclasses.replace(entry, name=_local_name(entry.name)) for entry in listed]
        requested = {_local_name(entry.name) for entry in changed}
        try:
            return fetch_as_zip(place, members, requested, self.local.path, self.staging, self.progress)
        except (StorageBusyError, StorageUnreachableError, ArchiveError) as error:
            reason = str(error).rstrip(".")
        except OSError as error:
            reason = f"cannot write to {self.directory}: {error.strerror or error}"
        log.warning(
            "%s: the zip could not be used completely: %s; the remaining %d files are downloaded one by one.",
            *(self.source, reason, sum(not self.is_up_to_date(entry) for entry in changed)),
        )
        return False

    def remove_conflicts(self, changed: list[Entry]) -> None:
        """Remove local folders where the remote has files, and local files where it has folders."""
        for entry in changed:
            path = self.path_of(entry.name)
            if path.is_dir():
                shutil.rmtree(path)
            for parent in path.relative_to(self.directory).parents[:-1]:
                if (self.directory / parent).is_file():
                    (self.directory / parent).unlink()

    def move_in(self, unpacked: Path) -> None:
        """Move the unpacked files into the folder; a mirror keeps no others.

        A new folder appears at once, files are added to an existing one by one, each whole.
        """
        _marker_path(self.directory).unlink(missing_ok=True)
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
        """Raise StorageFullError before the transfer if the disk is too small."""
        free = shutil.disk_usage(self.directory.parent).free
        if free < size:
            raise StorageFullError(
                f"{self.source}: expected {size:,} bytes free in {self.directory.parent}, found {free:,}. Nothing was "
                "fetched. Free some space, or choose another folder."
            )

    def is_up_to_date(self, entry: Entry) -> bool:
        """Whether the local file has the size and time of the remote one."""
        try:
            status = self.path_of(entry.name).stat()
        except OSError:
            return False
        return status.st_size == entry.size and abs(status.st_mtime - entry.modified) <= _TIME_TOLERANCE_SECONDS

    def missing(self, files: Mapping[str, int]) -> list[str]:
        """Names of files that are missing locally, or have another size."""
        return [name for name, size in files.items() if _size_of(self.path_of(name)) != size]

    def path_of(self, name: str) -> Path:
        """Local path of a remote file, whose name may be composed differently (NFC)."""
        return self.local.path(_local_name(name))

    def require_all(self, files: Mapping[str, int]) -> None:
        """Raise StorageDamagedError if files are missing, even if rclone reported success."""
        missing = self.missing(files)
        if missing:
            raise StorageDamagedError(
                f"{self.source}: expected {len(files):,} files, but {len(missing):,} are missing or have another size, "
                f"such as {missing[0]}. The others are in {self.directory}. Run the command again."
            )

    def pulled(self, way: str, files: int, fetched: int, size: int, names: Mapping[str, int]) -> Pulled:
        """The result; files that only the local folder has are counted, or removed from a mirror."""
        self.local.refresh()
        known = {self.path_of(name) for name in names}
        extra = [name for name in _sizes_in(self.directory) if self.directory / name not in known]
        surplus = [name for name in extra if self.mirror or _PARTIAL.search(name)]
        if surplus:
            require_unused(self.directory, self.source)
        for name in surplus:
            (self.directory / name).unlink()
        seconds = round(time.monotonic() - self.start, 2)
        only_here = len(extra) - len(surplus)
        return Pulled(self.source, str(self.directory), way, files, fetched, size, only_here, seconds)


def _marker_path(directory: Path) -> Path:
    """JSON file that records a completed pull into the folder: its source, and the names and sizes of the files."""
    return note_path(directory, "json")


def _read_marker(directory: Path) -> dict[str, Any]:
    """Content of the marker; empty if there is none that can be used."""
    try:
        content: dict[str, Any] = read_json(_marker_path(directory), _MAX_MARKER_BYTES, file_names=True)
        with unreadable():
            return content | {"files": {name: int(size) for name, size in content["files"].items()}}
    except (OSError, UnreadableError):
        return {}


def _describes(marker: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether a marker records this version of the source."""
    return "files" in marker and all(marker.get(key) == value for key, value in identity.items())


def _sizes_in(directory: Path) -> dict[str, int]:
    """Files in a folder that are not hidden: name -> bytes."""
    found = {}
    for folder, _, names in os.walk(directory):
        inside = os.path.relpath(folder, directory)
        for name in names:
            if not name.startswith("."):
                path = name if inside == os.curdir else f"{inside}/{name}"
                found[path] = os.path.getsize(f"{folder}/{name}")
    return found


def _local_name(name: str) -> str:
    """Local name of a file as written by rclone, which marks symbols that stand for control characters."""
    return _MARKED_SYMBOL.sub("", name)


def _size_of(path: Path) -> int:
    """Bytes of a file; -1 if it does not exist."""
    return path.stat().st_size if path.is_file() else -1
