"""Folders that chunks are read from and written to: local ones, and those of object stores by `pyarrow.fs`.

A folder can be pickled. It opens its file system in the process that uses it, with the credentials of that process.
"""

import contextlib
import functools
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from model import durable
from model.dataset.formats import IMAGE_SUFFIXES
from model.dataset.image_files import is_image
from model.dataset.image_limits import check_content
from model.dataset.reading import read_photo, wait_for_dataset
from model.errors import NO_SPACE, ConfigError, ImageError, StorageError, StorageFullError, StorageNotFoundError
from model.files.browsing import is_hidden
from model.reading import without_number
from model.received import quoted
from model.results import Sample
from model.scale.object_stores import SCHEMES, open_store, store_error
from model.serving.table import require_parquet
from model.sharing import ownership_hint

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<path>.*)", re.DOTALL)
_NOT_FOUND = "it is missing: it was removed after the photos were listed"


class File(NamedTuple):
    """A file: its path in its folder, with `/`, as bytes; its size in bytes; and its version, the time of change."""

    name: bytes
    size: int
    version: str


class Photos(Protocol):
    """Photos that are read by their names."""

    address: str

    def photo(self, name: bytes) -> File:
        """The size and version of one photo.

        Raises:
            StorageNotFoundError: it is missing.
        """

    def read_photo(self, expected: File) -> bytes:
        """The content of a photo.

        Raises:
            ImageError: it cannot be read, or has changed.
        """


