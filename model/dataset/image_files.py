"""Image files, recognised by their suffix or their first bytes."""

from pathlib import Path

from model.dataset.images import IMAGE_SUFFIXES, looks_like_image
from model.files.browsing import is_hidden


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
