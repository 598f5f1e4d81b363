"""File names in composed and decomposed Unicode (NFC, NFD): "é" as one character, or as "e" and an accent.

macOS writes decomposed names, and Nextcloud stores composed ones. Linux takes both as different files.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path


def composed(name: str) -> str:
    """The name in composed form (NFC)."""
    return unicodedata.normalize("NFC", name)


def same_when_composed(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of different names that have the same composed form, of files or of their folders, sorted."""
    known: dict[str, str] = {}
    pairs = set()
    for path in names:
        for name in _with_parents(path):
            other = known.setdefault(composed(name), name)
            if other != name:
                pairs.add((other, name))
    return sorted(pairs)


def describe_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs of names for a message, with their accents made visible."""
    return "; ".join(f"{first!a} and {second!a}" for first, second in pairs)


class LocalFiles:
    """Paths of files in a folder, by names that may be composed differently."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_composed: dict[str, str] | None = None

    def path(self, name: str) -> Path:
        """Path of the file of that name; of one that differs only in composition, if no other has exactly this name."""
        exact = self._folder / name
        if name.isascii() or os.path.lexists(exact):
            return exact
        if self._by_composed is None:
            self._by_composed = _paths_by_composed(self._folder)
        return self._folder / self._by_composed.get(composed(name), name)

    def refresh(self) -> None:
        """Read the folder again at the next call, because files were added."""
        self._by_composed = None


def _with_parents(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _paths_by_composed(folder: Path) -> dict[str, str]:
    """Composed form -> path, relative to the folder; forms of several paths are left out."""
    found: dict[str, list[str]] = {}
    for directory, _, names in os.walk(folder):
        inside = os.path.relpath(directory, folder)
        for name in names:
            path = name if inside == os.curdir else f"{inside}/{name}"
            found.setdefault(composed(path), []).append(path)
    return {form: paths[0] for form, paths in found.items() if len(paths) == 1}