class Folder(Photos, Protocol):
    """Folder of photos or of parts."""

    def photos(self) -> Iterator[File]:
        """The photos in the folder and below it, in any order."""

    def names(self) -> list[str]:
        """Names of the files directly in the folder, sorted; none if it is missing."""

    def subfolders(self) -> list[str]:
        """Names of the folders directly in the folder, sorted; none if it is missing."""

    def open(self, name: str) -> Any:
        """A file of the folder for random access, as pyarrow's `NativeFile`."""

    def write(self, name: str, content: bytes) -> None:
        """Replace a file at once: a reader sees the old content or the new one."""

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all its files; nothing if it is missing."""

    def remove_all(self, names: Sequence[str]) -> None:
        """Remove several files and folders."""

    def remove_leftovers(self) -> None:
        """Remove the temporary files that killed processes left in the folder."""


def open_folder(address: str) -> Folder:
    """The folder of an address: a local path, `file://`, or a scheme of an object store.

    Raises:
        ConfigError: another scheme, or pyarrow is not installed.
    """
    require_parquet("pyarrow for parts in Parquet and for object stores")
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return LocalFolder(os.path.abspath(address))
    scheme = found["scheme"].lower()
    if scheme == "file":
        return LocalFolder(os.path.abspath(found["path"]))
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
        except OSError as error:
            raise StorageNotFoundError(f"{os.fsdecode(name)}: {error.strerror or error}.") from error
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
                raise ImageError(f"expected a readable file, received: {_NOT_FOUND}") from error
            before = self.photo(expected.name)
        if before != expected:
            raise _changed(expected, before)
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


class StoreFolder:
    """Folder of an object store or of HDFS, by `pyarrow.fs`.

    Attributes:
        address: the scheme, `://` and the path, which begins with the bucket or the host.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._scheme, _, self._root = address.partition("://")

    @functools.cached_property
    def _store(self) -> tuple[Any, str]:
        """The file system, and the path of this folder in it."""
        return open_store(self._scheme, self._root)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_store"}

    def photos(self) -> Iterator[File]:
        """The photos in the folder and below it, by their suffix; one folder at a time is in memory."""
        filesystem, root = self._store
        yield from self._photos(filesystem, root, "")

    def _photos(self, filesystem: Any, path: str, prefix: str) -> Iterator[File]:
        from pyarrow.fs import FileSelector, FileType

        with self._failures(f"list {self.address}", prefix):
            found = filesystem.get_file_info(FileSelector(path))
        subfolders = []
        for info in found:
            if is_hidden(info.base_name):
                continue
            if info.type == FileType.Directory:
                subfolders.append(info.base_name)
            elif Path(info.base_name).suffix.lower() in IMAGE_SUFFIXES:
                yield _file(f"{prefix}{info.base_name}".encode(), info)
        del found
        for name in subfolders:
            yield from self._photos(filesystem, f"{path}/{name}", f"{prefix}{name}/")

    def photo(self, name: bytes) -> File:
        """The size and version of one photo."""
        from pyarrow.fs import FileType

        filesystem, root = self._store
        with self._failures(f"read {self.address}", name.decode(errors="replace")):
            info = filesystem.get_file_info(f"{root}/{name.decode()}")
        if info.type != FileType.File:
            raise StorageNotFoundError(f"{self.address}/{name.decode()}: no such file.")
        return _file(name, info)

    def read_photo(self, expected: File) -> bytes:
        """The content of a photo; see `Folder`."""
        filesystem, root = self._store
        check_content(expected.size)
        try:
            with (
                self._failures("read the photo", expected.name.decode(errors="replace")),
                filesystem.open_input_file(f"{root}/{expected.name.decode()}") as stream,
            ):
                content: bytes = stream.read(expected.size + 1)
        except StorageNotFoundError as error:
            raise ImageError(f"expected a readable file, received: {_NOT_FOUND}") from error
        except StorageError as error:
            raise ImageError(f"expected a readable file, received: {error.message}") from error
        if len(content) != expected.size:
            raise _changed(expected, File(expected.name, len(content), expected.version))
        return content

    def names(self) -> list[str]:
        """Names of the files directly in the folder, sorted; none if it is missing."""
        return self._entries("File")

    def subfolders(self) -> list[str]:
        """Names of the folders directly in the folder, sorted; none if it is missing."""
        return self._entries("Directory")

    def _entries(self, kind: str) -> list[str]:
        from pyarrow.fs import FileSelector, FileType

        filesystem, root = self._store
        with self._failures(f"list {self.address}", ""):
            found = filesystem.get_file_info(FileSelector(root, allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == FileType[kind] and info.base_name)

    def open(self, name: str) -> Any:
        """A file of the folder."""
        filesystem, root = self._store
        with self._failures(f"read {self.address}", name):
            return filesystem.open_input_file(f"{root}/{name}")

    def write(self, name: str, content: bytes) -> None:
        """Upload a file at once: it appears when the upload is complete."""
        filesystem, root = self._store
        with self._failures(f"write {self.address}", name):
            with filesystem.open_output_stream(f"{root}/{name}") as stream:
                stream.write(content)
            written = filesystem.get_file_info(f"{root}/{name}").size
        if written != len(content):
            raise StorageError(
                f"{self.address}/{name}: expected {len(content):,} bytes after writing, found {written}."
            )

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all its files."""
        from pyarrow.fs import FileSelector, FileType

        filesystem, root = self._store
        with self._failures(f"remove {self.address}", name):
            found = [filesystem.get_file_info(f"{root}/{name}")]
            if found[0].type == FileType.Directory:
                found = filesystem.get_file_info(FileSelector(f"{root}/{name}", recursive=True))
            paths = [info.path for info in found if info.type == FileType.File]
            for path in paths:
                # Arrow also creates an object for the folder of the file, which some servers refuse.
                with contextlib.suppress(OSError):
                    filesystem.delete_file(path)
            left = [info.path for info in filesystem.get_file_info(paths) if info.type == FileType.File]
        if left:
            raise StorageError(f"{left[0]}: expected to remove the file, and it is still there. Check the permissions.")

    def remove_all(self, names: Sequence[str]) -> None:
        """Remove files and folders: by few requests if they are all that the folder holds, else one after another."""
        filesystem, root = self._store
        if "/" in root.strip("/") and {*self.names(), *self.subfolders()} <= set(names):
            # Arrow removes a single file by several requests, and then creates an object for its folder.
            with contextlib.suppress(OSError):
                filesystem.delete_dir(root)
        left = {*self.names(), *self.subfolders()}
        for name in names:
            if name in left:
                self.remove(name)

    def remove_leftovers(self) -> None:
        """Do nothing: an upload that was interrupted leaves no file."""

    @contextlib.contextmanager
    def _failures(self, action: str, name: str) -> Iterator[None]:
        """Turn errors of pyarrow into errors of storage; retries are made by the file system itself."""
        try:
            yield
        except FileNotFoundError as error:
            raise StorageNotFoundError(f"{action}: no such file or folder: {quoted(name or self.address)}.") from error
        except OSError as error:
            raise store_error(action, error) from error


def _file(name: bytes, info: Any) -> File:
    return File(name, info.size, str(info.mtime_ns))


def _changed(expected: File, found: File) -> ImageError:
    what = (
        f"{found.size:,} bytes instead of {expected.size:,}"
        if found.size != expected.size
        else "another time of change"
    )
    return ImageError(f"expected the file as it was when the photos were listed, received {what}: it has changed since")
