"""What rclone-python is enough for: which remotes there are, what is in a folder, and the space that is left.

It puts each path between double quotes into one line for a shell, so every path goes through `in_double_quotes`.
It knows no timeout and no cancelling either: all else is done by `model.storage.runs`.
"""

import logging
from typing import Any

from model.errors import StorageError
from model.storage.failures import failure
from model.storage.settings import prepare_environment, rclone_program

_SPECIAL = '\\"$`'


def in_double_quotes(path: str) -> str:
    """A path that a POSIX shell reads as it is between double quotes: nothing in it is executed or replaced.

    Raises:
        StorageError: it has a null character, which no command can take.
    """
    if "\0" in path:
        raise StorageError(f"expected a path without null characters, received {path!r}.")
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in path)


def remotes() -> list[str]:
    """The names of the remotes that are configured, in the order of rclone.

    Raises:
        StorageSettingsError: rclone is missing, or its configuration cannot be read.
    """
    names: list[str] = _ask("list the remotes", "get_remotes")
    return [name.rstrip(":") for name in names if name.strip()]


def free_bytes(place: str) -> int | None:
    """What `remote:path` says is free; None where it does not say.

    Raises:
        StorageError: it refused, or did not answer.
    """
    try:
        free = _ask(f"ask {place} for its free space", "about", in_double_quotes(place)).get("free")
    except StorageError as error:
        if "doesn't support about" in error.message or "not supported" in error.message:
            return None
        raise
    return None if free is None else int(free)


def names_in(place: str) -> list[str]:
    """The names of what is in a folder of `remote:path`, folders with a `/` at the end.

    Raises:
        StorageError: it is not there, it refused, or did not answer.
    """
    rows = _ask(f"list {place}", "ls", in_double_quotes(place), max_depth=1)
    return sorted(row["Name"] + "/" * row["IsDir"] for row in rows)


def _ask(doing: str, function: str, *arguments: str, **options: Any) -> Any:
    rclone_program()
    prepare_environment()
    from rclone_python import rclone
    from rclone_python.utils import RcloneException

    # It logs whole commands, to standard output.
    rclone.set_log_level(logging.CRITICAL)
    try:
        return getattr(rclone, function)(*arguments, **options)
    except RcloneException as error:
        raise failure(doing, error.error_msg.splitlines(), arguments) from None
