"""Where things are in a dataset that is edited, and what it contains.

<dataset>/<class>/...                    photos of a class
<dataset>/.curation/journal.jsonl        all changes, see journal.py
<dataset>/.curation/removed/<class>/...  removed photos: none is ever deleted
<dataset>/.curation/unlabelled/          photos without a class
<dataset>/.curation/incoming/            content that is being received

Readers of datasets do not enter hidden folders: removed and unlabelled photos are in no training.
"""

import dataclasses
import os
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from model.curation.folders import walk_folders
from model.dataset.image_files import is_image
from model.dataset.layouts import find_layout
from model.dataset.listing import DATASET_FILES
from model.errors import DatasetError
from model.files.browsing import is_hidden
from model.received import quoted
from model.results import SPLITS
from model.shown import printable

CURATION = ".curation"
"""Hidden folder of a dataset with everything but its classes."""

REMOVED, UNLABELLED = f"{CURATION}/removed", f"{CURATION}/unlabelled"
INCOMING, JOURNAL, LOCK = f"{CURATION}/incoming", f"{CURATION}/journal.jsonl", f"{CURATION}/lock"
UPLOAD_PREFIX, PLAN = "upload-", "plan.json"
"""Beginning of the name of an upload's folder in `incoming`, and the file that makes it one."""

_FOLDER_LAYOUT = "a folder per class"


@dataclasses.dataclass(frozen=True)
class Contents:
    """Photos of a dataset, by the names of their files; none is read.

    Attributes:
        classes: class -> sorted paths of its photos, relative to the dataset.
        unlabelled, removed: as `classes`, of photos that are in no class.
        is_editable: whether the dataset is a folder per class, which can be changed here.
        problem: why it cannot be read as a dataset, if so.
    """

    classes: dict[str, list[str]]
    unlabelled: list[str] = dataclasses.field(default_factory=list)
    removed: list[str] = dataclasses.field(default_factory=list)
    is_editable: bool = True
    problem: str = ""


def read_contents(dataset: Path) -> Contents:
    """List the photos of a dataset of any layout.

    Raises:
        DatasetError: there is no such folder.
    """
    if not dataset.is_dir():
        raise DatasetError(f"{dataset}: expected the folder of a dataset, found none")
    if is_editable(dataset):
        return Contents(
            {name: photos_in(dataset, name) for name in class_names(dataset)},
            photos_in(dataset, UNLABELLED),
            photos_in(dataset, REMOVED),
        )
    try:
        listing = find_layout(dataset)
    except DatasetError as error:
        return Contents({}, is_editable=False, problem=error.message)
    classes: dict[str, list[str]] = {name: [] for name in listing.classes}
    for split in SPLITS:
        for sample in listing.splits[split]:
            classes[listing.classes[sample.label]].append(os.path.relpath(sample.path, dataset.absolute()))
    return Contents(classes, is_editable=False)


def is_editable(dataset: Path) -> bool:
    """Whether a dataset is a folder per class: empty, edited before, or read as such."""
    if (dataset / CURATION).is_dir():
        return True
    names = class_names(dataset)
    if not names:
        return not any(is_image(path) for path in dataset.iterdir() if path.is_file())
    if DATASET_FILES in names:
        return False
    try:
        listing = find_layout(dataset)
    except DatasetError:
        # A single class, or classes without photos, are a beginning.
        return all(not class_names(dataset / name) for name in names) and not any(map(_is_table, dataset.iterdir()))
    samples = [sample for split in SPLITS for sample in listing.splits[split]]
    return listing.layout.startswith(_FOLDER_LAYOUT) and all(
        PurePosixPath(sample.name).parts[0] == listing.classes[sample.label]
        and sample.path == dataset.absolute() / sample.name
        for sample in samples
    )


def _is_table(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".txt", ".xlsx", ".json")


def class_names(dataset: Path) -> list[str]:
    """Sorted names of the class folders."""
    with os.scandir(dataset) as entries:
        return sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir())


def photos_in(dataset: Path, folder: str) -> list[str]:
    """Sorted paths, relative to the dataset, of the photos in a folder and below."""
    return sorted(name for name in files_in(dataset, folder) if is_image(dataset / name))


def files_in(dataset: Path, folder: str) -> Iterator[str]:
    """Paths, relative to the dataset, of all files in a folder and below, hidden ones included."""
    try:
        with os.scandir(dataset / folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        name = f"{folder}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from files_in(dataset, name)
        else:
            yield name


def class_of(photo: str) -> str:
    """Class of a photo by its path; empty if it is unlabelled or removed."""
    return "" if photo.startswith(f"{CURATION}/") else photo.partition("/")[0]


def checked_photo(dataset: Path, photo: str) -> Path:
    """File of a photo that is named by its path relative to the dataset.

    Raises:
        DatasetError: the path leads elsewhere, or there is no such photo.
    """
    parts = photo.split("/")
    inside = parts[2:] if photo.startswith((f"{REMOVED}/", f"{UNLABELLED}/")) else parts
    is_safe = all(part not in ("", ".", "..") and "\\" not in part and "\0" not in part for part in parts)
    path = dataset / photo
    if not is_safe or not inside or any(is_hidden(part) for part in inside) or not path.is_file():
        raise DatasetError(
            f"expected a photo of the dataset {dataset.name}, received {quoted(photo)}: there is no such photo. "
            "It may have been moved meanwhile: load the page again"
        ).coded("photo_gone", name=printable(photo))
    return path


def version_of(dataset: Path) -> str:
    """A text that changes when photos are added, renamed or removed, in any folder and by whatever program."""
    walked = (folder for first in (dataset, dataset / UNLABELLED) for folder in walk_folders(first))
    checksum = 0
    for folder in walked:
        text = f"{folder.path}:{folder.modified} "
        checksum = zlib.crc32(text.encode("utf-8", "surrogateescape"), checksum)
    journal = dataset / JOURNAL
    size = journal.stat().st_size if journal.is_file() else 0
    return f"{checksum:x}-{size:x}"
