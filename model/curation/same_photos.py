"""Photos of a dataset that have the same content, byte by byte, as a photo that is about to enter it."""

import contextlib
import filecmp
import os
from collections import defaultdict
from pathlib import Path

from model.curation.places import UNLABELLED, class_names, photos_in


class SamePhotos:
    """Photos of a dataset by their size; a folder is listed when it is first asked about.

    The lock of the dataset must be held: what other processes change meanwhile is not seen.
    """

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset
        self._folders: dict[str, dict[int, list[str]]] = {}

    def find(self, folder: str, content: Path) -> list[str]:
        """Paths, relative to the dataset, of the photos in a folder and below that have the content of a file."""
        candidates = self._by_size(folder).get(content.stat().st_size, ())
        return [photo for photo in candidates if _has_content(self._dataset / photo, content)]

    def find_anywhere(self, content: Path) -> list[str]:
        """As `find`, in all classes and among the unlabelled photos; removed photos do not count."""
        folders = [*class_names(self._dataset), UNLABELLED]
        return [photo for folder in folders for photo in self.find(folder, content)]

    def add(self, folder: str, content: Path) -> None:
        """Count a file that will be moved to a folder: its present path stands for it."""
        self._by_size(folder)[content.stat().st_size].append(os.path.relpath(content, self._dataset))

    def _by_size(self, folder: str) -> dict[int, list[str]]:
        if folder not in self._folders:
            sizes: dict[int, list[str]] = defaultdict(list)
            for photo in photos_in(self._dataset, folder):
                # Another program may have moved it away.
                with contextlib.suppress(FileNotFoundError):
                    sizes[(self._dataset / photo).stat().st_size].append(photo)
            self._folders[folder] = sizes
        return self._folders[folder]


def _has_content(photo: Path, content: Path) -> bool:
    try:
        return filecmp.cmp(photo, content, shallow=False)
    except FileNotFoundError:
        return False
