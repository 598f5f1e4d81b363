"""Manifests: the content of a file or folder as one small file of names, sizes and checksums.

doit compares files, not folders; the manifest of a folder stands for it. A checksum is computed again only when the
size or a time of the file has changed.
"""

import contextlib
import dataclasses
import hashlib
import os
from pathlib import Path

from model import durable
from model.files.browsing import files_below
from model.files.checksums import file_sha256
from model.reading import UnreadableError, read_json, unreadable

_CACHE = "checksums.json"


@dataclasses.dataclass(frozen=True)
class Content:
    """Content of a file or folder.

    Attributes:
        files: number of files.
        size: their bytes.
        sha256: checksum of the names, sizes and checksums of all files, or of a single file.
    """

    files: int
    size: int
    sha256: str


class Manifests:
    """Manifests of the inputs and outputs of a pipeline, in a folder of their own.

    Args:
        folder: existing folder for the manifests and the cache of checksums.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cache: dict[str, list[str | int]] = {}
        with contextlib.suppress(OSError, UnreadableError), unreadable():
            self._cache = dict(read_json(folder / _CACHE, file_names=True))

    def write(self, path: Path) -> Path:
        """Write the manifest of a file or folder; return its path, which is the same for the same `path`.

        Raises:
            OSError: the file or folder cannot be read.
        """
        target = self._folder / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
        durable.write_json(target, self._rows(path))
        durable.write_json(self._folder / _CACHE, self._cache)
        return target

    def content(self, path: Path) -> Content:
        """Summary of the content of a file or folder.

        Raises:
            OSError: the file or folder cannot be read.
        """
        rows = self._rows(path)
        digest = hashlib.sha256(durable.json_text(rows).encode()).hexdigest()
        sha256 = str(rows[0][2]) if not path.is_dir() else digest
        return Content(len(rows), sum(int(row[1]) for row in rows), sha256)

    def _rows(self, path: Path) -> list[tuple[str, int, str]]:
        if not path.is_dir():
            return [("", *self._size_and_checksum(path))]
        return [(str(file.relative_to(path)), *self._size_and_checksum(file)) for file in files_below(path)]

    def _size_and_checksum(self, file: Path) -> tuple[int, str]:
        status = file.stat()
        times: list[str | int] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        known = self._cache.get(str(file))
        if not isinstance(known, list) or known[:-1] != times:
            known = self._cache[str(file)] = [*times, file_sha256(file)]
        return status.st_size, str(known[-1])
