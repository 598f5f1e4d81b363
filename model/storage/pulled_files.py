"""What was pulled into a folder, as it was remembered, and what is in it now."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.storage.uses import note_of

_MARKED_SYMBOL = re.compile("\u201b(?=[\u2400-\u2421])")


def marker_of(directory: Path) -> Path:
    """The file that remembers what was pulled into the folder, once it was to its end."""
    return note_of(directory, "json")


def is_whole(directory: Path) -> bool:
    """Whether a pull into the folder was carried to its end."""
    return directory.is_dir() and marker_of(directory).is_file()


def read_marker(directory: Path) -> dict[str, Any]:
    """What it remembers: `files`, their names and sizes, and of what they are; empty where there is none."""
    try:
        content: dict[str, Any] = json.loads(marker_of(directory).read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError):
        return {}


def is_of(marker: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether what was remembered is of this source, as it is now."""
    return "files" in marker and all(marker.get(key) == value for key, value in identity.items())


def sizes_in(directory: Path) -> dict[str, int]:
    """The files that a person sees in a folder: name -> bytes."""
    found = {}
    for folder, _, names in os.walk(directory):
        inside = os.path.relpath(folder, directory)
        for name in names:
            if not name.startswith("."):
                path = name if inside == os.curdir else f"{inside}/{name}"
                found[path] = os.path.getsize(f"{folder}/{name}")
    return found


def local_name(name: str) -> str:
    """What rclone calls a file here whose name has a control character there: without the mark before its symbol."""
    return _MARKED_SYMBOL.sub("", name)


def size_of(path: Path) -> int:
    """The bytes of a file; -1 where there is none."""
    return path.stat().st_size if path.is_file() else -1
