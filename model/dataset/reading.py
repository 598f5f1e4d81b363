"""Reading the photos of a dataset from a disk or mount that may be away for a moment.

Only what is wrong with a photo itself may count against it: one that is merely out of reach would otherwise be left
out of the dataset in silence, or be called damaged.
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

# Two minutes: a network mount that is away for one, as while its server starts again, ends nothing.
SECONDS_BETWEEN_TRIES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0)

log = logging.getLogger(__name__)

# Where the rest of the dataset is there, these are about the one file.
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
    """The bytes of a photo; while its disk or mount is away, it is tried again for two minutes.

    Raises:
        ImageTooLargeError: it has more than `model.dataset.images.MAX_BYTES` bytes.
        ImageError: the file is missing or closed to us, while the folder of the dataset is there.
        StorageError: the disk or mount stayed away.
    """
    root = _root(sample)
    for seconds in (0.0, *SECONDS_BETWEEN_TRIES):
        _wait(seconds, root)
        try:
            return read_bytes(sample.path)
        except OSError as error:
            last = error
        if last.errno in _OF_THE_FILE and not is_away(root):
            # Read once more: it may have come back between the two.
            return read_content(sample.path)
    raise _away(root, f"{sample.path}: {last.strerror or last}") from last


def read_sample(sample: Sample, spec: InputSpec | None = None) -> np.ndarray:
    """The pixels of a photo, as `model.dataset.images.read_image` gives them; read as `read_photo` does.

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
    """Return once the folder or file of a dataset is there; tried again for two minutes.

    Raises:
        StorageError: it stayed away.
    """
    for seconds in (0.0, *SECONDS_BETWEEN_TRIES):
        _wait(seconds, source)
        if not is_away(source):
            return
    raise _away(source, "missing or empty")


def is_away(root: Path) -> bool:
    """Whether a folder or file that was there is out of reach; where a mount is gone, an empty folder is left."""
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
        log.warning("%s cannot be read at this moment: trying again in %.0f s", root, seconds)
        time.sleep(seconds)


def _root(sample: Sample) -> Path:
    """The folder of the dataset that a sample is in."""
    parts = PurePosixPath(sample.name).parts
    inside = len(parts) if sample.path.parts[-len(parts) :] == parts else 1
    return sample.path.parents[inside - 1]


def _away(root: Path, received: str) -> StorageError:
    seconds = sum(SECONDS_BETWEEN_TRIES)
    return StorageError(
        f"{root}: expected the dataset to be readable, received for {seconds:.0f} s: {received}. "
        "See to its disk or mount."
    )
