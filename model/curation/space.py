"""Space for photos: the disk, and the limit that the operator sets."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from model.errors import NO_SPACE, StorageError, StorageFullError
from model.reading import with_path

# What the journal, previews and a training need besides.
_RESERVE = 64 * 1024**2


@contextlib.contextmanager
def full_disk(dataset: Path, state: str) -> Iterator[None]:
    """Turn errors of the disk of a dataset into StorageError, which says what to do.

    Args:
        state: sentence without its end about what is on the disk now.

    Raises:
        StorageFullError: no space is left.
        StorageError: files cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFullError(
                f"{dataset.name}: no space is left on the disk of {dataset.parent}. {state}. Free some space, then try "
                "again"
            ).coded("disk_full") from error
        raise StorageError(f"{dataset.name}: the dataset cannot be changed: {with_path(error)}. {state}") from error


def check_space(dataset: Path, size: int, max_bytes: int | None, coming: int = 0) -> None:
    """Check that photos of so many bytes fit on the disk, and into the limit.

    Args:
        max_bytes: maximum size of all datasets of the workspace; None for no limit.
        coming: bytes that uploads have still to receive.

    Raises:
        StorageFullError: they do not.
    """
    free = shutil.disk_usage(dataset).free
    needed = size + coming + _RESERVE
    uploads = f", and unfinished uploads have still to receive {_gigabytes(coming)} GB" if coming else ""
    if needed > free:
        raise StorageFullError(
            f"{dataset.name}: expected {_gigabytes(needed)} GB of free space, found {_gigabytes(free)} GB on the disk "
            f"of {dataset.parent}{uploads}. Free some space, then try again"
        ).coded("disk_small", needed=_gigabytes(needed), free=_gigabytes(free))
    if max_bytes is None:
        return
    used = bytes_below(dataset.parent)
    if used + coming + size > max_bytes:
        raise StorageFullError(
            f"{dataset.name}: the datasets may take {_gigabytes(max_bytes)} GB (TOPGRAFT_STUDIO_MAX_GB), they take "
            f"{_gigabytes(used)} GB, and {_gigabytes(size)} GB are to be added{uploads}. Move datasets away, discard "
            "uploads that are not needed, or ask the operator for a higher limit"
        ).coded("data_full", limit=_gigabytes(max_bytes), used=_gigabytes(used + coming), size=_gigabytes(size))


def bytes_left(dataset: Path, max_bytes: int | None, coming: int = 0) -> int:
    """Bytes that may be added to a dataset; 0 or more. `max_bytes` and `coming` as in `check_space`."""
    left = shutil.disk_usage(dataset).free - _RESERVE
    if max_bytes is not None:
        left = min(left, max_bytes - bytes_below(dataset.parent))
    return max(0, left - coming)


def bytes_below(folder: Path) -> int:
    """Size of all files in a folder and below, in bytes."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    total += bytes_below(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
    return total


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.2f}" if size < 1e10 else f"{size / 1e9:,.0f}"
