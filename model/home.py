"""The home folder of the user, and private folders of temporary files where there is none that can be written to.

Containers often run as a user ID without a name, whose home folder is unknown, `/`, or on a read-only file system.
"""

import contextlib
import functools
import logging
import os
import stat
import tempfile
from pathlib import Path

from model.environment import KERAS_HOME
from model.environment_variable import Variable, unset_if_empty
from model.errors import ConfigError
from model.reading import with_path

log = logging.getLogger(__name__)

_PRIVATE = "topgraft-home-"


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Replace `~` and `~USER` at the start of a path.

    Raises:
        ConfigError: the home folder is unknown.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{os.fspath(path)}: the home folder is unknown. Set the variable HOME, or use an absolute path."
        ) from error


def prepare_home() -> None:
    """Unset HOME if it is empty; set it to a private temporary folder if the user has no home folder.

    Libraries would otherwise write to a folder named `~` in the current folder.
    """
    unset_if_empty("HOME")
    try:
        Path.home()
    except RuntimeError:
        with contextlib.suppress(OSError):
            os.environ["HOME"] = str(_private_folder())


def folder_in_home(variable: Variable[Path]) -> Path:
    """Folder that a variable names; if it is not set and its default cannot be written to, a private temporary folder.

    Raises:
        ConfigError: the variable names a home folder that is unknown.
    """
    if variable.is_set:
        return expand_home(variable.read())
    try:
        folder = variable.default.expanduser()
    except RuntimeError:
        return _replacement(variable, variable.default)
    return folder if folder.is_absolute() and is_writable(folder) else _replacement(variable, folder)


def prepare_keras() -> None:
    """Set the variable KERAS_HOME before Keras is imported, which otherwise uses a folder that others can write to."""
    if not KERAS_HOME.is_set:
        os.environ[KERAS_HOME.name] = str(folder_in_home(KERAS_HOME))


def nearest_existing(path: Path) -> Path:
    """A path if it exists, else the nearest folder above it that does."""
    return next(found for found in (path, *path.absolute().parents) if found.exists())


def is_writable(folder: Path) -> bool:
    """Whether files can be created in a folder, or in the nearest existing one above it."""
    existing = nearest_existing(folder)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def is_temporary(folder: Path) -> bool:
    """Whether a folder is in the private temporary folder of this user."""
    return any(parent.name.startswith(_PRIVATE) for parent in folder.parents)


@functools.cache
def _replacement(variable: Variable[Path], folder: Path) -> Path:
    try:
        replacement = _private_folder() / variable.name.lower()
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written to, and there is no temporary folder: {with_path(error)}. "
            f"Set {variable.name} to a folder that can be written to, and TMPDIR for temporary files."
        ) from error
    log.warning(
        "%s cannot be written to; %s is used, and may be removed at a restart. Set %s to a folder that lasts.",
        folder,
        replacement,
        variable.name,
    )
    return replacement


@functools.cache
def _private_folder() -> Path:
    """Folder in the temporary folder that only this user can read and write; the same for all processes of the user."""
    folder = Path(tempfile.gettempdir()) / f"{_PRIVATE}{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        # Another user made it first.
        return Path(tempfile.mkdtemp(prefix=_PRIVATE))
    return folder
