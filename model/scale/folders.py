"""Folders that chunks are read from and written to: local ones, and those of object stores by `pyarrow.fs`.

A folder can be pickled. It opens its file system in the process that uses it, with the credentials of that process.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from model import durable
from model.dataset.image_files import is_image
from model.dataset.reading import read_photo, wait_for_dataset
from model.errors import (
    NO_SPACE,
    ConfigError,
    ImageError,
    StorageError,
    StorageFullError,
    StorageNotFoundError,
)
from model.files.browsing import is_hidden
from model.reading import without_number
from model.received import quoted
from model.results import Sample
from model.scale.file_addresses import file_path
from model.scale.files import NOT_FOUND, File, Folder, changed_photo
from model.scale.object_stores import SCHEMES
from model.scale.store_folder import StoreFolder
from model.serving.table import require_parquet
from model.sharing import ownership_hint

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<path>.*)", re.DOTALL)


def open_folder(address: str) -> Folder:
    """The folder of an address: a local path, `file://`, or a scheme of an object store.

    Raises:
        ConfigError: an empty address, another scheme, or pyarrow is not installed.
    """
    require_parquet("pyarrow for parts in Parquet and for object stores")
    if not address.strip():
        raise ConfigError(f"expected a folder or an address, received {quoted(address)}. For this folder, write a dot.")
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return LocalFolder(os.path.abspath(address))
    scheme = found["scheme"].lower()
    if scheme == "file":
        return LocalFolder(file_path(found["path"]))
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in ("file", *SCHEMES))
        raise ConfigError(f"expected a path or an address that begins with {known}, received {quoted(address)}.")
    return StoreFolder(f"{SCHEMES[scheme]}://{found['path'].rstrip('/')}")


def disk_error(error: OSError, path: str | os.PathLike[str] | None = None) -> StorageError:
    """The error of storage for one of a disk of this machine, with the path and a remedy.

    Args:
        path: the file that was to be read or written; None for that of the error.
    """
    place = path or error.filename or "the disk"
    reason = f"{os.fsdecode(place)}: {without_number(error)}."
    if error.errno in NO_SPACE:
        return StorageFullError(f"{reason} Free some space on its disk.")
    hint = ownership_hint(place) if isinstance(error, PermissionError) else ""
    return StorageError(f"{reason} Check the disk and the permissions.{hint}")


class LocalFolder:
    """Folder of a file system of this machine, or one that all machines mount at the same path."""

    def __init__(self, address: str) -> None:
        self.address = address

    def photos(self) -> Iterator[File]:
        """The photos in the folder and below it; links are followed, except those that lead back to a folder above."""
        yield from self._photos(self.address, "", frozenset())

    def _photos(self, folder: str, prefix: str, parents: frozenset[str]) -> Iterator[File]:
        real = os.path.realpath(folder)
        if real in parents:
            return
        subfolders = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    subfolders.append(entry.name)
                elif is_image(Path(entry.path)):
                    with contextlib.suppress(FileNotFoundError):
                        yield self.photo(os.fsencode(prefix + entry.name))
        for name in subfolders:
            yield from self._photos(os.path.join(folder, name), f"{prefix}{name}/", parents | {real})

    def photo(self, name: bytes) -> File:
        """The size and version of one photo."""
        try:
            status = os.stat(self._path(name))
        except (OSError, ValueError) as error:
            # ValueError: a character that no path has.
            reason = getattr(error, "strerror", None) or error
            raise StorageNotFoundError(f"{quoted(os.fsdecode(name))}: {reason}.") from error
        return File(name, status.st_size, str(status.st_mtime_ns))

    def read_photo(self, expected: File) -> bytes:
        """The content of a photo; see `Folder`."""
        path, name = self._path(expected.name), os.fsdecode(expected.name)
        try:
            before = self.photo(expected.name)
        except StorageNotFoundError as error:
            # The disk or mount may be gone instead.
            wait_for_dataset(Path(self.address))
            if not path.exists():
                raise ImageError(f"expected a readable file, received: {NOT_FOUND}") from error
            before = self.photo(expected.name)
        if before != expected:
            raise changed_photo(expected, before)
        return read_photo(Sample(path, path.name if os.path.isabs(name) else name, 0))

    def names(self) -> list[str]:
        """Names of the files directly in the folder, sorted; none if it is missing."""
        return self._entries(lambda entry: entry.is_file())

    def subfolders(self) -> list[str]:
        """Names of the folders directly in the folder, sorted; none if it is missing."""
        return self._entries(lambda entry: entry.is_dir())

    def _entries(self, is_chosen: "Callable[[os.DirEntry[str]], bool]") -> list[str]:
        try:
            with os.scandir(self.address) as entries:
                return sorted(entry.name for entry in entries if is_chosen(entry))
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            raise ConfigError(f"{self.address}: expected a folder, found a file. Choose another name.") from error

    def remove_leftovers(self) -> None:
        """Remove the temporary files that killed processes left in the folder."""
        durable.remove_all_leftovers(Path(self.address))

    def open(self, name: str) -> Any:
        """A file of the folder, mapped to memory."""
        import pyarrow

        return pyarrow.memory_map(str(Path(self.address, name)))

    def write(self, name: str, content: bytes) -> None:
        """Replace a file at once; folders are created."""
        path = Path(self.address, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.write_bytes(path, content)
        except OSError as error:
            raise disk_error(error, path) from error

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all its files."""
        path = Path(self.address, name)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def remove_all(self, names: Sequence[str]) -> None:
        """Remove files and folders, in their order."""
        for name in names:
            self.remove(name)

    def _path(self, name: bytes) -> Path:
        return Path(self.address, os.fsdecode(name))
