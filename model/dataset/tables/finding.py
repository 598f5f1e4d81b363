"""Tables of labels in a dataset: found in its folders, or named by the option `table`."""

import dataclasses
import posixpath
from collections import Counter
from functools import cached_property
from pathlib import Path

from model.dataset.folder_tree import Folder
from model.dataset.image_index import ImageIndex, Search
from model.dataset.label_files import describe_unread
from model.dataset.listing import DATASET_FILES, IMAGES, LayoutOptions, is_listable
from model.dataset.origins import ORIGIN
from model.dataset.tables.columns import UnclearLabelsError, find_columns
from model.dataset.tables.files import TABLE_SUFFIXES, open_table, sample_rows
from model.dataset.tables.rows import Source
from model.dataset.tables.splits import split_of_table
from model.errors import DatasetError
from model.files.browsing import name_some

# A folder with more tables has a file for each image.
_MAX_IN_FOLDER = {".txt": 25}
_MAX_TABLES = 1000
_MAX_BYTES = 1 << 31
_UNREAD_SHOWN = 3
# Files of one kind in a folder are alike.
_TRIED_PER_FOLDER = 20
_NO_TABLES = ("readme", "license", "licence", "requirements", "submission")


@dataclasses.dataclass(frozen=True)
class FoundTables:
    """Tables found in a dataset.

    Attributes:
        sources: those that name images of the dataset and have labels.
        unread: sentences about other tables, why they cannot be used.
        unclear: sentences about those that name images, but with several possible columns of labels.
    """

    sources: tuple[Source, ...]
    unread: tuple[str, ...]
    unclear: tuple[str, ...] = ()


class DatasetFiles:
    """The images and other files of a dataset, and its tables.

    Args:
        root: folder of the dataset.
        tree: its folders.
        options: what the user has set about the layout.

    Attributes:
        others: paths of all files that are no images.
    """

    def __init__(self, root: Path, tree: Folder, options: LayoutOptions) -> None:
        self.root, self.tree, self.options = root, tree, options
        self.others = tuple(tree.others_below())

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Paths of the images, in the folder `images_directory` if that is set."""
        unlistable = frozenset(self.unlistable)
        return tuple(name for name in self._names if name not in unlistable)

    @cached_property
    def unlistable(self) -> tuple[str, ...]:
        """Images whose names cannot be written to a list."""
        return tuple(name for name in self._names if not is_listable(name))

    @cached_property
    def index(self) -> ImageIndex:
        """The images by the names that a table may use."""
        return ImageIndex(self.images)

    @cached_property
    def _names(self) -> list[str]:
        below = posixpath.normpath(self.options.images_directory or ".")
        return [name for name in self.tree.images_below() if below == "." or name.startswith(f"{below}/")]

    def find_tables(self) -> FoundTables:
        """Find the tables that name images of the dataset and have labels.

        Raises:
            DatasetError: the user has set a column, and no table has it.
        """
        sources: list[Source] = []
        unread: list[str] = []
        unclear: list[str] = []
        for name in self._possible_tables():
            try:
                sources.append(self.read_columns(self.root / name))
            except UnclearLabelsError as error:
                unclear.append(error.message)
                unread.append(error.message)
            except DatasetError as error:
                # Any text file may be without rows; most are no tables, except those with tabs.
                if not name.lower().endswith(".txt") or _has_tabs(self.root / name):
                    unread.append(error.message)
        if not sources and self.options.has_columns and (texts := [*self.unread_files(), *unread]):
            raise DatasetError("\n".join(texts[-_UNREAD_SHOWN:]))
        return FoundTables(tuple(sources), tuple(unread), tuple(unclear))

    def unread_files(self) -> list[str]:
        """Sentences about files in which labels are also kept: the first of each kind, those nearest to the top first.

        A dataset may have such a file for each image.
        """
        sentences: dict[str, str] = {}
        tried: Counter[tuple[str, str]] = Counter()
        for name in sorted(self.others, key=lambda name: (name.count("/"), name)):
            folder, suffix = posixpath.dirname(name), posixpath.splitext(name)[1]
            tried[folder, suffix] += 1
            if tried[folder, suffix] <= _TRIED_PER_FOLDER and len(sentences) < _UNREAD_SHOWN:
                sentence = describe_unread(self.root / name)
                sentences.setdefault(sentence.partition(": ")[2], sentence)
                sentences.pop("", None)
        return list(sentences.values())

    def read_columns(self, path: Path) -> Source:
        """A table with its columns; the path is in `root`.

        Raises:
            DatasetError: the file is no table, or which columns have the names and labels is unclear.
        """
        folder = path.parent.relative_to(self.root).as_posix()
        folders = (self.options.images_directory, folder, "", IMAGES)
        first = dict.fromkeys("" if posixpath.normpath(name) == "." else posixpath.normpath(name) for name in folders)
        search = Search(tuple(first), split_of_table(path.relative_to(self.root)))
        try:
            table = open_table(path)
            return Source(table, find_columns(table, self.index, search, self.options), search)
        except OSError as error:
            raise DatasetError(f"{path}: expected a readable file, received: {error.strerror or error}") from error

    def named_table(self, source: Path) -> Path:
        """Path of the table that the option `table` names: relative to the dataset, or any path in it.

        Args:
            source: folder of the dataset as the user gave it, which may contain only `root`.

        Raises:
            DatasetError: there is no such file in the dataset.
        """
        for path in (self.root / self.options.table, source / self.options.table, Path(self.options.table).absolute()):
            if path.is_file() and path.resolve().is_relative_to(self.root.resolve()):
                return self.root / path.resolve().relative_to(self.root.resolve())
        found = [name for name in self.others if name.lower().endswith(TABLE_SUFFIXES)]
        raise DatasetError(
            f"{self.root}: expected the option table to name a file in the dataset, received {self.options.table!r}. "
            f"Found {name_some(found) if found else 'no table'}"
        )

    def _possible_tables(self) -> list[str]:
        """Names of files that may be tables of labels, those nearest to the top of the dataset first."""
        found: list[str] = []
        for folder in self.tree.walk():
            for suffix in TABLE_SUFFIXES if folder.name != DATASET_FILES else ():
                names = [name for name in folder.others if name.lower().endswith(suffix) and self._may_be_table(name)]
                if len(names) <= _MAX_IN_FOLDER.get(suffix, _MAX_TABLES):
                    found += names
        return sorted(found, key=lambda name: (name.count("/"), name))[:_MAX_TABLES]

    def _may_be_table(self, name: str) -> bool:
        # It states where images come from; the option `table` reads labels from it all the same.
        if not may_be_table(posixpath.basename(name)) or posixpath.basename(name) == ORIGIN:
            return False
        path = self.root / name
        return path.is_file() and 0 < path.stat().st_size <= _MAX_BYTES


def may_be_table(name: str) -> bool:
    """Whether a file may be a table or a list by its name: not hidden, and no readme, licence or the like."""
    return not name.startswith((".", "~$")) and not any(word in name.lower() for word in _NO_TABLES)


def _has_tabs(path: Path) -> bool:
    """Whether a text is a table whose first line has several cells divided by tabs."""
    try:
        table = open_table(path)
        return table.delimiter == "\t" and any(len(cells) > 2 for _, cells in sample_rows(table, 1))
    except (DatasetError, OSError):
        return False
