"""File locks between the processes of a machine, and a fallback for file systems without locks.

A lock is held as long as its file is open; the system releases it when the process ends, for any reason. On file
systems without locks (NFS without lockd, Lustre mounted without flock) a warning, once per folder, states what is not
guaranteed.
"""

import contextlib
import errno
import fcntl
import logging
import math
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from model.processes import Process

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_SECONDS_BETWEEN_TRIES = 0.01
_SECONDS_UNTIL_UNUSED = 24 * 3600.0

log = logging.getLogger(__name__)
_warned: set[tuple[Path, str]] = set()


class _UnsupportedError(OSError):
    """The file system has no locks."""


class FileLock:
    """Exclusive lock of a file, held until it is closed or the process ends, and by children that inherit it.

    On file systems without locks, the file contains the process ID and start time of each process that holds it; see
    `is_held`.
    """

    def __init__(self, path: Path, descriptor: int, is_supported: bool) -> None:
        self._path, self._descriptor, self._is_supported = path, descriptor, is_supported

    @classmethod
    def take(cls, path: Path, unguarded: str, seconds: float = 0.0) -> "FileLock":
        """Open and lock a file, which is created if it does not exist.

        Args:
            path: the lock file.
            unguarded: sentence for the warning that states what is not guaranteed without locks.
            seconds: maximum time to wait for another process that holds the lock.

        Raises:
            BlockingIOError: another process holds the lock.
            OSError: the file cannot be opened.
        """
        descriptor = _open(path)
        try:
            is_supported = lock(descriptor, path, unguarded, seconds)
            if not is_supported:
                if _holders(path):
                    raise BlockingIOError(errno.EWOULDBLOCK, "held by another process", str(path))
                _add_holder(path)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, is_supported)

    @classmethod
    def inherit(cls, path: Path, descriptor: int) -> "FileLock":
        """Lock inherited from the parent process as an open file descriptor; both now hold it."""
        os.set_inheritable(descriptor, False)
        try:
            # Of the same open file the lock is already held.
            _flock(descriptor, fcntl.LOCK_EX)
        except _UnsupportedError:
            _add_holder(path)
            return cls(path, descriptor, is_supported=False)
        return cls(path, descriptor, is_supported=True)

    def fileno(self) -> int:
        """File descriptor; -1 after `close`."""
        return self._descriptor

    def close(self) -> None:
        """Release the lock, unless a child still holds it."""
        if self._descriptor >= 0:
            if not self._is_supported:
                _remove_holder(self._path)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


@contextlib.contextmanager
def exclusive(path: Path, unguarded: str, wait: float = math.inf, message: str = "") -> Iterator[None]:
    """Hold the exclusive lock of a file or folder inside the block.

    Args:
        path: a folder, or a file, which is created if it does not exist.
        unguarded: as in `FileLock.take`.
        wait: maximum time in seconds to wait for another process that holds the lock.
        message: logged before waiting.

    Raises:
        BlockingIOError: another process still holds the lock.
        OSError: the file cannot be opened.
    """
    descriptor = _open(path)
    try:
        try:
            lock(descriptor, path, unguarded)
        except BlockingIOError:
            if message and wait > 0:
                log.warning("%s", message)
            lock(descriptor, path, unguarded, wait)
        yield
    finally:
        os.close(descriptor)


def lock(file: int | IO[Any], path: Path, unguarded: str, seconds: float = 0.0) -> bool:
    """Lock an open file or folder; return False, with a warning, if the file system has no locks.

    Args:
        path: path of the file, for the warning.
        unguarded, seconds: as in `FileLock.take`.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            _flock(file, fcntl.LOCK_EX | (0 if seconds == math.inf else fcntl.LOCK_NB))
            return True
        except _UnsupportedError as error:
            warn_unguarded(path if path.is_dir() else path.parent, error.strerror, unguarded)
            return False
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_SECONDS_BETWEEN_TRIES)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file; on file systems without locks, by the process IDs in the file."""
    try:
        with open(path, "rb") as stream:
            _flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except _UnsupportedError:
        return bool(_holders(path))
    except OSError:
        return False
    return False


def warn_unguarded(folder: Path, reason: object, unguarded: str) -> None:
    """Log, once per folder, that the folder cannot be locked and what is not guaranteed."""
    if (folder, unguarded) not in _warned:
        _warned.add((folder, unguarded))
        log.warning("%s: cannot be locked (%s); continuing without a lock. %s", folder, reason, unguarded)


def mark_used(file: int | IO[Any]) -> None:
    """Hold the lock of an open temporary file or folder, until it is closed; see `is_unused`."""
    # A file system without locks.
    with contextlib.suppress(OSError):
        _flock(file, fcntl.LOCK_EX)


def is_unused(descriptor: int, modified: float) -> bool:
    """Whether no other process holds the lock of an open temporary file or folder; this process then holds it.

    On a file system without locks, a file that was not modified for a day counts as unused.

    Args:
        modified: time of the last modification, in seconds since 1970.
    """
    try:
        _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - modified > _SECONDS_UNTIL_UNUSED
    return True


def _open(path: Path) -> int:
    if path.is_dir():
        return os.open(path, os.O_RDONLY)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _flock(file: int | IO[Any], operation: int) -> None:
    """Lock as `fcntl.flock` does.

    Raises:
        BlockingIOError: another process holds the lock.
        _UnsupportedError: the file system has no locks, or none for folders, as NFS.
    """
    try:
        fcntl.flock(file, operation)
    except OSError as error:
        is_folder = stat.S_ISDIR(os.fstat(file if isinstance(file, int) else file.fileno()).st_mode)
        if error.errno in _UNSUPPORTED or (error.errno == errno.EBADF and is_folder):
            raise _UnsupportedError(error.errno, error.strerror) from error
        raise


def _holders(path: Path) -> list[Process]:
    """Running processes that are written in a lock file; those of other machines count as ended."""
    written = []
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        with contextlib.suppress(ValueError):
            pid, start = map(int, line.split())
            written.append(Process(pid, start))
    return [process for process in written if process.is_alive()]


def _add_holder(path: Path) -> None:
    process = Process.from_pid(os.getpid())
    with open(path, "a", encoding="ascii") as stream:
        stream.write(f"{process.pid} {process.start}\n")


def _remove_holder(path: Path) -> None:
    others = [process for process in _holders(path) if process.pid != os.getpid()]
    # The folder of the file may be gone.
    with contextlib.suppress(OSError):
        path.write_text("".join(f"{process.pid} {process.start}\n" for process in others), encoding="ascii")
