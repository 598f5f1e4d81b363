"""Who pulls into a folder, and who uses what is in it: no pull changes files that a training still reads.

    CACHE/pulls/HASH.json      what was pulled into the folder, to its end
    CACHE/pulls/HASH.lock      held (`model.locks`) by the pull into the folder
    CACHE/pulls/HASH.uses/ID   one for each that uses its files, held as long as it does; says who it is

A lock, not a pid, tells whether somebody is alive: the system frees it however the process ends. Nobody waits for a
user: a pull that would change something is refused, so that nothing here can wait for itself.
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


def note_of(directory: Path, kind: str) -> Path:
    """Where something is remembered of a folder; in the cache, for the folder is the user's."""
    name = hashlib.sha256(str(directory.absolute()).encode()).hexdigest()[:32]
    return cache_directory() / "pulls" / f"{name}.{kind}"


@contextlib.contextmanager
def only_pull(directory: Path) -> Iterator[None]:
    """Wait until no other process pulls into the folder, and let none do so; warns where that cannot be had."""
    with contextlib.ExitStack() as held:
        try:
            path = note_of(directory, "lock")
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(exclusive(path, _UNGUARDED, message=f"Waiting for another pull into {directory}."))
        except OSError as error:
            warn_unguarded(directory, error, _UNGUARDED)
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
            lock(stream, directory, _UNGUARDED)
        except OSError as error:
            warn_unguarded(directory, error, _UNGUARDED)
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
                lock(stream, path, _UNGUARDED)
            except BlockingIOError:
                return stream.read()  # its file may be gone by now
            _remove(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        warn_unguarded(path.parent, error, _UNGUARDED)
    return None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
