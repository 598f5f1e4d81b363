"""Queries through rclone-python: configured remotes, names in a folder, free space.

rclone-python puts each path in double quotes into one command line for a shell, so every path goes through
`in_double_quotes`. It has no timeout and cannot be cancelled; all other work is done by
`model.storage.rclone_process`.
"""

import logging
from typing import Any

from model.errors import StorageError
from model.received import quoted
from model.storage.failures import failure
from model.storage.settings import prepare_environment, rclone_program

_SPECIAL = '\\"$`'


def in_double_quotes(path: str) -> str:
    """A path escaped for double quotes of a POSIX shell: nothing in it is executed or replaced.

    Raises:
        StorageError: the path has a null character, which no command accepts.
    """
    if "\0" in path:
        raise StorageError(f"expected a path without null characters, received {quoted(path)}.")
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in path)


def remotes() -> list[str]:
    """Names of the configured remotes, in the order of rclone.

    Raises:
        StorageSettingsError: rclone is missing, or its configuration cannot be read.
    """
    names: list[str] = _ask("list the remotes", "get_remotes")
    return [name.rstrip(":") for name in names if name.strip()]


def free_bytes(place: str) -> int | None:
    """Free bytes of the remote of `remote:path`; None if it does not report them.

    Raises:
        StorageError: the request was refused, or the remote did not respond.
    """
    try:
        free = _ask(f"ask {place} for its free space", "about", in_double_quotes(place)).get("free")
    except StorageError as error:
        if "doesn't support about" in error.message or "not supported" in error.message:
            return None
        raise
    return None if free is None else int(free)


def names_in(place: str) -> list[str]:
    """Sorted names of the files and folders in `remote:path`; those of folders end with `/`.

    Raises:
        StorageError: the path does not exist, the request was refused, or the remote did not respond.
    """
    rows = _ask(f"list {place}", "ls", in_double_quotes(place), max_depth=1)
    return sorted(row["Name"] + "/" * row["IsDir"] for row in rows)


def _ask(action: str, function: str, *arguments: str, **options: Any) -> Any:
    rclone_program()
    prepare_environment()
    from rclone_python import rclone
    from rclone_python.utils import RcloneException

    # rclone-python logs whole commands to standard output.
    rclone.set_log_level(logging.CRITICAL)
    try:
        return getattr(rclone, function)(*arguments, **options)
    except RcloneException as error:
        raise failure(action, error.error_msg.splitlines(), arguments) from None
