"""A folder for rclone to send: one whose links lead in a circle would be followed until the system stops it.

rclone's `--files-from-raw` would do but for names: one that ends in a carriage return, or has rclone's own mark of
quoted characters, it passes over without an error.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from model.files.browsing import files_below


@contextlib.contextmanager
def without_circles(folder: Path) -> Iterator[Path]:
    """The folder itself; where links in it lead back to a folder above them, one of links to each of its files.

    Its files are those of `model.files.browsing.files_below`, in both cases.
    """
    if not _leads_back(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="topgraft-send-") as directory:
        for path in files_below(folder):
            link = Path(directory) / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.absolute())
        yield Path(directory)


def _leads_back(folder: Path, above: frozenset[str] = frozenset()) -> bool:
    real = os.path.realpath(folder)
    return real in above or any(_leads_back(path, above | {real}) for path in folder.iterdir() if path.is_dir())
