"""Which of the known layouts a folder has, found out by looking, and the labelled images it names.

    dataset_files/ + images/     lists: classes.txt, train.txt and optional val.txt, test.txt
    <class>/*.jpg                a folder per class
    train/<class>/*.jpg          split folders: train/, and val/ or test/ where they exist

Nothing is decoded here. Every problem found is told at once, with file and line.
"""

import dataclasses
import difflib
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from model.dataset.images import IMAGE_SUFFIXES, looks_like_image
from model.errors import DatasetError
from model.results import SPLITS, Sample, Split

DATASET_FILES = "dataset_files"
CLASSES = "classes.txt"
IMAGES = "images"

EXPECTED = f"""one of these layouts, as a folder or as a .zip, .tar, .tar.gz or .tar.xz of it:
  {DATASET_FILES}/ with {CLASSES} and train.txt (and val.txt, test.txt), beside {IMAGES}/
  a folder per class, with its pictures
  train/ (and val/, test/), with a folder per class in each"""

_FOLDER_OF_SPLIT: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_PROBLEMS_SHOWN = 30
# A longer one is no label, and `int` is slow on very long ones.
_LABEL = re.compile(r"[+-]?[0-9]{1,18}")
_BLANKS = " \t"


@dataclasses.dataclass(frozen=True)
class Listing:
    """The labelled images that a dataset names, before any is read.

    Attributes:
        layout: what was found, in words.
        root: where the names of the samples start.
        classes: names in label order; two or more.
        splits: the samples of each split; all are in train where the dataset has no splits.
        has_splits: whether the dataset divides its images itself.
        ignored: files that are not among the samples and do not look like pictures of a class.
        unlistable: pictures whose names no list can hold.
    """

    layout: str
    root: Path
    classes: tuple[str, ...]
    splits: Mapping[Split, tuple[Sample, ...]]
    has_splits: bool
    ignored: tuple[str, ...] = ()
    unlistable: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def find_layout(source: Path, images_directory: str = "") -> Listing:
    """Look at a folder and list its labelled images.

    Args:
        source: the folder of the dataset, or a folder that holds nothing else.
        images_directory: where the paths in `dataset_files/` start; empty is `images/`. Relative to the dataset.

    Raises:
        DatasetError: no known layout, or problems in it; the message names them all.
    """
    try:
        return _find_layout(source, images_directory)
    except OSError as error:
        raise DatasetError(
            f"{source}: expected folders that can be read, received: {error.strerror or error}: {error.filename}"
        ) from error


def parse_line(line: str) -> tuple[str, int] | None:
    """The path and the label of a line of a list, or None where it is not `path label`.

    The label is the last field, so that the path may hold spaces.
    """
    line = line.rstrip(_BLANKS)
    end = max(line.rfind(blank) for blank in _BLANKS) + 1
    name, label = line[:end].rstrip(_BLANKS), line[end:]
    return (name, int(label)) if name and _LABEL.fullmatch(label) else None


