"""Temporary folders and files that a kill leaves behind, and their removal by the next command or service.

The process that uses a temporary folder or file holds its lock, and the system frees that however the process ends.
What has a name of ours and no lock belongs to no living process.
"""

import atexit
import contextlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from model import durable
from model.locks import mark_used
from model.workspace import Workspace

_FOLDER = re.compile(r"topgraft-[a-z]+-[a-z0-9_]{8}")
# TensorFlow writes the code that it generates into files, which it removes at the end of the process.
_GENERATED_CODE = re.compile(r"__autograph_generated_file.+\.py")
_TENSORFLOW = b"tensorflow"
# In the order of `tempfile`.
_TEMPORARY_FOLDER = ("TMPDIR", "TEMP", "TMP")
_ARCHIVE_BEING_WRITTEN = re.compile(r"\..+\.(tar|tar\.xz|sha256)\.[0-9a-f]{32}")


@contextlib.contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A new folder `topgraft-PURPOSE-...` for temporary files, removed at the end of the block.

    Args:
        purpose: lower-case letters.
    """
    path, descriptor = _create(purpose)
    try:
        yield path
    finally:
        _remove(path, descriptor)


class ProcessFolder:
    """A folder for temporary files that this process uses until it ends, created when it is needed first.

    Args:
        purpose: as for `scratch_folder`.
    """

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self._created: tuple[Path, int] | None = None

    def path(self) -> Path:
        """Path of the folder; another one if it was removed, or the folder for temporary files was changed.

        Raises:
            OSError: it cannot be created.
        """
        if self._created is not None:
            path, _ = self._created
            if path.is_dir() and path.parent == Path(tempfile.gettempdir()):
                return path
            self.remove()
        self._created = _create(self._purpose)
        atexit.register(self.remove)
        return self._created[0]

    def remove(self) -> None:
        """Remove the folder, if there is one."""
        atexit.unregister(self.remove)
        if self._created is not None:
            _remove(*self._created)
            self._created = None


def remove_leftovers(workspace: Workspace | None = None) -> None:
    """Remove what killed processes of this user left in the temporary folder, the current folder and a workspace."""
    # Without a folder for temporary files there is nothing to remove.
    with contextlib.suppress(FileNotFoundError):
        temporary = Path(tempfile.gettempdir())
        for path in _entries(temporary):
            if _FOLDER.fullmatch(path.name):
                durable.remove_unused_folder(path)
        _remove_generated_code(temporary)
    for path in _entries(Path.cwd()):
        if _ARCHIVE_BEING_WRITTEN.fullmatch(path.name):
            durable.remove_unused(path)
    if workspace is not None:
        for folder in _folders_written_to(workspace):
            durable.remove_all_leftovers(folder)


def _create(purpose: str) -> tuple[Path, int]:
    """A new folder and its descriptor, which holds its lock."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"topgraft-{purpose}-"))
        # Another process may have found it unlocked, and removed it: before it is opened, or before it is locked.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            mark_used(descriptor)
            if path.exists():
                return path, descriptor
            os.close(descriptor)


def _remove(path: Path, descriptor: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)


def _remove_generated_code(folder: Path) -> None:
    """Remove files of generated code that are older than each process that has loaded TensorFlow and writes here."""
    files = []
    for path in _entries(folder):
        if _GENERATED_CODE.fullmatch(path.name):
            with contextlib.suppress(OSError):
                status = path.lstat()
                files += [(path, status.st_mtime)] * (status.st_uid == os.getuid() and stat.S_ISREG(status.st_mode))
    if files:
        first_start = min(_starts_of_tensorflow_processes(folder), default=time.time())
        for path, modified in files:
            if modified < first_start:
                path.unlink(missing_ok=True)


def _starts_of_tensorflow_processes(temporary: Path) -> Iterator[float]:
    """Start times, in seconds since 1970, of the processes of this user that have loaded TensorFlow.

    Args:
        temporary: the folder for temporary files; processes that use another one are left out.
    """
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if (
                process.uids().real == os.getuid()
                and _TENSORFLOW in Path(f"/proc/{process.pid}/maps").read_bytes()
                and _writes_to(temporary, process.environ())
            ):
                yield process.create_time()


def _writes_to(temporary: Path, environment: Mapping[str, str]) -> bool:
    """Whether a process with this environment has its temporary files in a folder, as far as its environment says."""
    named = next((environment[name] for name in _TEMPORARY_FOLDER if environment.get(name)), "/tmp")  # nosec B108
    return not os.path.isabs(named) or os.path.realpath(named) == os.path.realpath(temporary)


def _folders_written_to(workspace: Workspace) -> Iterator[Path]:
    """Folders of a workspace with files that are replaced through a temporary file."""
    yield workspace.data
    for parent in (workspace.models, workspace.running, workspace.root / "published"):
        yield parent
        yield from (path for path in _entries(parent) if path.is_dir() and not path.is_symlink())


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
