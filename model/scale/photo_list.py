"""Lists of photos: a text file with a path or an address on each line, and a label after a tab where it is known."""

import codecs
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.dataset.pipeline import in_threads
from model.errors import ConfigError, DatasetError, StorageNotFoundError
from model.received import quoted
from model.scale.file_addresses import file_path
from model.scale.files import File, Folder
from model.scale.folders import LocalFolder, open_folder

LIST_SUFFIX = ".txt"
# Requests at the same time for sizes.
_THREADS = 16


class PhotoList:
    """The photos of a list. Their names are the lines; relative paths begin at the folder of the list."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._local = LocalFolder(str(path.parent))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_stores"}

    def labelled(self) -> Iterator[tuple[File, str | None]]:
        """The photos with their labels, None for a line without one.

        Raises:
            DatasetError: a line names no file; the message names the line.
        """
        with open(self.address, "rb") as stream:
            if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                stream.seek(0)
            lines = ((number, line.rstrip(b"\r\n")) for number, line in enumerate(stream, 1))
            yield from in_threads(self._line, ((number, line) for number, line in lines if line.strip()), _THREADS)

    def photo(self, name: bytes) -> File:
        """The size and version of one photo."""
        folder, inside = self._folder_of(name)
        return folder.photo(inside)._replace(name=name)

    def read_photo(self, expected: File) -> bytes:
        """The content of a photo; see `Folder`."""
        folder, inside = self._folder_of(expected.name)
        return folder.read_photo(expected._replace(name=inside))

    def _line(self, line: tuple[int, bytes]) -> tuple[File, str | None]:
        number, content = line
        name, _, label = content.partition(b"\t")
        try:
            # An empty label, as a table of photos without one is written, is none.
            return self.photo(name), label.decode().strip() or None
        except (StorageNotFoundError, ConfigError, UnicodeDecodeError) as error:
            raise DatasetError(
                f"{self.address}:{number}: expected the path of a photo, and a label after a tab if there is one, "
                f"received {quoted(os.fsdecode(content))}: {error}"
            ) from error

    def _folder_of(self, name: bytes) -> tuple[Folder, bytes]:
        """The folder of this machine, or the bucket of an address; and the path in it."""
        scheme, separator, path = name.partition(b"://")
        if not separator:
            return self._local, name
        if scheme.lower() == b"file":
            return self._local, os.fsencode(file_path(os.fsdecode(path)))
        host, _, inside = path.partition(b"/")
        return self._stores((scheme + separator + host).decode(errors="replace")), inside

    @functools.cached_property
    def _stores(self) -> Any:
        return functools.lru_cache(maxsize=64)(open_folder)
