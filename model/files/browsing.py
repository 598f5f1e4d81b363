"""What a folder holds: files and folders; and how to name them in a message."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

# They make a name look like another one.
_TURNS = frozenset(("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"))


def folders_in(root: Path) -> list[Path]:
    """The folders in a folder, without hidden ones, by name."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))


def files_in(root: Path) -> list[Path]:
    """Everything in a folder that is no folder, by name."""
    return sorted(path for path in root.iterdir() if not path.is_dir())


def files_below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Whatever is no folder, in a folder and below, hidden ones too; links are followed, but not back to `above`.

    Args:
        above: the real paths of the folders that led here.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from files_below(path, above | {real})
        else:
            yield path


def is_hidden(name: str) -> bool:
    """Whether a name is the system's affair, not the user's."""
    return name.startswith(".") or name == "__MACOSX"


def describe_content(root: Path) -> str:
    """What is in a folder, for a message."""
    names = [f"{path.name}/" for path in folders_in(root)] + [path.name for path in files_in(root)]
    return name_some(names) if names else "an empty folder"


def name_some(names: Sequence[str], most: int = 8) -> str:
    """The first of some names, and how many more there are, for a message."""
    listed = ", ".join(printable(name) for name in names[:most])
    return f"{listed} and {len(names) - most:,} more" if len(names) > most else listed


def printable(name: str) -> str:
    """A file name as one line of text that can be written anywhere.

    What is not UTF-8, controls, line breaks and what turns the direction of writing is escaped; joined emoji and
    spaces of any kind stay, so that whoever sent a name knows it again.
    """
    text = name.encode("utf-8", errors="backslashreplace").decode()
    return "".join(char.encode("unicode_escape").decode() if _breaks_a_line(char) else char for char in text)


def _breaks_a_line(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(char) in _TURNS
