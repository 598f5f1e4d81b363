"""Errors of the operating system about paths that the user typed: messages, where others are internal errors."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from model.received import quoted

_WRONG_KIND = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP)


def typed_path_problem(error: OSError, arguments: Sequence[str]) -> str:
    """What is wrong with a path on the command line, and what to do; empty if the error is about another path.

    Args:
        error: raised by an operation on the path, a folder above or below it, or a temporary file beside it.
        arguments: the words of the command line.
    """
    paths = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    typed = [Path(word.partition("=")[2] if word.startswith("--") else word) for word in arguments]
    related = [one for one in typed if one.name and any(_is_related(path, one) for path in paths)]
    is_missing = error.errno == errno.ENOENT and any(not path.parent.is_dir() for path in related)
    if error.errno == errno.ENAMETOOLONG and paths:
        problem = "expected a path with shorter names"
    elif related and (error.errno in _WRONG_KIND or is_missing):
        problem = "expected a path that can be written"
    else:
        return ""
    shown = max(map(str, related or paths), key=len)
    return f"{quoted(shown)}: {problem}, received: {error.strerror}. Choose another path."


def _is_related(path: Path, typed: Path) -> bool:
    """Whether a path is the typed one, a folder above or below it, or a temporary file beside it."""
    path, typed = path.absolute(), typed.absolute()
    is_temporary = path.parent == typed.parent and path.name.removeprefix(".").startswith(typed.name)
    return is_temporary or path.is_relative_to(typed) or typed.is_relative_to(path)
