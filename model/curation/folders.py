"""Folders of a dataset and their numbers of photos; only folders that have changed are read again."""

import dataclasses
import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from model.dataset.image_files import is_image
from model.files.browsing import is_hidden

_MAX_KEPT = 20_000
# A folder that changes again within the same tick of the clock has the same time.
_NANOSECONDS_OF_A_TICK = 50_000_000


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder.

    Attributes:
        path: relative to the first folder, `.` for this one.
        modified: time of its last change of entries in nanoseconds.
        photos: number of photos directly in it.
    """

    path: str
    modified: int
    photos: int


def walk_folders(first: Path) -> Iterator[Folder]:
    """A folder and those below, without hidden ones; nothing for one that cannot be read."""
    yield from _walk(first, ".", frozenset())


def _walk(folder: Path, name: str, parents: frozenset[tuple[int, int]]) -> Iterator[Folder]:
    """Walk a folder; `parents` are device and inode of those above it, to which a link may lead back."""
    try:
        status = folder.stat()
        identity, modified = (status.st_dev, status.st_ino), status.st_mtime_ns
        if identity in parents:
            return
        read = _read if abs(time.time_ns() - modified) < _NANOSECONDS_OF_A_TICK else _read_before
        photos, names = read(folder, modified)
    except OSError:
        return
    yield Folder(name, modified, photos)
    for below in names:
        yield from _walk(folder / below, f"{name}/{below}", parents | {identity})


def _read(folder: Path, _modified: int) -> tuple[int, tuple[str, ...]]:
    """Number of photos in a folder, and its subfolders."""
    photos, folders = 0, []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                folders.append(entry.name)
            else:
                photos += is_image(Path(entry.path))
    return photos, tuple(sorted(folders))


_read_before = functools.lru_cache(_MAX_KEPT)(_read)
