"""Locks of pulled folders: no pull changes files that a training still reads.

    CACHE/pulls/HASH.json      record of the last complete pull into the folder
    CACHE/pulls/HASH.lock      locked (`model.locks`) by the pull into the folder
    CACHE/pulls/HASH.uses/ID   one for each user of the files, locked while it runs; contains its name

A lock, not a pid, shows whether a user is alive: the system frees it however the process ends. A pull that would change
files in use is refused rather than delayed, so no process can wait for itself.
"""

import contextlib
import hashlib
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from model.errors import StorageBusyError
from model.locks import exclusive, lock, warn_unguarded
from model.workspace import cache_directory

_UNGUARDED = "Do not pull into it while something else uses it."


def note_path(directory: Path, kind: str) -> Path:
    """Path in the cache for information on a folder; nothing is written into the folder itself."""
    name = hashlib.sha256(str(directory.absolute()).encode()).hexdigest()[:32]
    return cache_directory() / "pulls" / f"{name}.{kind}"


@contextlib.contextmanager
def only_pull(directory: Path) -> Iterator[None]:
    """Lock a folder against other pulls, after waiting for one that runs; warns if it cannot be locked."""
    with contextlib.ExitStack() as held:
        try:
            path = note_path(directory, "lock")
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(exclusive(path, _UNGUARDED, message=f"Waiting for another pull into {directory}."))
        except OSError as error:
            warn_unguarded(directory, error, _UNGUARDED)
        yield


@contextlib.contextmanager
def in_use(directory: Path, user: str) -> Iterator[None]:
    """Lock the files of a folder against changes by pulls; must be entered inside `only_pull`. Warns if it cannot.

    Args:
        user: user of the files, such as "the training pets", for messages of other processes.
    """
    with contextlib.ExitStack() as held:
        try:
            uses = note_path(directory, "uses")
            uses.mkdir(parents=True, exist_ok=True)
            path = uses / uuid.uuid4().hex
            stream = held.enter_context(open(path, "x", encoding="utf-8"))
            held.callback(_remove, path)
            stream.write(f"{user} (process {os.getpid()} on {socket.gethostname()})")
            stream.flush()
            lock(stream, directory, _UNGUARDED)
        except OSError as error:
            warn_unguarded(directory, error, _UNGUARDED)
        yield


def require_unused(directory: Path, source: str) -> None:
    """Check, inside `only_pull`, that no process uses the folder, before its files are changed.

    Raises:
        StorageBusyError: a process uses it; the message names it.
    """
    users = [user for path in note_path(directory, "uses").glob("*") if (user := _user(path)) is not None]
    if users:
        raise StorageBusyError(
            f"{source}: it has changed, and its copy in {directory} is in use by {', '.join(users)}, so the copy was "
            "not updated. Wait until that has ended, or pull it into another folder with `topgraft pull` and use that."
        )


def _user(path: Path) -> str | None:
    """Name of the user that holds this lock file; None if it has ended, and then the file is removed."""
    try:
        with open(path, "r+", encoding="utf-8") as stream:
            try:
                lock(stream, path, _UNGUARDED)
            except BlockingIOError:
                return stream.read()  # the file itself may be gone by now
            _remove(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        warn_unguarded(path.parent, error, _UNGUARDED)
    return None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
