"""Image files of a folder, recognised by their suffix or their first bytes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from model.dataset.images import IMAGE_SUFFIXES, looks_like_image
from model.files.browsing import is_hidden


def images_below(folder: Path, root: Path) -> tuple[list[str], list[str]]:
    """Images and other files in a folder and its subfolders, as sorted paths relative to `root`."""
    images: list[str] = []
    others: list[str] = []
    for path in _walk(folder):
        (images if is_image(path) else others).append(path.relative_to(root).as_posix())
    return sorted(images), sorted(others)


def is_image(path: Path) -> bool:
    """Whether a file is an image by its suffix or by its first bytes."""
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
    """Error handler for `os.walk`, which otherwise skips a folder that cannot be read."""
    raise error
