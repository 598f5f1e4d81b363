"""Command arguments that may be `remote:path`: local copies of inputs, and upload of outputs."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from model.errors import StorageError, StorageNotFoundError
from model.results import Progress, no_progress
from model.scratch import scratch_folder
from model.storage import open_storage
from model.storage.places import is_remote, parse_place
from model.storage.pulling import pulled_copy
from model.workspace import Workspace, cache_directory

_BEGINNING_BYTES = 1 << 16


@contextmanager
def dataset_folder(
    workspace: Workspace, dataset: str, user: str, progress: Progress = no_progress, may_be_old: bool = False
) -> Iterator[Path]:
    """The folder or archive that the option `dataset` names; for `remote:path` a local copy, updated first.

    No other command changes the copy while the block runs. The lock ends with the process, also if it is killed.

    Args:
        user: reader of the copy, such as "the training pets", for messages of other processes.
        may_be_old: use a complete local copy without asking the remote, as a resumed training must.

    Raises:
        StorageBusyError: the remote has changed, and another process reads the copy; the message names it.
        StorageError, ArchiveError: as `model.storage.pulling.pull`.
    """
    if not is_remote(dataset):
        yield workspace.find_dataset(dataset)
        return
    folder = cached_copy_path(dataset)
    with pulled_copy(dataset, folder, user, progress, may_be_old):
        yield folder


def cached_copy_path(where: str) -> Path:
    """Path of the copy of `remote:path` in the cache, which may be deleted at any time."""
    place = parse_place(where)
    return cache_directory() / "storage" / hashlib.sha256(str(place).encode()).hexdigest()[:16] / place.name


@dataclasses.dataclass(frozen=True)
class Paths:
    """Local paths to read from, and their names in messages: copies are named `remote:path`.

    Attributes:
        paths: files and folders.
        copies: path of a copy -> `remote:path`.
    """

    paths: tuple[Path, ...]
    copies: dict[Path, str]

    def name_of(self, path: Path) -> str:
        """Name of a file that is, or is below, one of the paths."""
        for root, remote in self.copies.items():
            if path == root:
                return remote
            if path.is_relative_to(root):
                return f"{remote.rstrip('/')}/{path.relative_to(root).as_posix()}"
        return str(path)


@contextmanager
def local_paths(named: Sequence[str], user: str, progress: Progress = no_progress) -> Iterator[Paths]:
    """Local paths of files and folders; for `remote:path` local copies, updated first, with archives unpacked.

    No other command changes these copies while the block runs.

    Args:
        user: reader of the copies, for messages of other processes.

    Raises:
        StorageError, ArchiveError: as `dataset_folder`.
    """
    paths: list[Path] = []
    copies: dict[Path, str] = {}
    with ExitStack() as held:
        for name in named:
            if is_remote(name):
                copy = cached_copy_path(name)
                pulled = held.enter_context(pulled_copy(name, copy, user, progress))
                is_plain_file = pulled is not None and pulled.way == "file"
                paths.append(copy / copy.name if is_plain_file else copy)
                copies[paths[-1]] = name
            else:
                paths.append(Path(name))
        yield Paths(tuple(paths), copies)


@contextmanager
def local_file(
    where: str,
    progress: Progress = no_progress,
    sibling_suffixes: Sequence[str] = (),
    check_beginning: Callable[[bytes], object] | None = None,
) -> Iterator[Path]:
    """Local path of a file or folder; for `remote:path` a copy that exists while the block runs.

    Args:
        sibling_suffixes: suffixes of sibling files that are fetched, too, if they exist, such as `.sha256`.
        check_beginning: called with the first bytes of a remote file before it is fetched.

    Raises:
        StorageError: the download failed.
    """
    if not is_remote(where):
        yield Path(where)
        return
    with scratch_folder("fetched") as directory:
        target = directory / parse_place(where).name
        storage = open_storage(where)
        entry = storage.entry()
        if entry is None:
            raise StorageNotFoundError(f"{where}: expected a file, found nothing (404). Check the path.")
        if check_beginning is not None and not entry.is_folder:
            check_beginning(storage.beginning("", _BEGINNING_BYTES))
        for suffix in sibling_suffixes if not entry.is_folder else ():
            sibling = open_storage(f"{where}{suffix}")
            if sibling.exists():
                sibling.fetch("", target.with_name(target.name + suffix))
        storage.fetch("", target, progress, entry)
        yield target


@contextmanager
def output_file(where: Path, progress: Progress = no_progress, may_be_missing: bool = False) -> Iterator[Path]:
    """Local path to write a file to; for `remote:path` the file is uploaded when the block ends without an error.

    Until it is uploaded the file is kept in the cache, so that interrupted work can be resumed.

    Args:
        may_be_missing: without a file written, remove a former one at `remote:path`.

    Raises:
        StorageError: the upload failed; the message names the local file.
    """
    if not is_remote(str(where)):
        yield where
        return
    storage = open_storage(str(where))
    # Before the work, which may take hours.
    storage.require_space(0)
    local = cached_copy_path(str(where))
    local.parent.mkdir(parents=True, exist_ok=True)
    yield local
    if local.is_file():
        try:
            storage.push(local, "", progress)
        except StorageError as error:
            raise type(error)(f"{error.message} The file is kept in {local}.") from error
        local.unlink()
    elif may_be_missing:
        storage.remove("")


@contextmanager
def output_folder(where: Path, progress: Progress = no_progress) -> Iterator[Path]:
    """Local folder to write files to; for `remote:path` its files are uploaded when the block ends without an error.

    A local folder is created with its parents; a remote one is not created if nothing was written.

    Raises:
        StorageError: the folder cannot be created, or the upload failed.
    """
    if not is_remote(str(where)):
        try:
            is_new = not where.exists()
            where.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise StorageError(f"{where}: expected a folder, found a file. Choose another folder.") from error
        except OSError as error:
            raise StorageError(
                f"{where}: expected a folder that can be created, received: {error.strerror}. Choose another folder."
            ) from error
        if not os.access(where, os.W_OK):
            raise StorageError(f"{where}: expected a folder that can be written to. Choose another folder.")
        try:
            yield where
        finally:
            if is_new and not any(where.iterdir()):
                where.rmdir()
        return
    storage = open_storage(str(where))
    # Before the work, which may take hours.
    storage.require_space(0)
    with scratch_folder("written") as directory:
        yield directory
        for path in sorted(directory.iterdir()):
            storage.push(path, path.name, progress)
