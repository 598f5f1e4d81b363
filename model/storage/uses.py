"""Who pulls into a folder, and who uses what is in it: no pull changes files that a training still reads.

    CACHE/pulls/HASH.json      what was pulled into the folder, to its end
    CACHE/pulls/HASH.lock      held (flock) by the pull into the folder
    CACHE/pulls/HASH.uses/ID   one for each that uses its files, held as long as it does; says who it is

A lock, not a pid, tells whether somebody is alive: the system frees it however the process ends. Nobody waits for a
user: a pull that would change something is refused, so that nothing here can wait for itself.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from model.errors import StorageBusyError
from model.workspace import cache_directory

log = logging.getLogger(__name__)


def note_of(directory: Path, kind: str) -> Path:
    """Where something is remembered of a folder; in the cache, for the folder is the user's."""
    name = hashlib.sha256(str(directory.absolute()).encode()).hexdigest()[:32]
    return cache_directory() / "pulls" / f"{name}.{kind}"


@contextlib.contextmanager
def only_pull(directory: Path) -> Iterator[None]:
    """Wait until no other process pulls into the folder, and let none do so; warns where that cannot be had."""
    with contextlib.ExitStack() as held:
        try:
            lock = note_of(directory, "lock")
            lock.parent.mkdir(parents=True, exist_ok=True)
            stream = held.enter_context(open(lock, "w"))
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.warning("Waiting for another pull into %s.", directory)
                fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError as error:
            _warn(directory, error)
        yield


@contextlib.contextmanager
def in_use(directory: Path, user: str) -> Iterator[None]:
    """Let no pull change the files of the folder; to be begun inside `only_pull`. Warns where that cannot be had.

    Args:
        user: who uses it, such as "the training pets", for messages to others.
    """
    with contextlib.ExitStack() as held:
        try:
            uses = note_of(directory, "uses")
            uses.mkdir(parents=True, exist_ok=True)
            path = uses / uuid.uuid4().hex
            stream = held.enter_context(open(path, "x", encoding="utf-8"))
            held.callback(_remove, path)
            stream.write(f"{user} (process {os.getpid()} on {socket.gethostname()})")
            stream.flush()
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            _warn(directory, error)
        yield


def require_unused(directory: Path, source: str) -> None:
    """See, inside `only_pull`, that nobody uses the folder, before something in it is changed.

    Raises:
        StorageBusyError: somebody does; the message says who.
    """
    users = [user for path in note_of(directory, "uses").glob("*") if (user := _user(path)) is not None]
    if users:
        raise StorageBusyError(
            f"{source}: it has changed, and its copy in {directory} is in use by {', '.join(users)}, so it was left "
            "as it is. Wait for the end of that; or fetch it into a folder of your own by `topgraft pull`, and name "
            "that folder."
        )


def _user(path: Path) -> str | None:
    """Who holds this; None where nobody does any more: it is removed."""
    try:
        with open(path, "r+", encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return stream.read()  # its file may be gone by now
            _remove(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn(path, error)
    return None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _warn(path: Path, error: OSError) -> None:
    log.warning(
        "%s: cannot be locked (%s): going on without. Do not pull into it while something else uses it.", path, error
    )
