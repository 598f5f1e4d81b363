"""Folders of object stores and of HDFS, by `pyarrow.fs`."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from model.dataset.formats import IMAGE_SUFFIXES
from model.dataset.image_limits import check_content
from model.errors import DatasetError, ImageError, StorageError, StorageNotFoundError
from model.files.browsing import is_hidden
from model.received import quoted
from model.scale.files import NOT_FOUND, File, changed_photo
from model.scale.object_stores import open_store, second_of_change, store_error


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
        try:
            yield from self._photos(filesystem, root, "")
        except StorageError as error:
            if self._is_file():
                raise DatasetError(
                    f"{quoted(self.address)}: expected a folder of photos, found a file. Copy a list to this machine: "
                    "its lines may be addresses. For one photo, write its address into a list."
                ) from error
            raise

    def _is_file(self) -> bool:
        from pyarrow.fs import FileType

        filesystem, root = self._store
        with contextlib.suppress(OSError):
            return bool(filesystem.get_file_info(root).type == FileType.File)
        return False

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
                second = second_of_change(filesystem, f"{root}/{expected.name.decode()}", stream)
        except StorageNotFoundError as error:
            raise ImageError(f"expected a readable file, received: {NOT_FOUND}") from error
        except StorageError as error:
            raise ImageError(f"expected a readable file, received: {error.message}") from error
        # The listing of some servers has fractions of a second, which pyarrow reads as 0 if their last digit is 0.
        listed = int(expected.version) // 10**9
        if len(content) != expected.size or listed not in (0, second):
            raise changed_photo(expected, File(expected.name, len(content), str(second * 10**9)))
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
        from pyarrow import ArrowInvalid

        try:
            yield
        except FileNotFoundError as error:
            raise StorageNotFoundError(f"{action}: no such file or folder: {quoted(name or self.address)}.") from error
        except ArrowInvalid as error:
            raise StorageNotFoundError(f"{action}: {error}: {quoted(name or self.address)}.") from error
        except OSError as error:
            raise store_error(action, error) from error


def _file(name: bytes, info: Any) -> File:
    return File(name, info.size, str(info.mtime_ns))
