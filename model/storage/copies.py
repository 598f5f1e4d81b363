"""Arguments of commands that may be `remote:path`: a copy here to work on, and a file there at the end."""

import dataclasses
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from model.errors import StorageError, StorageNotFoundError
from model.results import Progress, no_progress
from model.storage import open_storage
from model.storage.places import is_remote, parse_place
from model.storage.pulling import pulled_copy
from model.workspace import Workspace, cache_directory


@contextmanager
def dataset_folder(
    workspace: Workspace, dataset: str, user: str, progress: Progress = no_progress, may_be_old: bool = False
) -> Iterator[Path]:
    """The folder or archive that the option `dataset` means; one in a storage is fetched, as far as it has changed.

    As long as the block lasts no other command changes the copy of one in a storage; a process that is killed ends it.

    Args:
        user: who reads it, such as "the training pets", for messages to others.
        may_be_old: take the copy that is here, where a whole one is, without asking the storage: for a training that
            goes on with what it began with.

    Raises:
        StorageBusyError: it has changed in the storage, and somebody else reads the copy; the message says who.
        StorageError, ArchiveError: as `model.storage.pulling.pull`.
    """
    if not is_remote(dataset):
        yield workspace.find_dataset(dataset)
        return
    folder = kept_copy(dataset)
    with pulled_copy(dataset, folder, user, progress, may_be_old):
        yield folder


def kept_copy(where: str) -> Path:
    """Where the copy of `remote:path` is kept, in the cache: it may be deleted at any time."""
    place = parse_place(where)
    return cache_directory() / "storage" / hashlib.sha256(str(place).encode()).hexdigest()[:16] / place.name


@dataclasses.dataclass(frozen=True)
class Paths:
    """Paths to read from, and what they are called: local ones as they are, copies as `remote:path`."""

    paths: tuple[Path, ...]
    copies: dict[Path, str]

    def name_of(self, path: Path) -> str:
        """What a file at, or below, one of the paths is called."""
        for root, remote in self.copies.items():
            if path == root:
                return remote
            if path.is_relative_to(root):
                return f"{remote.rstrip('/')}/{path.relative_to(root).as_posix()}"
        return str(path)


@contextmanager
def local_paths(named: Sequence[str], user: str, progress: Progress = no_progress) -> Iterator[Paths]:
    """The files and folders named, those in storages as copies, as far as they have changed; archives unpacked.

    As long as the block lasts no other command changes these copies.

    Args:
        user: who reads them, for messages to others.

    Raises:
        StorageError, ArchiveError: as `dataset_folder`.
    """
    paths: list[Path] = []
    copies: dict[Path, str] = {}
    with ExitStack() as held:
        for name in named:
            if is_remote(name):
                copy = kept_copy(name)
                pulled = held.enter_context(pulled_copy(name, copy, user, progress))
                is_plain_file = pulled is not None and pulled.way == "file"
                paths.append(copy / copy.name if is_plain_file else copy)
                copies[paths[-1]] = name
            else:
                paths.append(Path(name))
        yield Paths(tuple(paths), copies)


@contextmanager
def local_file(where: str, progress: Progress = no_progress, beside: Sequence[str] = ()) -> Iterator[Path]:
    """The path of a file, or folder, to read: a local one as it is, one in a storage as a copy for as long as needed.

    Args:
        beside: what the names of files end in that are fetched too, where there are such, such as `.sha256`.

    Raises:
        StorageError: it could not be fetched.
    """
    if not is_remote(where):
        yield Path(where)
        return
    with tempfile.TemporaryDirectory(prefix="topgraft-fetched-") as directory:
        target = Path(directory) / parse_place(where).name
        storage = open_storage(where)
        entry = storage.entry()
        if entry is None:
            raise StorageNotFoundError(f"{where}: expected a file, found nothing there (404). See to the path.")
        for suffix in beside if not entry.is_folder else ():
            other = open_storage(f"{where}{suffix}")
            if other.exists():
                other.fetch("", target.with_name(target.name + suffix))
        storage.fetch("", target, progress, entry)
        yield target


@contextmanager
def output_file(where: Path, progress: Progress = no_progress) -> Iterator[Path]:
    """A local path to write a file to; one named `remote:path` is pushed when the block ends without an error.

    It stays in the cache until it is there, so that what was begun can be gone on with.

    Raises:
        StorageError: it could not be pushed; the message says where the file is.
    """
    if not is_remote(str(where)):
        yield where
        return
    storage = open_storage(str(where))
    local = kept_copy(str(where))
    local.parent.mkdir(parents=True, exist_ok=True)
    yield local
    if local.is_file():
        try:
            storage.push(local, "", progress)
        except StorageError as error:
            raise type(error)(f"{error.message} What was written is in {local}.") from error
        local.unlink()
