"""Listing of the photos of a source: a dataset, a folder, a list of paths, or an address of an object store.

The photos are sorted in a file on disk, so that memory does not grow with their number.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from model.config import TrainConfig
from model.dataset.folder_names import split_names
from model.dataset.group_pattern import SECONDS, group_keys
from model.dataset.layouts import find_layout
from model.dataset.listing import DATASET_FILES, LayoutOptions
from model.dataset.tables.files import TABLE_SUFFIXES
from model.errors import DatasetError, StorageFullError
from model.files.browsing import files_in
from model.received import quoted
from model.results import SPLITS, Split
from model.scale.chunks import Photo
from model.scale.files import File, Photos
from model.scale.folders import LocalFolder, open_folder
from model.scale.photo_list import LIST_SUFFIX, PhotoList
from model.scale.store_folder import StoreFolder
from model.scratch import scratch_folder

_GROUPED_AT_ONCE = 20_000
# Names of folders that are remembered to recognize classes and splits.
_MAX_TOP_FOLDERS = 100

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SplitOptions:
    """Options of the splits of photos that have none: those of `TrainConfig` with these names."""

    val_fraction: float
    test_fraction: float
    seed: int
    group_pattern: str = ""

    @classmethod
    def from_config(cls, config: TrainConfig) -> "SplitOptions":
        """The options of a command."""
        return cls(**{field.name: getattr(config, field.name) for field in dataclasses.fields(cls)})

    def split(self, key: str) -> Split:
        """Split of a photo by the hash of its path or group: it depends on no other photo."""
        digest = hashlib.sha256(f"{self.seed}\n{key}".encode(errors="surrogateescape")).digest()
        position = int.from_bytes(digest[:8], "big") / 2**64
        if position < self.test_fraction:
            return "test"
        return "val" if position < self.test_fraction + self.val_fraction else "train"


class _Listed(NamedTuple):
    """A photo as it was found: its class and split, as far as the source names them."""

    file: File
    label: str | None = None
    split: str | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """Source of photos.

    Attributes:
        address: its absolute path or its address, for the plan.
        folder: reads the photos; their names are paths in it.
        listed: the photos with the classes and splits that a dataset or list names; None to find them by the folders.
    """

    address: str
    folder: Photos
    listed: Iterable[_Listed] | None = None

    @property
    def listed_by_folder(self) -> bool:
        """Whether all photos below the folder belong to the source."""
        return self.listed is None

    def found(self) -> Iterator[_Listed]:
        """The photos, in any order."""
        if self.listed is not None:
            yield from self.listed
        elif isinstance(self.folder, (LocalFolder, StoreFolder)):
            yield from map(_Listed, self.folder.photos())


def open_source(address: str, layout: LayoutOptions) -> Source:
    """The source of an address.

    Raises:
        DatasetError: there is no such folder or file, or the dataset cannot be read.
        ConfigError: another scheme.
    """
    folder = open_folder(address)
    if not isinstance(folder, LocalFolder):
        return Source(folder.address, folder)
    path = Path(folder.address)
    if path.is_file() and path.suffix.lower() == LIST_SUFFIX:
        photos = PhotoList(path)
        return Source(str(path), photos, (_Listed(file, label) for file, label in photos.labelled()))
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise DatasetError(
            f"{path}: expected a folder of photos, or a .txt file with a path on each line, found {found}."
        )
    if not _is_dataset(path, layout):
        return Source(str(path), folder)
    try:
        listing = find_layout(path, layout)
    except DatasetError as error:
        if (path / DATASET_FILES).is_dir() or layout.has_columns or layout.table:
            raise
        log.warning("the table was not read; classes are those of the folders: %s", error.message.partition("\n")[0])
        return Source(str(path), folder)
    root = LocalFolder(str(listing.root))
    listed = (
        _Listed(
            root.photo(os.fsencode(sample.name)), listing.classes[sample.label], split if listing.has_splits else None
        )
        for split in SPLITS
        for sample in listing.splits[split]
    )
    return Source(str(path), root, listed)


def _is_dataset(path: Path, layout: LayoutOptions) -> bool:
    """Whether classes are in lists or a table rather than in the names of folders."""
    if (path / DATASET_FILES).is_dir() or layout.has_columns or layout.table:
        return True
    return any(file.suffix.lower() in TABLE_SUFFIXES for file in files_in(path))


@contextlib.contextmanager
def listed_photos(source: Source, options: SplitOptions) -> "Iterator[ListedPhotos]":
    """All photos of a source, sorted by path, while the block runs.

    Raises:
        DatasetError: there are none, or one has two classes.
        StorageError: the source cannot be listed, or the temporary folder is full.
    """
    with (
        scratch_folder("listing") as folder,
        _sorting_errors(folder.parent),
        contextlib.closing(sqlite3.connect(folder / "photos.sqlite")) as table,
    ):
        table.execute("PRAGMA synchronous = OFF")
        table.execute("PRAGMA journal_mode = OFF")
        # In KiB: with the default of 2 MB, each of many names in a random order reads and writes a page.
        table.execute("PRAGMA cache_size = -262144")
        # WITHOUT ROWID stores the rows in the order of their names.
        table.execute(
            "CREATE TABLE photos (name BLOB PRIMARY KEY, size INTEGER, version TEXT, label TEXT, split TEXT) "
            "WITHOUT ROWID"
        )
        photos = ListedPhotos(table, options)
        photos.fill(source)
        yield photos


@contextlib.contextmanager
def _sorting_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the table into StorageFullError: no other process uses it, only its disk can fail."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageFullError(
            f"{folder}: expected some hundred bytes of free space for each photo of the listing, received: {error}. "
            "Free some space, or set TMPDIR to a folder on a larger disk."
        ) from error


class ListedPhotos:
    """Photos in a table on disk, sorted by path. It can be iterated several times."""

    def __init__(self, table: sqlite3.Connection, options: SplitOptions) -> None:
        self._table, self._options = table, options
        self._folders = _Folders()
        self._by_folder = False
        self.count = 0

    def fill(self, source: Source) -> None:
        """List the photos of a source."""
        self._by_folder = source.listed_by_folder
        for photo in source.found():
            if self._by_folder:
                self._folders.add(os.fsdecode(photo.file.name))
            self._insert(photo)
        if not self.count:
            raise DatasetError(f"{source.address}: expected photos, found none.")

    def _insert(self, photo: _Listed) -> None:
        try:
            self._table.execute("INSERT INTO photos VALUES (?, ?, ?, ?, ?)", (*photo.file, photo.label, photo.split))
            self.count += 1
        except sqlite3.IntegrityError:
            row = self._table.execute("SELECT label FROM photos WHERE name = ?", (photo.file.name,)).fetchone()
            if row[0] != photo.label:
                name = os.fsdecode(photo.file.name)
                raise DatasetError(
                    f"{quoted(name)}: expected one label, found two: {quoted(row[0])} and {quoted(photo.label)}. "
                    "Remove one of them."
                ) from None

    def __iter__(self) -> Iterator[Photo]:
        rows = iter(self._table.execute("SELECT name, size, version, label, split FROM photos ORDER BY name"))
        while some := list(itertools.islice(rows, _GROUPED_AT_ONCE)):
            yield from self._labelled([_Listed(File(*row[:3]), *row[3:]) for row in some])

    def _labelled(self, photos: list[_Listed]) -> Iterator[Photo]:
        names = [os.fsdecode(photo.file.name) for photo in photos]
        keys = names
        if self._options.group_pattern:
            groups = group_keys(self._options.group_pattern, names, SECONDS)
            keys = ["\n".join(group) for group in groups]
        for photo, name, key in zip(photos, names, keys, strict=True):
            label, split = (self._folders.describe(name)) if self._by_folder else (photo.label, photo.split)
            yield Photo(photo.file, label, self._split(split, key))

    def _split(self, given: str | None, key: str) -> Split:
        if given is None:
            return self._options.split(key)
        return next(split for split in SPLITS if split == given)


class _Folders:
    """Classes and splits by the names of folders: `train/cat/1.jpg`, `cat/1.jpg`.

    A photo has the class of the folder that it is in if all photos are in folders, of two names or more. The folders of
    the first level are splits if all of them have names of splits.
    """

    def __init__(self) -> None:
        self._first: set[str] = set()
        self._classes: set[str] = set()
        self._has_loose = False
        self._split_of: dict[str, Split] | None = None

    def add(self, name: str) -> None:
        """Add the path of a photo."""
        parts = name.split("/")
        if len(self._first) <= _MAX_TOP_FOLDERS:
            self._first.add(parts[0] if len(parts) > 1 else "")
        if len(self._classes) < 2 and len(parts) > 1:
            self._classes.add(parts[-2])
        self._has_loose |= len(parts) == 1

    def describe(self, name: str) -> tuple[str | None, str | None]:
        """Class and split of a photo, None where the folders name none."""
        parts = name.split("/")
        splits = self._splits()
        split = splits.get(parts[0])
        if self._has_loose or len(self._classes) < 2 or (split and len(parts) < 3):
            return None, split
        return parts[-2].encode(errors="surrogateescape").decode(errors="backslashreplace"), split

    def _splits(self) -> dict[str, Split]:
        if self._split_of is None:
            found = split_names(sorted(self._first))
            named = {name: split for split, names in found.items() for name in names}
            complete = named.keys() == self._first and "train" in found and len(found) > 1
            self._split_of = named if complete else {}
        return self._split_of
