"""Layouts made of folders: a folder per class, or split folders with a folder per class in each."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from model.dataset.image_files import images_below, is_image
from model.dataset.listing import EXPECTED, Listing, Problems, is_listable
from model.errors import DatasetError
from model.files.browsing import describe_content, files_in, folders_in, name_some, printable
from model.results import SPLITS, Sample, Split

FOLDER_OF_SPLIT: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def read_class_folders(root: Path) -> Listing:
    """Read a folder per class; see `model.dataset.layouts.find_layout`."""
    samples: list[Sample] = []
    ignored: list[str] = []
    unlistable: list[str] = []
    problems: list[str] = []
    filled: list[str] = []
    folders = folders_in(root)
    for folder in folders:
        names, others = images_below(folder, root)
        ignored += others
        unlistable += [name for name in names if not is_listable(name)]
        names = [name for name in names if is_listable(name)]
        if names:
            problems += _class_name_problems(folder)
            samples += [Sample(root / name, name, len(filled)) for name in names]
            filled.append(folder.name)
    loose = [path for path in files_in(root) if is_image(path)]
    if not samples:
        _refuse_layout(root, folders, loose, unlistable)
    if len(filled) < 2:
        problems.append(f"{root}: expected images of two classes or more, found images of one: {filled[0]}")
    Problems(problems).raise_all(root)
    ignored += [path.name for path in files_in(root)]
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


def read_split_folders(root: Path) -> Listing:
    """Read split folders with a folder per class in each; see `model.dataset.layouts.find_layout`."""
    folders = split_folders(root)
    problems = [
        f"{root}: expected one folder for {split}, found {' and '.join(folder.name for folder in found)}"
        for split, found in folders.items()
        if len(found) > 1
    ]
    classes = sorted({folder.name for found in folders.values() for folder in folders_in(found[0])})
    label_of = {name: label for label, name in enumerate(classes)}
    splits: dict[Split, tuple[Sample, ...]] = {split: () for split in SPLITS}
    ignored = [path.name for path in files_in(root)]
    unlistable: list[str] = []
    for split, found in folders.items():
        samples = []
        for folder in folders_in(found[0]):
            names, others = images_below(folder, root)
            problems += _class_name_problems(folder)
            ignored += others
            unlistable += [name for name in names if not is_listable(name)]
            samples += [Sample(root / name, name, label_of[folder.name]) for name in names if is_listable(name)]
        ignored += [path.relative_to(root).as_posix() for path in files_in(found[0])]
        splits[split] = tuple(samples)
    known = {folder for found in folders.values() for folder in found}
    ignored += [f"{folder.name}/" for folder in folders_in(root) if folder not in known]
    if not splits["train"]:
        train = folders["train"][0]
        problems.append(f"{train}: expected a folder per class with images, found {describe_content(train)}")
    elif len(classes) < 2:
        problems.append(f"{root}: expected images of two classes or more, found one: {classes[0]}")
    Problems(problems).raise_all(root)
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


def split_folders(root: Path) -> dict[Split, list[Path]]:
    """Folders of each split; empty if this is another layout (a class may be called `train`)."""
    found: dict[Split, list[Path]] = {}
    folders = folders_in(root)
    for folder in folders:
        split = FOLDER_OF_SPLIT.get(folder.name.lower())
        if split is not None:
            found.setdefault(split, []).append(folder)
    return found if "train" in found and (len(found) > 1 or len(folders) == 1) else {}


def _class_name_problems(folder: Path) -> list[str]:
    if is_listable(folder.name):
        return []
    return [f"{folder.parent}: expected a class name without line ends or blanks around it, found {folder.name!r}"]


def _empty_classes(names: Iterable[str]) -> list[str]:
    empty = list(names)
    return [f"{len(empty)} folders contain no images and are no classes: {name_some(empty)}"] if empty else []


def _outside_classes(loose: Sequence[Path]) -> list[str]:
    if not loose:
        return []
    return [f"images outside the class folders were ignored, {len(loose)} of them: {_some_paths(loose)}"]


def _some_paths(paths: Sequence[Path]) -> str:
    return name_some([path.name for path in paths])


def _refuse_layout(root: Path, folders: Sequence[Path], loose: Sequence[Path], unlistable: Sequence[str]) -> NoReturn:
    if unlistable:
        found = (
            f"images whose names contain line breaks, have surrounding blanks or are not UTF-8: {name_some(unlistable)}"
        )
    elif loose and not folders:
        found = f"{len(loose)} images and no class folders: {_some_paths(loose)}"
    else:
        found = describe_content(root)
    raise DatasetError(f"{root}: expected {EXPECTED}\nfound {found}")
