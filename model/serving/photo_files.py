"""Files with photos at paths given by the user: files, folders, zips, and lists of such paths."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from model.dataset.folder_tree import read_tree
from model.dataset.image_files import is_image
from model.dataset.text_files import MAX_TEXT_BYTES, UTF8, WESTERN, detect_encoding
from model.errors import ConfigError, DatasetError
from model.files.browsing import has_hidden_part
from model.reading import UnreadableError, describe, read_regular

LIST_SUFFIX = ".txt"
ZIP_SUFFIX = ".zip"

_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_UTF8_MARK = b"\xef\xbb\xbf"


def find_photo_files(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Photos and zips at the paths, those of a folder by name; and the files and folders that were passed over.

    A path is a photo or a zip, whatever its content; a folder, of which photos and zips are taken by the rule of
    `model.dataset.image_files`; or a list with a path per line.

    Raises:
        ConfigError: a list contains itself.
        DatasetError: a folder has too many levels.
        OSError: a folder or list cannot be read.
    """
    files: list[Path] = []
    others: list[Path] = []
    for path in paths:
        _collect(path, (), files, others)
    return files, others


def is_zip(path: Path) -> bool:
    """Whether a regular file is a zip: by its suffix, or by its content if it has none. Office documents are zips too.

    A file that cannot be read is none.
    """
    suffix = path.suffix.lower()
    try:
        if suffix not in (ZIP_SUFFIX, "") or not path.is_file():
            return False
        with open(path, "rb") as stream:
            return bool(suffix) or stream.read(4) in _ZIP_SIGNATURES
    except OSError:
        return False


def _collect(path: Path, lists: tuple[Path, ...], files: list[Path], others: list[Path]) -> None:
    """Add the files at a path; `lists` are the lists that contain the path."""
    if path.is_dir():
        tree = read_tree(path)
        zips = [name for name in tree.others_below() if not has_hidden_part(name) and is_zip(path / name)]
        files += sorted(path / name for name in (*tree.images_below(), *zips))
        others += sorted(path / name for name in frozenset(tree.others_below()).difference(zips))
    elif path.suffix.lower() == LIST_SUFFIX and path.is_file() and not is_image(path):
        resolved = path.resolve()
        if resolved in lists:
            raise ConfigError(
                f"{path}: expected a list of photos, received a list that includes itself. Remove its name from it."
            )
        for listed in _listed(path):
            _collect(listed, (*lists, resolved), files, others)
    else:
        files.append(path)


def _listed(path: Path) -> Iterator[Path]:
    """Paths in a list, relative to its folder."""
    try:
        content = read_regular(path, MAX_TEXT_BYTES)
    except (OSError, UnreadableError) as error:
        raise ConfigError(f"{path}: expected a list of photos, received: {describe(error)}") from error
    try:
        encoding = detect_encoding(path)
    except DatasetError:
        encoding = WESTERN
    if encoding in (UTF8, WESTERN):
        # Paths are bytes to the system, and may be in any encoding.
        lines = [os.fsdecode(line) for line in content.removeprefix(_UTF8_MARK).split(b"\n")]
    else:
        lines = content.decode(encoding).removeprefix("\ufeff").split("\n")
    for line in lines:
        if line.strip():
            yield _existing(path.parent, line.strip("\r"))


def _existing(folder: Path, line: str) -> Path:
    """Path of a line: as it is written, or as it is meant by programs of Windows, if only that exists."""
    forms = [line]
    if not line.isascii():
        forms.append(os.fsencode(line).decode(WESTERN, "replace"))
    forms += [form.replace("\\", "/") for form in forms if "\\" in form]
    return next((folder / form for form in forms if os.path.lexists(folder / form)), folder / line)
