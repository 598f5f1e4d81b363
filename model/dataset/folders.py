"""Layouts made of folders: a folder per class, in split folders and folders of groups or not."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from model.dataset.class_level import find_class_level, folders_at, without_containers
from model.dataset.folder_names import ASIDES
from model.dataset.folder_tree import Folder
from model.dataset.listing import EXPECTED, Listing, Problems, advice_for_names, is_listable
from model.dataset.split_folders import SplitFolders, find_split_folders
from model.dataset.unread_folders import describe_unread_folders
from model.errors import DatasetError
from model.files.browsing import describe_content, name_some
from model.results import SPLITS, Sample, Split
from model.shown import counted, printable

_MASK = re.compile(r"(.+)[-_. ](?:mask|seg|segmentation|annotation|label|gt)(?:[-_. ]?\d+)?", re.IGNORECASE)


def read_folders(root: Path, tree: Folder, class_level: int | None = None, for_training: bool = True) -> Listing:
    """Read the class folders of a dataset; see `model.dataset.layouts.find_layout`.

    Args:
        tree: the folders of `root`.
        class_level: level of the class folders below split folders and containers, from 1; None: detected.
        for_training: refuse images of one class only.
    """
    splits = find_split_folders(tree)
    roots: Mapping[Split, Folder] = splits.folders if splits else {"train": without_containers(tree)}
    if not folders_at([roots["train"]], 1):
        _refuse_train(root, tree, roots["train"], splits)
    level, warnings = _level(root, list(roots.values()), class_level)
    found = {split: folders_at([folder], level) for split, folder in roots.items()}
    problems = Problems(splits.problems if splits else ())
    for folder in {folder.name: folder for folders in found.values() for folder in folders}.values():
        if not is_listable(folder.name):
            place = (root / folder.path).parent
            problems.add(f"{place}: expected a class name without line ends or blanks around it, found {folder.name!r}")
    names_of, unlistable = _names(found)
    classes = tuple(sorted({name for of_class in names_of.values() for name, names in of_class.items() if names}))
    if not any(names_of["train"].values()):
        if not unlistable:
            _refuse_train(root, tree, roots["train"], splits)
        _refuse_names(root, unlistable)
    unread = describe_unread_folders(root, _without_images(roots.values(), level), classes)
    if len(classes) < 2 and for_training:
        found_one = f"{root}: expected images of two classes or more, found images of one: {classes[0]}"
        problems.add("; ".join([found_one, *unread]))
    problems.raise_all(root)
    samples = _samples(root, classes, names_of)
    read = {folder.path for folders in found.values() for folder in folders}
    above = {parent.as_posix() for path in read for parent in PurePosixPath(path).parents}
    ignored, outside = _left_out(tree, read, above)
    return Listing(
        layout=_describe(splits),
        root=root,
        classes=classes,
        splits=samples,
        has_splits=splits is not None,
        uses=("class_level", "table"),
        ignored=tuple(printable(name) for name in ignored),
        outside=tuple(outside),
        unlistable=tuple(unlistable),
        warnings=(
            *warnings,
            *unread,
            *_doubtful_classes(classes),
            *_masks([sample.name for of_split in samples.values() for sample in of_split]),
        ),
    )


def _level(root: Path, roots: Sequence[Folder], requested: int | None) -> tuple[int, tuple[str, ...]]:
    """Level of the classes, and warnings about it."""
    if requested is None:
        found = find_class_level(roots, root)
        return found.level, found.warnings
    if not folders_at(roots, requested):
        depth = next(level for level in range(requested) if not folders_at(roots, level + 1))
        raise DatasetError(f"{root}: expected class_level of at most {depth}, the levels found, received {requested}")
    return requested, ()


def _names(found: Mapping[Split, Sequence[Folder]]) -> tuple[dict[Split, dict[str, list[str]]], list[str]]:
    """Images of each class in each split, and images whose names cannot be written to a list."""
    names_of: dict[Split, dict[str, list[str]]] = {split: {} for split in SPLITS}
    unlistable: list[str] = []
    for split, folders in found.items():
        for folder in folders:
            of_class = names_of[split].setdefault(folder.name, [])
            for name in folder.images_below():
                (of_class if is_listable(name) else unlistable).append(name)
    return names_of, unlistable


def _samples(
    root: Path, classes: Sequence[str], names_of: Mapping[Split, Mapping[str, Sequence[str]]]
) -> dict[Split, tuple[Sample, ...]]:
    return {
        split: tuple(
            Sample(root / name, name, label)
            for label, class_name in enumerate(classes)
            for name in sorted(names_of[split].get(class_name, ()))
        )
        for split in SPLITS
    }


def _left_out(tree: Folder, classes: set[str], above: set[str]) -> tuple[list[str], list[str]]:
    """Files and folders that are not images of a class, and the images among them."""
    if tree.path in classes:
        return tree.others_below(), []
    if tree.path and tree.path not in above:
        return [f"{tree.path}/"], tree.images_below()
    ignored, outside = [*tree.images, *tree.others], list(tree.images)
    for folder in tree.folders:
        if not folder.total and not folder.others_below():
            continue
        more, images = _left_out(folder, classes, above)
        ignored += more
        outside += images
    return ignored, outside


def _describe(splits: SplitFolders | None) -> str:
    if splits is None:
        return "a folder per class"
    return f"{', '.join(f'{name}/' for name in splits.named)} with a folder per class"


def _without_images(roots: Iterable[Folder], level: int) -> list[Folder]:
    parents = [folder for root in roots for folder in folders_at([root], level - 1)]
    return [child for parent in parents for child in parent.folders if not child.total]


def _doubtful_classes(classes: Sequence[str]) -> list[str]:
    doubtful = [name for name in classes if name.lower() in ASIDES]
    if not doubtful:
        return []
    return [f"{name_some(doubtful)} was read as a class: move the folder out of the dataset if it is none"]


def _masks(names: Sequence[str]) -> list[str]:
    """Warning about images named after another one and `mask`, such as `1_mask.png` next to `1.png`."""
    stems = {name.rpartition(".")[0] for name in names}
    masks = [name for name in names if (found := _MASK.fullmatch(name.rpartition(".")[0])) and found[1] in stems]
    if not masks:
        return []
    return [
        f"images with the names of masks were read as photos, {len(masks):,} of them: {name_some(masks)}. Move them "
        "out of the dataset"
    ]


def _refuse_train(root: Path, tree: Folder, train: Folder, splits: SplitFolders | None) -> NoReturn:
    if splits:
        place = root / train.path
        problem = f"{place}: expected a folder per class with images, found {describe_content(place)}"
        raise DatasetError(f"{root}: " + "\n  ".join([*splits.problems, problem]))
    loose = tree.images
    found = describe_content(root)
    if loose and not tree.folders:
        found = f"{counted(len(loose), 'image')} and no class folders: {name_some(loose)}"
    raise DatasetError(f"{root}: expected {EXPECTED}\nfound {found}")


def _refuse_names(root: Path, unlistable: Sequence[str]) -> NoReturn:
    raise DatasetError(
        f"{root}: expected {EXPECTED}\nfound images whose names contain line breaks, have surrounding blanks or are "
        f"not UTF-8: {name_some(unlistable)}{advice_for_names()}"
    )
