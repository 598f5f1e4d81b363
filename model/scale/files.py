"""What chunks are read from and written to: files, photos and folders, of any file system."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from model.errors import ImageError

NOT_FOUND = "it is missing: it was removed after the photos were listed"
"""Reason of the error of a photo that is missing."""


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


def changed_photo(expected: File, found: File) -> ImageError:
    """The error of a photo that is not the listed file any more."""
    what = (
        f"{found.size:,} bytes instead of {expected.size:,}"
        if found.size != expected.size
        else "another time of change"
    )
    return ImageError(f"expected the file as it was when the photos were listed, received {what}: it has changed since")
