"""Detection of the layout of a dataset, and listing of its labelled images.

    dataset_files/ + images/     lists: classes.txt, train.txt and optional val.txt, test.txt
    <class>/*.jpg                a folder per class, at any level
    train/<class>/*.jpg          split folders: train/, and val/ or test/ where they exist
    *.jpg + *.csv                a table with a column of file names and one of labels

No image is decoded here. All problems are reported at once, with file and line.
"""

import dataclasses
import difflib
from pathlib import Path

from model.dataset.folder_names import split_names
from model.dataset.folder_tree import read_tree
from model.dataset.folders import read_folders
from model.dataset.image_files import is_image
from model.dataset.label_files import describe_unread
from model.dataset.listing import DATASET_FILES, EXPECTED, LayoutOptions, Listing
from model.dataset.lists import read_lists
from model.dataset.origins import read_origins
from model.dataset.split_lists import LIST_SUFFIXES, split_by_lists
from model.dataset.tables.files import TABLE_SUFFIXES
from model.dataset.tables.finding import DatasetFiles, may_be_table
from model.dataset.tables.layout import (
    NO_TABLE,
    read_found_tables,
    read_named_table,
    read_table_without_folders,
    with_warnings,
)
from model.errors import DatasetError
from model.files.browsing import files_in, folders_in, is_hidden, name_some
from model.results import SPLITS

DEFAULT_OPTIONS = LayoutOptions()
_UNREAD_SHOWN = 3


def find_layout(source: Path, options: LayoutOptions = DEFAULT_OPTIONS) -> Listing:
    """Detect the layout of a folder and list its labelled images.

    Args:
        source: folder of the dataset, or a folder that contains only this folder.
        options: what the user has set about the layout.

    Raises:
        DatasetError: unknown layout, or problems in it; the message lists all of them.
    """
    try:
        return _find_layout(source, options)
    except OSError as error:
        raise DatasetError(
            f"{source}: expected readable folders, received: {error.strerror or error}: {error.filename}"
        ) from error


def _find_layout(source: Path, options: LayoutOptions) -> Listing:
    root = without_wrapping(_existing_folder(source))
    listing = _read(root, source, options)
    unused = {name: value for name, value in options.given.items() if name not in listing.uses}
    notes = (f"{name} = {value!r} was not used: it does not apply to this layout" for name, value in unused.items())
    outside = (
        [f"images outside the class folders were ignored, {len(listing.outside)} of them: {name_some(listing.outside)}"]
        if listing.outside
        else []
    )
    names = {sample.name for split in SPLITS for sample in listing.splits[split]}
    origins = read_origins(root, listing.root, names)
    return dataclasses.replace(with_warnings(listing, *outside, *notes), origins=origins)


def _read(root: Path, source: Path, options: LayoutOptions) -> Listing:
    has_table = options.table not in ("", NO_TABLE)
    if (root / DATASET_FILES).is_dir() and not has_table:
        return read_lists(root, options)
    if any((folder / DATASET_FILES).is_dir() for folder in folders_in(root)) and not has_table:
        names = ", ".join(folder.name for folder in folders_in(root))
        raise DatasetError(f"{root}: expected one dataset, found a folder of datasets: {names}. Choose one of them.")
    tree = read_tree(root)
    files = DatasetFiles(root, tree, options)
    if has_table:
        return read_named_table(files, source)
    if options.table == NO_TABLE or options.class_level is not None:
        return read_folders(root, tree, options.class_level, options.for_training)
    found = files.find_tables()
    try:
        folders = read_folders(root, tree)
    except DatasetError as error:
        if not found.sources:
            if not options.for_training:
                return read_folders(root, tree, for_training=False)
            unread = (*found.unread[:_UNREAD_SHOWN], *files.unread_files())
            raise DatasetError("\n".join([error.message, *unread])) from error
        return read_table_without_folders(files, found)
    listing = read_found_tables(files, found, folders)
    return listing if listing.has_splits else split_by_lists(files, listing)


def _existing_folder(source: Path) -> Path:
    if source.is_dir():
        return source.absolute()
    if source.exists():
        unread = describe_unread(source)
        raise DatasetError(unread or f"{source}: expected a folder or an archive, found a file. Expected {EXPECTED}")
    parent = next(folder for folder in source.absolute().parents if folder.is_dir())
    names = sorted(entry.name for entry in parent.iterdir() if not is_hidden(entry.name))
    near = difflib.get_close_matches(source.name, names, n=3, cutoff=0.5)
    offer = f"Did you mean: {', '.join(near)}?" if near else f"There are: {name_some(names)}."
    raise DatasetError(f"{source}: no such folder or archive. Looked in {parent}. {offer}")


def without_wrapping(root: Path) -> Path:
    """Folder of the dataset: an archive often contains a single folder with everything in it."""
    while True:
        folders = folders_in(root)
        if len(folders) != 1 or folders[0].name == DATASET_FILES or split_names([folders[0].name]):
            return root
        files = files_in(root)
        has_table = any(
            path.suffix.lower() in (*TABLE_SUFFIXES, *LIST_SUFFIXES) and may_be_table(path.name) for path in files
        )
        if has_table and not (folders[0] / DATASET_FILES).is_dir():
            return root
        if not folders_in(folders[0]) or any(is_image(path) for path in files):
            return root
        root = folders[0]
