"""Which files of a folder are images, by the ending of their name or by their first bytes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from model.dataset.images import IMAGE_SUFFIXES, looks_like_image
from model.files.browsing import is_hidden


def pictures_below(folder: Path, root: Path) -> tuple[list[str], list[str]]:
    """The names, from `root`, of the pictures in a folder and below, and of its other files; both sorted."""
    pictures: list[str] = []
    others: list[str] = []
    for path in _walk(folder):
        (pictures if is_picture(path) else others).append(path.relative_to(root).as_posix())
    return sorted(pictures), sorted(others)


def is_picture(path: Path) -> bool:
    """Whether a file is meant to be a picture, by the ending of its name or by how it begins."""
    if is_hidden(path.name):
        return False
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with open(path, "rb") as stream:
            return looks_like_image(stream.read(16))
    except OSError:
        return False


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for directory, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        # A link may lead back to a folder above it.
        real = os.path.realpath(directory)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (Path(directory, name) for name in files)


def _raise(error: OSError) -> NoReturn:
    """For `os.walk`, which otherwise passes over a folder that it cannot read."""
    raise error
