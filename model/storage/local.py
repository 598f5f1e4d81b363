"""A local folder as storage."""

import os
import shutil
from pathlib import Path

from model import durable
from model.errors import StorageDamagedError, StorageFullError, StorageNotFoundError
from model.files.browsing import files_below
from model.files.checksums import file_sha256, replaced_checksum_file
from model.home import nearest_existing
from model.results import Progress, no_progress
from model.storage.interface import DOWNLOAD, UPLOAD, Entry

_BLOCK = 1 << 20


class Local:
    """`Storage` of a local path."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self, name: str = "") -> str:
        """Local path of a name."""
        return str(self._path(name))

    def entry(self, name: str = "") -> Entry | None:
        """The file or folder of that name; None if there is none."""
        path = self._path(name)
        if not path.exists():
            return None
        return Entry("", 0, 0.0, is_folder=True) if path.is_dir() else _file(path, "")

    def exists(self, name: str = "") -> bool:
        """Whether there is a file or folder of that name."""
        return self._path(name).exists()

    def list(self, name: str = "") -> list[Entry]:
        """All files below a folder."""
        folder = self._path(name)
        if not folder.is_dir():
            raise StorageNotFoundError(f"{folder}: expected a folder, found none.")
        files = [path for path in files_below(folder) if path.is_file()]
        return sorted((_file(path, path.relative_to(folder).as_posix()) for path in files), key=lambda file: file.name)

    def space(self) -> int | None:
        """Free bytes on its disk."""
        return shutil.disk_usage(nearest_existing(self._root)).free

    def fetch(self, name: str, destination: Path, progress: Progress = no_progress, entry: Entry | None = None) -> None:
        """Copy a file, or the files of a folder."""
        if not self._path(name).exists():
            raise StorageNotFoundError(f"{self.place(name)}: expected a file or a folder, found nothing.")
        _copy(self._path(name), destination, DOWNLOAD, progress)

    def push(self, source: Path, name: str, progress: Progress = no_progress, checksum: Path | None = None) -> None:
        """Copy a file, or the files of a folder, into this folder."""
        target = self._path(name)
        if checksum is None:
            _copy(source, target, UPLOAD, progress)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        # As `model.storage.uploading` does it on a remote.
        with replaced_checksum_file(target.with_name(checksum.name), checksum.read_bytes()):
            _copy(source, target, UPLOAD, progress)

    def beginning(self, name: str, count: int) -> bytes:
        """The first bytes of a file, at most `count`."""
        with open(self._path(name), "rb") as stream:
            return stream.read(count)

    def require_space(self, size: int) -> None:
        """Check that the disk has space for so many bytes."""
        free = self.space()
        if free is not None and free < size:
            raise StorageFullError(f"{self._root}: expected {size:,} bytes free, found {free:,}. Free some space.")

    def move(self, name: str, new_name: str) -> None:
        """Rename a file."""
        self._path(new_name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._path(name), self._path(new_name))

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._root / name if name else self._root


def _file(path: Path, name: str) -> Entry:
    status = path.stat()
    return Entry(name, status.st_size, status.st_mtime)


def _copy(source: Path, destination: Path, phase: str, progress: Progress) -> None:
    pairs = [(source, destination)]
    if source.is_dir():
        pairs = [(path, destination / path.relative_to(source)) for path in files_below(source) if path.is_file()]
    total = sum(path.stat().st_size for path, _ in pairs)
    done = 0
    for path, target in sorted(pairs):
        done += path.stat().st_size
        if not _is_same(path, target):
            _copy_file(path, target)
        progress(phase, done // 1000, total // 1000)


def _is_same(path: Path, target: Path) -> bool:
    if not target.is_file():
        return False
    source_status, target_status = path.stat(), target.stat()
    return (source_status.st_size, source_status.st_mtime_ns) == (target_status.st_size, target_status.st_mtime_ns)


def _copy_file(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "rb") as content:
        durable.replace_file(target, lambda stream: shutil.copyfileobj(content, stream, _BLOCK))
    shutil.copystat(path, target)
    if file_sha256(path) != file_sha256(target):
        raise StorageDamagedError(f"{target}: expected the content of {path}, found different content. Check the disk.")
