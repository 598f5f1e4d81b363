"""Replacing a whole folder at once: a reader, also after a kill, finds the former content or the new one."""

import contextlib
import ctypes
import errno
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from model import durable
from model.errors import DatasetError
from model.files.browsing import describe_content, is_made_by_system, name_some
from model.files.checksums import file_sha256
from model.locks import mark_used

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# File systems, and kernels before 3.15, that cannot exchange two names.
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP)
_NEW, _FORMER = "new", "former"
_STAGING = re.compile(r"\.(?P<name>.+)\.replacing-(?P<pid>\d+)")


@contextlib.contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Fill a new folder in the block; it then takes the place of `target`. If the block fails, nothing changes.

    What killed processes left next to `target` is removed first, or put back if it is the only copy of the folder.

    Args:
        target: the folder to replace; it may be missing, its parent is created.

    Raises:
        OSError: a folder cannot be created, or renamed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _clean_up(target)
    staging = target.with_name(f".{target.name}.replacing-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / _NEW).mkdir(parents=True)
    descriptor = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
    try:
        mark_used(descriptor)
        yield staging / _NEW
        durable.sync_tree(staging / _NEW)
        _put(staging, target)
    finally:
        # A failure between two renames leaves the only copy here.
        if target.exists() or not (staging / _FORMER).exists():
            shutil.rmtree(staging, ignore_errors=True)
        os.close(descriptor)


def check_replaceable(directory: Path, record: str, command: str, advice: str = "Name another") -> bool:
    """Check that a folder may be replaced: it is missing or empty, or holds a former result of a command.

    Args:
        record: file in the folder by which the result is known.
        command: the command that writes it, for the message.
        advice: what to do if the folder holds something else.

    Returns:
        whether it holds a former result.

    Raises:
        DatasetError: it holds something else, which would be deleted.
    """
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return False
    if not (directory / record).is_file():
        found = describe_content(directory) if directory.is_dir() else "a file"
        raise DatasetError(f"{directory}: expected a new folder, or one written by {command}, found {found}. {advice}")
    return True


def file_checksums(folder: Path) -> dict[str, str]:
    """Path with `/` -> SHA-256 of each file in a folder; a record of them is what `check_own_files` needs."""
    return {name: file_sha256(folder / name) for name in sorted(_entries(folder)) if not name.endswith("/")}


def check_own_files(directory: Path, written: Mapping[str, str], record: str) -> None:
    """Check that replacing a folder loses nothing of the user: it has only files that its command wrote, unchanged.

    Files that are missing, hard links to other files, and what systems add on their own are accepted.

    Args:
        written: path with `/` -> SHA-256 of each file as it was written; an empty one if it is not known.
        record: file of the record, which is not in `written`.

    Raises:
        DatasetError: the folder has other files, or changed ones; the message names them.
    """
    entries = sorted(name for name in _entries(directory) if name != record)
    others = [name for name in entries if name not in written]
    changed = [name for name in entries if written.get(name) and _is_changed(directory / name, written[name])]
    if others:
        raise DatasetError(
            f"{directory}: expected the files of a former run, which are replaced, found others too: "
            f"{name_some(others)}. Move them to another folder"
        )
    if changed:
        raise DatasetError(
            f"{directory}: expected the files of a former run, which are replaced, found some that were changed since: "
            f"{name_some(changed)}. Move them to another folder to keep the changes, or delete them"
        )


def _is_changed(path: Path, sha256: str) -> bool:
    if path.is_symlink():
        return True
    # The content of a hard link is kept under its other names.
    return path.stat().st_nlink == 1 and file_sha256(path) != sha256


def _entries(folder: Path) -> Iterator[str]:
    """Paths of all files with `/`, and with a final `/` of links to folders and of hidden folders."""
    for parent, names, files in os.walk(folder):
        start = Path(parent).relative_to(folder)
        for name in list(names):
            is_opaque = name.startswith(".") or os.path.islink(os.path.join(parent, name))
            if is_opaque or is_made_by_system(name):
                names.remove(name)
            if is_opaque and not is_made_by_system(name):
                yield f"{(start / name).as_posix()}/"
        yield from ((start / name).as_posix() for name in files if not is_made_by_system(name))


def _put(staging: Path, target: Path) -> None:
    if not target.exists():
        os.rename(staging / _NEW, target)
    elif not _exchanged(staging / _NEW, target):
        os.rename(target, staging / _FORMER)
        os.rename(staging / _NEW, target)
    durable.sync_directory(target.parent)


def _exchanged(first: Path, second: Path) -> bool:
    """Exchange two names at once; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(second))


def _clean_up(target: Path) -> None:
    """Remove the folders of killed processes; a former folder without a successor is put back."""

    def put_back(path: Path) -> None:
        if not target.exists() and (path / _FORMER).is_dir():
            os.rename(path / _FORMER, target)

    for path in list(target.parent.iterdir()):
        found = _STAGING.fullmatch(path.name)
        if found is not None and found["name"] == target.name:
            durable.remove_unused_folder(path, put_back, any_owner=True)
