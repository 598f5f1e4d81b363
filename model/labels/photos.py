"""Where the photos of an import are read from."""

import posixpath
from pathlib import Path
from typing import Protocol

from model.dataset.images import read_content
from model.errors import DatasetError
from model.labels.photo_names import PhotoFiles
from model.labels.regions import Task


class Photos(Protocol):
    """Photos of the tasks of a source of labels.

    Attributes:
        is_lasting: whether a photo never changes, so that it need not be read again.
        connections: number of photos to read at the same time; None for one per processor.
    """

    is_lasting: bool
    connections: int | None

    def find(self, task: Task) -> tuple[str, ...]:
        """Names of the photos that the address of a task may stand for: one, none, or several if it is ambiguous."""

    def suffix(self, name: str) -> str:
        """Ending of the file name of a photo, in lower case with its dot; empty if there is none."""

    def read(self, name: str) -> bytes:
        """Content of a photo.

        Raises:
            ImageError: it cannot be read; another photo may.
            StorageError: none can be read at the moment.
        """


class LocalPhotos:
    """Photos in a folder of this machine.

    Raises:
        DatasetError: it is no folder.
    """

    is_lasting: bool = False
    connections: int | None = None

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DatasetError(
                f"{folder}: expected the folder of the photos, found {'a file' if folder.exists() else 'nothing'}. "
                "Unpack an archive, and name its folder"
            )
        self._files = PhotoFiles(folder)

    def find(self, task: Task) -> tuple[str, ...]:
        """Paths of files relative to the folder; see `PhotoFiles.find`."""
        return self._files.find(task.address)

    def suffix(self, name: str) -> str:
        """Ending of a file."""
        return posixpath.splitext(name)[1].lower()

    def read(self, name: str) -> bytes:
        """Content of a file; see `model.dataset.images.read_content`."""
        return read_content(self._files.folder / name)
