"""Detection of the layout of a dataset, and listing of its labelled images.

    dataset_files/ + images/     lists: classes.txt, train.txt and optional val.txt, test.txt
    <class>/*.jpg                a folder per class, at any level
    train/<class>/*.jpg          split folders: train/, and val/ or test/ where they exist

No image is decoded here. All problems are reported at once, with file and line.
"""

import dataclasses
import difflib
from pathlib import Path

from model.dataset.folder_names import split_names
from model.dataset.folder_tree import read_tree
from model.dataset.folders import read_folders
from model.dataset.image_files import is_image
from model.dataset.listing import DATASET_FILES, EXPECTED, LayoutOptions, Listing
from model.dataset.lists import read_lists
from model.errors import DatasetError
from model.files.browsing import files_in, folders_in, is_hidden, name_some

DEFAULT_OPTIONS = LayoutOptions()


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
    if (root / DATASET_FILES).is_dir():
        return read_lists(root, options.images_directory)
    if any((folder / DATASET_FILES).is_dir() for folder in folders_in(root)):
        names = ", ".join(folder.name for folder in folders_in(root))
        raise DatasetError(f"{root}: expected one dataset, found a folder of datasets: {names}. Choose one of them.")
    listing = read_folders(root, read_tree(root), options.class_level)
    if not options.images_directory:
        return listing
    unused = f"images_directory = {options.images_directory!r} was not used: there is no {DATASET_FILES}/ in {root}"
    return dataclasses.replace(listing, warnings=(*listing.warnings, unused))


def _existing_folder(source: Path) -> Path:
    if source.is_dir():
        return source.absolute()
    if source.exists():
        raise DatasetError(f"{source}: expected a folder or an archive, found a file. Expected {EXPECTED}")
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
        if not folders_in(folders[0]) or any(is_image(path) for path in files_in(root)):
            return root
        root = folders[0]
