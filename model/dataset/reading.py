"""Reading the photos of a dataset from a disk or mount that may be temporarily unavailable.

A photo is rejected only if the photo itself is damaged. Without the retries here, photos on an unavailable mount would
be left out of the dataset, or reported as damaged.
"""

import errno
import logging
import os
import time
from pathlib import Path, PurePosixPath
from typing import NoReturn

import numpy as np

from model.dataset.images import decode_image, read_bytes, read_content
from model.errors import ImageError, StorageError
from model.results import InputSpec, Sample

# Two minutes in all: long enough for the server of a network mount to restart.
SECONDS_BETWEEN_TRIES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0)

log = logging.getLogger(__name__)

# Errors that concern a single file if the rest of the dataset is available.
_OF_THE_FILE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.ENXIO,
    }
)


def read_photo(sample: Sample) -> bytes:
    """Read the bytes of a photo; retry for two minutes while its disk or mount is unavailable.

    Raises:
        ImageTooLargeError: the file has more than `MAX_CONTENT_BYTES` bytes.
        ImageError: the file is missing or not readable, while the folder of the dataset is available.
        StorageError: the disk or mount stayed unavailable.
    """
    root = _root(sample)
    for seconds in (0.0, *SECONDS_BETWEEN_TRIES):
        _wait(seconds, root)
        try:
            return read_bytes(sample.path)
        except OSError as error:
            last = error
        if last.errno in _OF_THE_FILE and not is_unavailable(root):
            # Read again: the mount may have come back in between.
            return read_content(sample.path)
    raise _unavailable(root, f"{sample.path}: {last.strerror or last}") from last


def read_sample(sample: Sample, spec: InputSpec | None = None) -> np.ndarray:
    """Decode a photo as `model.dataset.images.read_image` does; read as `read_photo` does.

    Raises:
        ImageTooLargeError, ImageError, StorageError: as `read_photo` and `decode_image`.
    """
    try:
        return decode_image(read_photo(sample), spec)
    except ImageError as error:
        raise_with_path(sample, error)


def raise_with_path(sample: Sample, error: ImageError) -> NoReturn:
    """Raise an error of the same class whose message begins with the path of the sample."""
    raise type(error)(f"{sample.path}: {error.message}") from error


def wait_for_dataset(source: Path) -> None:
    """Wait up to two minutes until the folder or file of a dataset is available.

    Raises:
        StorageError: the dataset stayed unavailable.
    """
    for seconds in (0.0, *SECONDS_BETWEEN_TRIES):
        _wait(seconds, source)
        if not is_unavailable(source):
            return
    raise _unavailable(source, "missing or empty")


def is_unavailable(root: Path) -> bool:
    """Whether a folder or file is unavailable; a lost mount leaves an empty folder."""
    try:
        if not root.is_dir():
            root.stat()
            return False
        with os.scandir(root) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def _wait(seconds: float, root: Path) -> None:
    if seconds:
        log.warning("%s cannot be read: retrying in %.0f s", root, seconds)
        time.sleep(seconds)


def _root(sample: Sample) -> Path:
    """Folder of the dataset of a sample."""
    parts = PurePosixPath(sample.name).parts
    inside = len(parts) if sample.path.parts[-len(parts) :] == parts else 1
    return sample.path.parents[inside - 1]


def _unavailable(root: Path, received: str) -> StorageError:
    seconds = sum(SECONDS_BETWEEN_TRIES)
    return StorageError(
        f"{root}: expected the dataset to be readable, received for {seconds:.0f} s: {received}. "
        "Check its disk or mount."
    )
