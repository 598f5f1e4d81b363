"""Finding the images of a dataset by the names in a table: with or without folder, ending, or the same case."""

import dataclasses
import posixpath
import re
from collections.abc import Iterable, Sequence
from functools import cached_property

from model.dataset.folder_names import split_names
from model.dataset.formats import IMAGE_SUFFIXES
from model.dataset.listing import IMAGES
from model.files.composition import composed
from model.results import Split

# Last parts of a path that are searched; those before may be of another machine.
_MAX_PARTS = 20
# So many files of one name are not worth a search for each row.
_MAX_NARROWED = 1000
# A file name without folders: no end of it is left to be searched in the folders.
_PLAIN = re.compile(r"(?!\.)[^/\\]+\Z")


@dataclasses.dataclass(frozen=True)
class Search:
    """Where a table's names are searched first.

    Attributes:
        folders: folders of the dataset, such as that of the table; a name found in one of them is unambiguous.
        split: split of the table; of several images, one in a folder of this split is chosen.
    """

    folders: tuple[str, ...] = ("", IMAGES)
    split: Split | None = None


class ImageIndex:
    """The images of a dataset by all forms in which a table may name them.

    Args:
        names: paths of all images, relative to the dataset.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._without_folder: dict[tuple[str, Search], tuple[str, ...]] = {}

    @cached_property
    def folders(self) -> frozenset[str]:
        """Names of all folders that the images are in, at any level."""
        return frozenset(part for folder in set(map(posixpath.dirname, self.names)) for part in folder.split("/"))

    def find(self, written: str, search: Search) -> tuple[str, ...]:
        """Images that a name may stand for: one, none, or several if it is ambiguous."""
        if written in self.names:
            return (written,)
        # Most tables name all images in one of these forms.
        for folder in search.folders:
            if folder and f"{folder}/{written}" in self.names:
                return (f"{folder}/{written}",)
        is_plain = bool(_PLAIN.match(written))
        name = written if is_plain or not written else posixpath.normpath(written.replace("\\", "/"))
        last = name.rpartition("/")[2]
        # First of all, because a long table may name a million missing images.
        found = self._by_stem.get(_key(_stem(last)))
        if found is None or last in ("", ".", ".."):
            return ()
        if is_plain:
            return self._by_last_part(found, name, search)
        for end in path_ends(name):
            for folder in search.folders:
                path = f"{folder}/{end}" if folder else end
                if path in self.names:
                    return (path,)
        return self._by_last_part(found, name, search)

    def _by_last_part(self, of_stem: str | list[str], name: str, search: Search) -> tuple[str, ...]:
        """Of the images with the stem of a name those that it may stand for."""
        folders, _, last = name.rpartition("/")
        if isinstance(of_stem, str):
            return tuple(_with_ending([of_stem], last))
        # Without images in a folder of that name, the folders in the name decide nothing.
        folder = posixpath.basename(folders)
        near = _with_ending(self._by_folder.get((_key(_stem(last)), _key(folder)), ()) if folder else (), last)
        if near:
            return _narrowed(near, name, search)
        if (last, search) not in self._without_folder:
            self._without_folder[last, search] = _narrowed(_with_ending(of_stem, last), last, search)
        return self._without_folder[last, search]

    @cached_property
    def _by_folder(self) -> dict[tuple[str, str], list[str]]:
        """Stem and last folder in lower case -> images of a stem that several have."""
        by_folder: dict[tuple[str, str], list[str]] = {}
        for stem, paths in self._by_stem.items():
            for path in paths if isinstance(paths, list) else ():
                by_folder.setdefault((stem, _key(posixpath.basename(posixpath.dirname(path)))), []).append(path)
        return by_folder

    @cached_property
    def _by_stem(self) -> dict[str, str | list[str]]:
        """File name in lower case without its ending -> the image, or all of them."""
        by_stem: dict[str, str | list[str]] = {}
        for name in self.names:
            key = _key(_stem(posixpath.basename(name)))
            first = by_stem.setdefault(key, name)
            if first is not name:
                if isinstance(first, list):
                    first.append(name)
                else:
                    by_stem[key] = [first, name]
        return by_stem


def path_ends(path: str) -> list[str]:
    """A path, and its ends without the first folders, such as those of another machine; the longest first."""
    parts = path.split("/")
    return ["/".join(parts[at:]) for at in range(max(0, len(parts) - _MAX_PARTS), len(parts))]


def _with_ending(paths: Sequence[str], last: str) -> Sequence[str]:
    """Images whose ending is that of a file name; all, if it is written without an ending."""
    key = _key(last)
    return [path for path in paths if _key(posixpath.basename(path)) == key] if _stem(last) != last else paths


def _narrowed(found: Sequence[str], name: str, search: Search) -> tuple[str, ...]:
    """Of several images those that agree with the name in more respects: folders, case, split."""
    if not 1 < len(found) <= _MAX_NARROWED:
        return tuple(found)
    for best in (
        _with_longest_end(found, name),
        [path for path in found if posixpath.basename(path) == posixpath.basename(name)],
        [path for path in found if _stem(posixpath.basename(path)) == posixpath.basename(name)],
        [path for path in found if search.split and search.split in split_names(path.split("/")[:-1])],
        [path for path in found if posixpath.dirname(path) in search.folders],
    ):
        chosen = frozenset(best)
        found = [path for path in found if path in chosen] or found
    return tuple(sorted(found))


def _with_longest_end(found: Sequence[str], name: str) -> list[str]:
    """Images whose path has the most folders in common with the name, counted from the end."""
    parts = [_key(part) for part in name.split("/")[:-1]][::-1]
    common = {path: _common(parts, [_key(part) for part in path.split("/")[:-1]][::-1]) for path in found}
    longest = max(common.values())
    return [path for path, count in common.items() if count == longest]


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


def _key(text: str) -> str:
    return composed(text).casefold() if not text.isascii() else text.lower()


def _stem(name: str) -> str:
    # As `posixpath.splitext`, which takes several times as long.
    stem, _, suffix = name.rpartition(".")
    return stem if stem.strip(".") and f".{suffix.lower()}" in IMAGE_SUFFIXES else name
