"""Which files are photos: one rule for datasets, folders to predict and archives.

A photo is a file whose first bytes are those of an image, or whose suffix is that of one: a damaged photo is then
reported instead of missing. Hidden files, and those that systems add on their own, are none. Only regular files are
opened.
"""

from pathlib import Path

from model.dataset.formats import IMAGE_SUFFIXES, SIGNATURE_BYTES, looks_like_image
from model.files.browsing import has_hidden_part, is_hidden


def is_image(path: Path) -> bool:
    """Whether a file is a photo, by its suffix or its first `SIGNATURE_BYTES` bytes."""
    if is_hidden(path.name):
        return False
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        # Opening a named pipe would wait for its writer; a device may act when it is opened.
        if not path.is_file():
            return False
        with open(path, "rb") as stream:
            return looks_like_image(stream.read(SIGNATURE_BYTES))
    except OSError:
        return False


def is_image_member(name: str, content: bytes) -> bool:
    """Whether a member of an archive is a photo, by the same rule.

    Args:
        name: path in the archive, separated by `/`.
        content: the content of the member, or at least its first `SIGNATURE_BYTES` bytes.
    """
    if has_hidden_part(name):
        return False
    return Path(name).suffix.lower() in IMAGE_SUFFIXES or looks_like_image(content[:SIGNATURE_BYTES])
