"""The folders of a dataset with their images, read once and without opening known images."""

import dataclasses
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from model.dataset.image_files import is_image
from model.errors import DatasetError
from model.files.browsing import is_hidden

MAX_LEVELS = 100


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder of a dataset.

    Attributes:
        name: name of the folder, or of the folder that it stands for.
        path: path relative to the dataset; empty for the dataset itself.
        images, others: its own files, as sorted paths relative to the dataset. A hidden folder, which is not entered,
            is among the others, with `/` at its end.
        folders: folders in it, sorted by name, without hidden ones.
        total: number of images in it and below.
    """

    name: str
    path: str
    images: tuple[str, ...]
    others: tuple[str, ...]
    folders: tuple["Folder", ...]
    total: int

    @property
    def filled(self) -> tuple["Folder", ...]:
        """Folders in it that have images, or folders with images."""
        return tuple(folder for folder in self.folders if folder.total)

    def images_below(self) -> list[str]:
        """Images in it and below, as sorted paths."""
        return sorted(name for folder in self.walk() for name in folder.images)

    def others_below(self) -> list[str]:
        """Other files in it and below, as sorted paths."""
        return sorted(name for folder in self.walk() for name in folder.others)

    def walk(self) -> Iterator["Folder"]:
        """It and all folders below."""
        yield self
        for folder in self.folders:
            yield from folder.walk()


def read_tree(root: Path) -> Folder:
    """Read the folders of a dataset; links are followed, except those that lead back to a folder above them.

    Raises:
        OSError: a folder cannot be read.
        DatasetError: more than `MAX_LEVELS` levels of folders.
    """
    return _read(root, "", root.name, frozenset())


def combined(name: str, path: str, folders: tuple[Folder, ...], content: Folder) -> Folder:
    """Folder of this name with the files of `content` and these folders."""
    total = len(content.images) + sum(folder.total for folder in folders)
    return Folder(name, path, content.images, content.others, folders, total)


def _read(directory: Path, path: str, name: str, parents: frozenset[str]) -> Folder:
    if len(parents) > MAX_LEVELS:
        raise DatasetError(f"{directory}: expected at most {MAX_LEVELS} levels of folders, found more")
    real = os.path.realpath(directory)
    images: list[str] = []
    others: list[str] = []
    folders: list[Folder] = []
    for entry in _entries(directory) if real not in parents else ():
        relative = f"{path}/{entry.name}" if path else entry.name
        if _is_folder(entry):
            if is_hidden(entry.name):
                others.append(f"{relative}/")
            else:
                folders.append(_read(directory / entry.name, relative, entry.name, parents | {real}))
        else:
            (images if is_image(directory / entry.name) else others).append(relative)
    total = len(images) + sum(folder.total for folder in folders)
    return Folder(name, path, tuple(images), tuple(others), tuple(folders), total)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        # A link that leads to itself is a file that cannot be read.
        if error.errno == errno.ELOOP:
            return False
        raise


def _entries(directory: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(directory) as entries:
        return sorted(entries, key=lambda entry: entry.name)
