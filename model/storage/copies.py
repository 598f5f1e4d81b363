"""Arguments of commands that may be `remote:path`: a copy here to work on, and a file there at the end."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import StorageNotFoundError
from model.results import Progress, no_progress
from model.storage.opening import open_storage
from model.storage.places import is_remote, parse_place
from model.storage.pulling import is_whole, pull
from model.workspace import Workspace, cache_directory


def dataset_folder(
    workspace: Workspace, dataset: str, progress: Progress = no_progress, may_be_old: bool = False
) -> Path:
    """The folder or archive that the option `dataset` means; one in a storage is fetched, as far as it has changed.

    Args:
        may_be_old: take the copy that is here, where a whole one is, without asking the storage: for a training that
            goes on with what it began with.

    Raises:
        StorageError, ArchiveError: as `model.storage.pulling.pull`.
    """
    if not is_remote(dataset):
        return workspace.find_dataset(dataset)
    folder = kept_copy(dataset)
    if not (may_be_old and is_whole(folder)):
        pull(dataset, folder, progress, mirror=True)
    return folder


def kept_copy(where: str) -> Path:
    """Where the copy of `remote:path` is kept, in the cache: it may be deleted at any time."""
    place = parse_place(where)
    return cache_directory() / "storage" / hashlib.sha256(str(place).encode()).hexdigest()[:16] / place.name


@contextmanager
def local_file(where: str, progress: Progress = no_progress) -> Iterator[Path]:
    """The path of a file, or folder, to read: a local one as it is, one in a storage as a copy for as long as needed.

    Raises:
        StorageError: it could not be fetched.
    """
    if not is_remote(where):
        yield Path(where)
        return
    with tempfile.TemporaryDirectory(prefix="topgraft-fetched-") as directory:
        target = Path(directory) / parse_place(where).name
        storage = open_storage(where)
        if not storage.exists():
            raise StorageNotFoundError(f"{where}: expected a file, found nothing there (404). See to the path.")
        storage.fetch("", target, progress)
        yield target


@contextmanager
def output_file(where: Path | None, progress: Progress = no_progress) -> Iterator[Path | None]:
    """A local path to write a file to; one named `remote:path` is pushed when the block ends without an error.

    It stays in the cache until it is there, so that what was begun can be gone on with.

    Raises:
        StorageError: it could not be pushed; the message says where the file is.
    """
    if where is None or not is_remote(str(where)):
        yield where
        return
    storage = open_storage(str(where))
    local = kept_copy(str(where))
    local.parent.mkdir(parents=True, exist_ok=True)
    yield local
    if local.is_file():
        storage.push(local, "", progress)
        local.unlink()
