"""Files that are created and never written over, so that other hard links to an existing one keep their content."""

import contextlib
import os
from pathlib import Path

_BLOCK = 1 << 20


def write_new(path: Path, content: bytes) -> None:
    """Create a file.

    Raises:
        FileExistsError: there is one already, which stays as it is.
    """
    with open(path, "xb") as stream:
        stream.write(content)


def write_replacement(path: Path, content: bytes) -> None:
    """Create a file in place of a former one, of which other hard links keep their content."""
    path.unlink(missing_ok=True)
    write_new(path, content)


def link_or_copy(source: Path, target: Path) -> None:
    """Create a hard link to a file, or a copy of it where the file system has no links.

    Raises:
        FileExistsError: there is a file of the name of the target already, which stays as it is.
    """
    with contextlib.suppress(OSError):
        os.link(source.resolve(), target)
        return
    with open(source, "rb") as read, open(target, "xb") as written:
        while block := read.read(_BLOCK):
            written.write(block)