def is_listable(name: str) -> bool:
    """Whether a line of a list can hold the name: UTF-8, no line ends, no blanks around it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name) and name == name.strip(_BLANKS) and not re.search(r"[\r\n\0]", name) and name[0] != "\ufeff"


def printable(name: str) -> str:
    """A file name as text that can be written anywhere: what is not UTF-8 or printable is escaped."""
    text = name.encode("utf-8", errors="backslashreplace").decode()
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def describe_problems(problems: Sequence[str]) -> str:
    """All problems in one text, one a line; of very many the first, and how many more."""
    head = "a problem in the dataset:" if len(problems) == 1 else f"{len(problems):,} problems in the dataset:"
    more = len(problems) - _PROBLEMS_SHOWN
    return "\n  ".join([head, *problems[:_PROBLEMS_SHOWN], *([f"... and {more:,} more"] if more > 0 else [])])


def _find_layout(source: Path, images_directory: str) -> Listing:
    root = _without_wrapping(_existing_folder(source))
    if (root / DATASET_FILES).is_dir():
        return _read_lists(root, images_directory)
    inner = [folder.name for folder in _folders(root) if (folder / DATASET_FILES).is_dir()]
    if inner:
        raise DatasetError(f"{root}: expected one dataset, found several: {', '.join(inner)}. Name one of them.")
    listing = _read_split_folders(root) if _split_folders(root) else _read_class_folders(root)
    if not images_directory:
        return listing
    unused = f"images_directory = {images_directory!r} was not used: there is no {DATASET_FILES}/ in {root}"
    return dataclasses.replace(listing, warnings=(*listing.warnings, unused))


def _existing_folder(source: Path) -> Path:
    if source.is_dir():
        return source.absolute()
    if source.exists():
        raise DatasetError(f"{source}: expected a folder or an archive, found a file. Expected {EXPECTED}")
    parent = next(folder for folder in source.absolute().parents if folder.is_dir())
    names = sorted(entry.name for entry in parent.iterdir() if not _is_hidden(entry.name))
    near = difflib.get_close_matches(source.name, names, n=3, cutoff=0.5)
    offer = f"Did you mean: {', '.join(near)}?" if near else f"There are: {_some(names)}."
    raise DatasetError(f"{source}: no such folder or archive. Looked in {parent}. {offer}")


def _without_wrapping(root: Path) -> Path:
    """The folder that holds the dataset: archives often hold one folder with everything in it."""
    while True:
        folders = _folders(root)
        if len(folders) != 1 or folders[0].name == DATASET_FILES or folders[0].name.lower() in _FOLDER_OF_SPLIT:
            return root
        if not _folders(folders[0]) or any(_is_picture(path) for path in _files(root)):
            return root
        root = folders[0]


def _read_class_folders(root: Path) -> Listing:
    samples: list[Sample] = []
    ignored: list[str] = []
    unlistable: list[str] = []
    problems: list[str] = []
    filled: list[str] = []
    folders = _folders(root)
    for folder in folders:
        names, others = _pictures(folder, root)
        ignored += others
        unlistable += [name for name in names if not is_listable(name)]
        names = [name for name in names if is_listable(name)]
        if names:
            problems += _class_name_problems(folder)
            samples += [Sample(root / name, name, len(filled)) for name in names]
            filled.append(folder.name)
    loose = [path for path in _files(root) if _is_picture(path)]
    if not samples:
        _refuse_layout(root, folders, loose, unlistable)
    if len(filled) < 2:
        problems.append(f"{root}: expected pictures of two classes or more, found pictures of one: {filled[0]}")
    _raise_all(root, problems)
    ignored += [path.name for path in _files(root)]
    return Listing(
        layout="a folder per class",
        root=root,
        classes=tuple(filled),
        splits={"train": tuple(samples), "val": (), "test": ()},
        has_splits=False,
        ignored=tuple(printable(name) for name in ignored),
        unlistable=tuple(unlistable),
        warnings=(
            *_empty_classes(folder.name for folder in folders if folder.name not in filled),
            *_outside_classes(loose),
        ),
    )


def _read_split_folders(root: Path) -> Listing:
    folders = _split_folders(root)
    problems = [
        f"{root}: expected one folder for {split}, found {' and '.join(folder.name for folder in found)}"
        for split, found in folders.items()
        if len(found) > 1
    ]
    classes = sorted({folder.name for found in folders.values() for folder in _folders(found[0])})
    label_of = {name: label for label, name in enumerate(classes)}
    splits: dict[Split, tuple[Sample, ...]] = {split: () for split in SPLITS}
    ignored = [path.name for path in _files(root)]
    unlistable: list[str] = []
    for split, found in folders.items():
        samples = []
        for folder in _folders(found[0]):
            names, others = _pictures(folder, root)
            problems += _class_name_problems(folder)
            ignored += others
            unlistable += [name for name in names if not is_listable(name)]
            samples += [Sample(root / name, name, label_of[folder.name]) for name in names if is_listable(name)]
        ignored += [path.relative_to(root).as_posix() for path in _files(found[0])]
        splits[split] = tuple(samples)
    known = {folder for found in folders.values() for folder in found}
    ignored += [f"{folder.name}/" for folder in _folders(root) if folder not in known]
    if not splits["train"]:
        train = folders["train"][0]
        problems.append(f"{train}: expected a folder per class with pictures, found {_found(train)}")
    elif len(classes) < 2:
        problems.append(f"{root}: expected pictures of two classes or more, found one: {classes[0]}")
    _raise_all(root, problems)
    named = ", ".join(f"{folders[split][0].name}/" for split in SPLITS if split in folders)
    return Listing(
        layout=f"{named} with a folder per class",
        root=root,
        classes=tuple(classes),
        splits=splits,
        has_splits=True,
        ignored=tuple(printable(name) for name in ignored),
        unlistable=tuple(unlistable),
    )


def _split_folders(root: Path) -> dict[Split, list[Path]]:
    """The folders of each split, or none where this is another layout (a class may be called `train`)."""
    found: dict[Split, list[Path]] = {}
    folders = _folders(root)
    for folder in folders:
        split = _FOLDER_OF_SPLIT.get(folder.name.lower())
        if split is not None:
            found.setdefault(split, []).append(folder)
    return found if "train" in found and (len(found) > 1 or len(folders) == 1) else {}


def _read_lists(root: Path, images_directory: str) -> Listing:
    files = root / DATASET_FILES
    missing = [name for name in (CLASSES, "train.txt") if not (files / name).is_file()]
    if missing:
        raise DatasetError(f"{files}: expected {CLASSES} and train.txt, found {_found(files)}")
    problems: list[str] = []
    classes = _read_classes(files / CLASSES, problems)
    images = root / (images_directory or IMAGES)
    lines = {split: list(_read_list(files / f"{split}.txt", classes, problems)) for split in SPLITS}
    problems += _listed_twice(line for split in SPLITS for line in lines[split])
    if not lines["train"] and not problems:
        problems.append(f"{files / 'train.txt'}: expected lines `path label`, found none")
    problems += _missing_images([line for split in SPLITS for line in lines[split]], images, root)
    _raise_all(root, problems)
    return Listing(
        layout=f"lists in {DATASET_FILES}/",
        root=images,
        classes=tuple(classes),
        splits={
            split: tuple(Sample(images / line.name, line.name, line.label) for line in lines[split]) for split in SPLITS
        },
        has_splits=True,
    )


@dataclasses.dataclass(frozen=True)
class _Line:
    where: str
    name: str
    label: int


def _read_classes(path: Path, problems: list[str]) -> list[str]:
    names = _read_lines(path, problems)
    while names and not names[-1].strip(_BLANKS):
        names.pop()
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        name = name.strip(_BLANKS)
        if not name:
            problems.append(f"{path}:{number}: expected the name of a class, found a blank line")
        elif name in first:
            problems.append(f"{path}:{number}: the class {name!r} is there already, in line {first[name]}")
        first.setdefault(name, number)
    if len(names) < 2 and not problems:
        problems.append(f"{path}: expected two classes or more, one a line, found {len(names)}")
    return [name.strip(_BLANKS) for name in names]


def _read_list(path: Path, classes: Sequence[str], problems: list[str]) -> Iterator[_Line]:
    if not path.exists():
        return
    for number, text in enumerate(_read_lines(path, problems), start=1):
        if not text.strip(_BLANKS):
            continue
        where = f"{path}:{number}"
        parsed = parse_line(text)
        if parsed is None:
            problems.append(f"{where}: expected `path label` with a whole number as the label, received {text[:200]!r}")
            continue
        name, label = posixpath.normpath(parsed[0]), parsed[1]
        if name.startswith(("/", "../")) or name == "..":
            problems.append(f"{where}: expected a path inside the images folder, received {name!r}")
        elif classes and not 0 <= label < len(classes):
            highest = f"0 to {len(classes) - 1} ({path.with_name(CLASSES).name} has {len(classes)} classes)"
            problems.append(f"{where}: expected a label from {highest}, received {label}")
        else:
            yield _Line(where, name, label)


def _read_lines(path: Path, problems: list[str]) -> list[str]:
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        problems.append(f"{path}: expected a file that can be read, received: {error.strerror or error}")
        return []
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        problems.append(f"{path}:{number}: expected UTF-8 text, received {error.reason}. Save the file as UTF-8")
        return []
    # Not `splitlines`: it also splits at characters that may stand in a file name.
    return re.split(r"\r\n|\n|\r", text)


def _listed_twice(lines: Iterable[_Line]) -> Iterator[str]:
    first: dict[str, _Line] = {}
    for line in lines:
        before = first.setdefault(line.name, line)
        if before is not line:
            yield f"{line.where}: {line.name!r} is listed already, in {before.where}"


def _missing_images(lines: Sequence[_Line], images: Path, root: Path) -> list[str]:
    missing = [line for line in lines if not (images / line.name).is_file()]
    if not missing or len(missing) < len(lines):
        return [f"{line.where}: no such image: {images / line.name}" for line in missing]
    state = "none of the listed images is there" if images.is_dir() else "no such folder"
    better = [
        folder.relative_to(root).as_posix() for folder in (root, *_folders(root)) if (folder / lines[0].name).is_file()
    ]
    advice = f"They are in {better[0]!r}: set" if better else f"{root} holds {_found(root)}. Set"
    return [
        f"{images}: {state}, such as {lines[0].name!r}. {advice} images_directory to the folder "
        "where the paths of the lists start"
    ]


def _class_name_problems(folder: Path) -> list[str]:
    if is_listable(folder.name):
        return []
    return [f"{folder.parent}: expected a class name without line ends or blanks around it, found {folder.name!r}"]


def _empty_classes(names: Iterable[str]) -> list[str]:
    empty = list(names)
    return [f"{len(empty)} folders hold no pictures and are no classes: {_some(empty)}"] if empty else []


def _outside_classes(loose: Sequence[Path]) -> list[str]:
    if not loose:
        return []
    return [f"pictures outside the class folders were left out, {len(loose)} of them: {_some_paths(loose)}"]


def _refuse_layout(root: Path, folders: Sequence[Path], loose: Sequence[Path], unlistable: Sequence[str]) -> NoReturn:
    if unlistable:
        found = f"only pictures whose names have line ends, blanks around them or are not UTF-8: {_some(unlistable)}"
    elif loose and not folders:
        found = f"{len(loose)} pictures and no class folders: {_some_paths(loose)}"
    else:
        found = _found(root)
    raise DatasetError(f"{root}: expected {EXPECTED}\nfound {found}")


def _raise_all(root: Path, problems: Sequence[str]) -> None:
    if problems:
        raise DatasetError(f"{root}: {describe_problems(problems)}")


def _pictures(folder: Path, root: Path) -> tuple[list[str], list[str]]:
    """The names, from `root`, of the pictures in a folder and below, and of its other files; both sorted."""
    pictures: list[str] = []
    others: list[str] = []
    for path in _walk(folder):
        (pictures if _is_picture(path) else others).append(path.relative_to(root).as_posix())
    return sorted(pictures), sorted(others)


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for directory, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        # A link may lead back to a folder above it.
        real = os.path.realpath(directory)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield from (Path(directory, name) for name in files)


def _raise(error: OSError) -> NoReturn:
    """For `os.walk`, which otherwise passes over a folder that it cannot read."""
    raise error


def _is_picture(path: Path) -> bool:
    if _is_hidden(path.name):
        return False
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with open(path, "rb") as stream:
            return looks_like_image(stream.read(16))
    except OSError:
        return False


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not _is_hidden(path.name))


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if not path.is_dir())


def _found(root: Path) -> str:
    names = [f"{path.name}/" for path in _folders(root)] + [path.name for path in _files(root)]
    return _some(names) if names else "an empty folder"


def _some_paths(paths: Sequence[Path]) -> str:
    return _some([path.name for path in paths])


def _some(names: Sequence[str], most: int = 8) -> str:
    listed = ", ".join(printable(name) for name in names[:most])
    return f"{listed} and {len(names) - most:,} more" if len(names) > most else listed
