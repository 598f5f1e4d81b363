"""Remote storage through rclone: Nextcloud and other WebDAV, S3 and many more."""

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from model.errors import (
    NO_SPACE,
    StorageDamagedError,
    StorageError,
    StorageFullError,
    StorageNotFoundError,
)
from model.files.browsing import files_below, without_link_loops
from model.files.checksums import file_checksum
from model.files.composition import describe_pairs, same_when_composed
from model.results import Progress, no_progress
from model.scratch import scratch_folder
from model.storage import rclone_queries
from model.storage.failures import with_retries
from model.storage.in_place import replaces_in_place
from model.storage.interface import DOWNLOAD, UPLOAD, Entry
from model.storage.listing import entry_of
from model.storage.places import Place
from model.storage.rclone_process import parse_answer, run_rclone, run_with_retries
from model.storage.uploading import rename, upload_file

TRANSFERS = 8
_PAIRS_SHOWN = 5
_CHECKSUMS = ("sha256", "sha1", "md5")
WITHOUT_FOLDERS = ("s3", "b2", "swift", "google cloud storage", "azureblob", "oracleobjectstorage")


class Rclone:
    """`Storage` of a `remote:path`."""

    def __init__(self, root: Place, settings: Mapping[str, str]) -> None:
        self._root = root
        self._settings = settings

    def place(self, name: str = "") -> str:
        """`remote:path` of a name."""
        return str(self._root / name)

    def entry(self, name: str = "") -> Entry | None:
        """The file or folder of that name; None if there is none."""
        place = self._root / name
        try:
            content = run_with_retries(f"query {place}", ["lsjson", "--stat", "--hash", str(place)])
        except StorageNotFoundError:
            return None
        entry = entry_of(parse_answer(content, f"query {place}"), "")
        return entry if not entry.is_folder or self._folder_exists(place) else None

    def exists(self, name: str = "") -> bool:
        """Whether there is a file or folder of that name."""
        return self.entry(name) is not None

    def list(self, name: str = "") -> list[Entry]:
        """All files below a folder."""
        place = self._root / name
        arguments = ["lsjson", "--recursive", "--files-only", "--no-mimetype", "--fast-list", str(place)]
        content = run_with_retries(f"list {place}", arguments)
        rows = parse_answer(content, f"list {place}")
        return sorted((entry_of(row, row["Path"]) for row in rows), key=lambda file: file.name)

    def space(self) -> int | None:
        """Free bytes; None if the remote does not report them, for example without a quota."""
        # Some remotes report nothing for a folder that does not exist yet.
        for place in (self._root, Place(self._root.remote, "")):
            with contextlib.suppress(StorageNotFoundError):
                return with_retries(functools.partial(rclone_queries.free_bytes, str(place)))
        return None

    def fetch(self, name: str, destination: Path, progress: Progress = no_progress, entry: Entry | None = None) -> None:
        """Download a file, or the files of a folder; a file is resumed at the byte where it was interrupted."""
        entry = entry or self._known(name)
        if entry.is_folder:
            place, action = self.place(name), f"fetch {self.place(name)}"
            self._copy_folder(place, str(destination.absolute()), action, DOWNLOAD, progress)
        else:
            self._fetch_file(self._root / name, entry, destination, progress)

    def push(self, source: Path, name: str, progress: Progress = no_progress, checksum: Path | None = None) -> None:
        """Upload a file, verified, as `model.storage.uploading`; or the files of a folder, one by one."""
        place = self._root / name
        self._reports_space_for(sum(path.stat().st_size for path in _files_of(source)))
        if source.is_dir():
            _require_different_names(source)
            with without_link_loops(source) as folder:
                self._copy_folder(str(folder.absolute()), str(place), f"upload {source} to {place}", UPLOAD, progress)
            return
        upload_file(source, place, self._settings, progress, checksum)

    def beginning(self, name: str, count: int) -> bytes:
        """The first bytes of a file, at most `count`."""
        place = self._root / name
        return run_with_retries(f"read {place}", ["cat", "--count", str(count), str(place)])

    def require_space(self, size: int) -> None:
        """Check that the server answers this user, and has space for so many bytes if it reports that."""
        if not self._reports_space_for(size):
            self.entry()

    def _reports_space_for(self, size: int) -> bool:
        """Whether the remote reports its free space; an error if that is too small."""
        free = self.space()
        if free is not None and free < size:
            raise StorageFullError(
                f"{self._root}: expected {size:,} bytes free for the upload, found {free:,}. Nothing was uploaded. "
                "Free some space, or ask for a larger quota."
            )
        return free is not None

    def move(self, name: str, new_name: str) -> None:
        """Rename a file; an existing file of the new name is replaced."""
        place, new_place = self._root / name, self._root / new_name
        if replaces_in_place(self._settings) and self.exists(new_name):
            with scratch_folder("move") as directory:
                self.fetch(name, content := directory / place.name)
                self.push(content, new_name)
            self.remove(name)
            return
        run_with_retries(f"make the folder {new_place.parent}", ["mkdir", str(new_place.parent)])
        rename(place, new_place, self._settings)

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        place = self._root / name
        with contextlib.suppress(StorageNotFoundError):
            run_with_retries(f"delete {place}", ["deletefile", str(place)])

    def _known(self, name: str) -> Entry:
        entry = self.entry(name)
        if entry is None:
            raise StorageNotFoundError(f"{self.place(name)}: expected a file or a folder, found nothing (404).")
        return entry

    def _folder_exists(self, place: Place) -> bool:
        """Whether a folder exists; in object storage only one with files does, but rclone reports any name."""
        if self._settings.get("type") not in WITHOUT_FOLDERS or not place.path:
            return True
        action = f"list {place}"
        return bool(parse_answer(run_with_retries(action, ["lsjson", "--no-mimetype", str(place)]), action))

    def _copy_folder(self, source: str, target: str, action: str, phase: str, progress: Progress) -> None:
        """Run `rclone copy`: files of the same size and time are skipped, the others are replaced atomically."""
        arguments = ["copy", "--transfers", str(TRANSFERS), "--checkers", str(TRANSFERS), "--fast-list", source, target]
        if phase == UPLOAD:
            arguments.append("--copy-links")
        run_with_retries(action, arguments, report=_statistics_reporter(phase, progress))

    def _fetch_file(self, place: Place, entry: Entry, destination: Path, progress: Progress) -> None:
        part = destination.with_name(f".{destination.name}.{_identity(place, entry)}.fetching")
        destination.parent.mkdir(parents=True, exist_ok=True)
        action = f"fetch {place}"

        def fetch_rest() -> None:
            with open(part, "ab") as stream:
                done = stream.tell()
                if done < entry.size:
                    take = _block_writer(stream, done, entry.size, progress)
                    run_rclone(action, ["cat", "--offset", str(done), str(place)], take=take)

        try:
            with_retries(fetch_rest)
        except OSError as error:
            kind = StorageFullError if error.errno in NO_SPACE else StorageError
            raise kind(
                f"{action}: cannot write {part}: {error.strerror or error}. The fetched part is kept."
            ) from error
        _require_content(part, entry, action)
        os.utime(part, (entry.modified, entry.modified))
        with open(part, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(part, destination)


def _files_of(source: Path) -> Iterator[Path]:
    if not source.is_dir():
        return iter([source])
    return (path for path in files_below(source) if path.is_file())


def _require_different_names(folder: Path) -> None:
    """Refuse, before an upload, names that a server with composed names stores as one file."""
    pairs = same_when_composed(path.relative_to(folder).as_posix() for path in _files_of(folder))
    if pairs:
        raise StorageError(
            f"{folder}: expected names that differ in more than the composition of accents (Unicode NFC), received "
            f"{describe_pairs(pairs[:_PAIRS_SHOWN])}. Nextcloud stores them as one. Rename or join them. Nothing was "
            "uploaded."
        )


def _identity(place: Place, entry: Entry) -> str:
    """Identifier of this version of a file, so that parts of two versions are never joined."""
    text = f"{place}\0{entry.size}\0{entry.modified}\0{sorted(entry.hashes.items())}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _block_writer(stream: IO[bytes], done: int, total: int, progress: Progress) -> Callable[[bytes], None]:
    """Function that writes a block and reports the progress."""

    def take(block: bytes) -> None:
        nonlocal done
        stream.write(block)
        done += len(block)
        progress(DOWNLOAD, done // 1000, total // 1000)

    return take


def _statistics_reporter(phase: str, progress: Progress) -> Callable[[dict[str, Any]], None]:
    """Function that reports rclone's statistics as progress."""

    def tell(statistics: dict[str, Any]) -> None:
        total = max(statistics.get("totalBytes", 0), statistics.get("bytes", 0)) // 1000
        # At the start rclone does not know the total.
        if total:
            progress(phase, statistics.get("bytes", 0) // 1000, total)

    return tell


def _require_content(part: Path, entry: Entry, action: str) -> None:
    """Check that a fetched file has the listed size, and the listed checksum if there is one."""
    wrong = ""
    size = part.stat().st_size
    if size != entry.size:
        wrong = f"expected {entry.size:,} bytes, received {size:,}"
    known = next((name for name in _CHECKSUMS if entry.hashes.get(name)), None)
    if not wrong and known is not None:
        expected, received = entry.hashes[known], file_checksum(part, known)
        wrong = f"expected {known} {expected}, received {received}" if expected != received else ""
    if wrong:
        part.unlink()
        raise StorageDamagedError(
            f"{action}: {wrong}. The local file was deleted. Try again: the remote may have changed."
        )
