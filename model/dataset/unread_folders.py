"""Folders beside the class folders that have no photos: reported with what they hold, so that no class is lost."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from model.dataset.folder_tree import Folder
from model.dataset.formats import SIGNATURE_BYTES, find_unsupported
from model.files.browsing import has_hidden_part, name_some

# Files of a folder are of one kind as a rule: reading the first ones is enough.
_READ_PER_FOLDER = 20
_SHOWN = 3


def describe_unread_folders(root: Path, folders: Iterable[Folder], classes: Sequence[str]) -> list[str]:
    """Sentences about folders without photos: a sentence for each that has files, and one for all that are empty.

    Args:
        root: folder of the dataset, to which the paths of the folders are relative.
        folders: folders beside the class folders, none of which has an image.
        classes: names of the classes; an empty folder with such a name, as in `val/`, is no loss.
    """
    empty, filled = set(), []
    for folder in folders:
        files = [name for name in folder.others_below() if not has_hidden_part(name) and not name.endswith("/")]
        if files:
            filled.append(_describe(root, folder, files))
        elif folder.name not in classes:
            empty.add(folder.name)
    if empty:
        names = name_some(sorted(empty))
        filled.append(f"folders that contain no images, {len(empty)} of them, are no classes: {names}")
    return filled


def _describe(root: Path, folder: Folder, files: list[str]) -> str:
    kinds = Counter(_kind(root / name) for name in files[:_READ_PER_FOLDER])
    listed = "; ".join(kind for kind, _ in kinds.most_common(_SHOWN))
    names = name_some([PurePosixPath(name).name for name in files], _SHOWN)
    return (
        f"the folder {folder.path}/ was left out: none of its files, {len(files):,} of them, is an image "
        f"of a format that is read: {names} ({listed})"
    )


def _kind(path: Path) -> str:
    """What a file is, with what to do instead; by its suffix if its content is of no known format."""
    unknown = f"files ending in {path.suffix}" if path.suffix else "files without an ending"
    try:
        # Opening a named pipe would wait for its writer.
        if not path.is_file():
            return unknown
        with open(path, "rb") as stream:
            found = find_unsupported(stream.read(SIGNATURE_BYTES))
    except OSError as error:
        return f"unreadable: {error.strerror}"
    if found is None:
        return unknown
    return f"{found.kind}: {found.advice}" if found.advice else found.kind
