"""Which level of nested folders are the classes: found by their names, or set by the user."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

from model.dataset.folder_names import ASIDES, Kind, describes_no_class, kind_of_names, split_in
from model.dataset.folder_tree import Folder
from model.errors import DatasetError
from model.files.browsing import name_some

# Folders of class folders may contain a few images of their own, such as a map of the site.
_STRAY_FRACTION = 0.2
# Images beside a folder of class folders are hardly classes if they are so few.
_FEW_FRACTION = 0.1
_SHOWN = 6


@dataclasses.dataclass(frozen=True)
class ClassLevel:
    """Level of the folders that are the classes.

    Attributes:
        level: 1 for the folders in the dataset (or in `train/`), 2 for the folders in those, and so on.
        warnings: sentences about another possible level.
    """

    level: int
    warnings: tuple[str, ...] = ()


def relevant_folders(folder: Folder) -> tuple[Folder, ...]:
    """Folders with images that may be, or contain, classes: without `docs/` and the like beside folders of folders."""
    filled = folder.filled
    if any(not child.images for child in filled):
        filled = tuple(child for child in filled if child.name.lower() not in ASIDES) or filled
    return filled


def without_containers(folder: Folder, stop_at: Sequence[str] = ()) -> Folder:
    """Innermost of the folders that contain nothing but one folder of folders.

    Args:
        stop_at: class names; a folder of this name is not entered.
    """
    while not folder.images:
        inside = relevant_folders(folder)
        if len(inside) != 1 or inside[0].images or inside[0].name in stop_at:
            break
        folder = inside[0]
    return folder


def folders_at(roots: Sequence[Folder], level: int) -> list[Folder]:
    """Relevant folders at a level below the roots; the roots are level 0."""
    folders = list(roots)
    for _ in range(level):
        folders = [child for folder in folders for child in relevant_folders(folder)]
    return folders


def find_class_level(roots: Sequence[Folder], dataset: Path) -> ClassLevel:
    """Find the level of the classes below `roots`, which has folders with images.

    Raises:
        DatasetError: the names allow more than one reading; the message lists them with the options to set.
    """
    levels = _levels(roots)
    kinds = _kinds(levels)
    possible = [number for number, kind in enumerate(kinds, start=1) if kind in ("plain", "number")]
    if not possible:
        possible = [number for number, kind in enumerate(kinds, start=1) if kind == "group"] or [len(levels)]
    first = possible[0]
    if len(possible) == 1:
        if first == len(levels):
            _refuse_mixture(levels, dataset)
        upper = [number for number, kind in enumerate(kinds[: first - 1], start=1) if kind != "single"]
        lower = [number for number, kind in enumerate(kinds[first:], start=first + 1) if kind != "single"]
        warnings = _group_warnings(levels, upper, has_splits=len(roots) > 1)
        return ClassLevel(first, (*warnings, *_part_warnings(levels, first, lower)))
    _refuse_splits(levels, first, dataset)
    others = possible[1:]
    are_numbered_parts = kinds[first - 1] == "plain" and all(kinds[other - 1] == "number" for other in others)
    are_distinct = kinds[first - 1] == "plain" and not any(_shared(levels, first, other) for other in others)
    if not are_numbered_parts and not are_distinct:
        _refuse_levels(levels, possible, dataset)
    return ClassLevel(first, _part_warnings(levels, first, others))


def _levels(roots: Sequence[Folder]) -> list[list[Folder]]:
    """Folders at each level, down to the first one at which they have images of their own."""
    levels: list[list[Folder]] = []
    folders = folders_at(roots, 1)
    while folders:
        levels.append(folders)
        if any(folder.images for folder in folders) and not _has_stray_images(levels):
            break
        folders = folders_at(folders, 1)
    return levels


def _has_stray_images(levels: Sequence[Sequence[Folder]]) -> bool:
    """Whether folders of equally named folders have only a few images of their own."""
    folders = levels[-1]
    own = sum(len(folder.images) for folder in folders)
    below = folders_at(folders, 1)
    return (
        all(folder.filled for folder in folders)
        and own <= _STRAY_FRACTION * sum(folder.total for folder in folders)
        and len({folder.name for folder in below}) > 1
        and bool(_shared([folders, below], 1, 2))
    )


def _kinds(levels: Sequence[Sequence[Folder]]) -> list[Kind]:
    kinds = [kind_of_names([folder.name for folder in folders]) for folders in levels]
    for number in range(1, len(kinds)):
        # Months below years, stations below months: numbers with class folders below them.
        if kinds[number] == "number" and kinds[number - 1] == "group" and "plain" in kinds[number:]:
            kinds[number] = "group"
    return kinds


def _shared(levels: Sequence[Sequence[Folder]], upper: int, lower: int) -> list[str]:
    """Names at the lower level that occur below folders of different names at the upper level."""
    parents: dict[str, set[str]] = {}
    for folder in levels[upper - 1]:
        for inside in folders_at([folder], lower - upper):
            parents.setdefault(inside.name, set()).add(folder.name)
    return sorted(name for name, names in parents.items() if len(names) > 1)


def _group_warnings(levels: Sequence[Sequence[Folder]], upper: Sequence[int], has_splits: bool) -> tuple[str, ...]:
    """Warning about levels above the classes, which were read as groups."""
    return tuple(
        f"the folders {_names(levels, level)} were read as groups of images, not as classes. If they are the classes, "
        f"set class_level = {level}{'' if has_splits else _pattern_advice(levels, level)}"
        for level in upper
    )


def _part_warnings(levels: Sequence[Sequence[Folder]], level: int, lower: Sequence[int]) -> tuple[str, ...]:
    """Warning about levels below the classes, which were read as parts of them."""
    return tuple(
        f"the folders {_names(levels, level)} have no images of their own and were read as the classes, with all "
        f"images of the folders in them ({_names(levels, other)}). If these are the classes, set class_level = {other}"
        for other in lower[:1]
    )


def _pattern_advice(levels: Sequence[Sequence[Folder]], level: int) -> str:
    """Advice how to keep the images of each folder at a level in one split; empty if no pattern of paths does."""
    depths = {folder.path.count("/") for folder in levels[level - 1]}
    if len(depths) != 1:
        return ""
    depth = depths.pop()
    pattern = "^([^/]+)/" if not depth else f"^((?:[^/]+/){{{depth + 1}}})"
    return f"; to keep the images of each in one split, set group_pattern = {shlex.quote(pattern)}"


def _refuse_levels(levels: Sequence[Sequence[Folder]], possible: Sequence[int], dataset: Path) -> None:
    for level in possible[1:]:
        names = {folder.name for folder in levels[level - 1]}
        asides = sorted(name for name in names if name.lower() in ASIDES)
        if asides and all(describes_no_class(name) for name in names):
            raise DatasetError(
                f"{dataset}: expected photos only in the folders of the classes, found {name_some(asides, _SHOWN)} in "
                f"{_names(levels, level - 1)}. Move {name_some(asides, _SHOWN)} out of the dataset: with class_level = "
                f"{level - 1} (--class-level {level - 1}) the images in them are photos of the classes as well"
            )
    readings = []
    for level in possible:
        upper = [other for other in possible if other < level]
        merged = f", each with its images of {_names(levels, upper[-1])}" if upper else ""
        advice = _pattern_advice(levels, upper[-1]) if upper else ""
        readings.append(f"  class_level = {level}: the classes are {_names(levels, level)}{merged}{advice}")
    first = levels[possible[0] - 1][0]
    raise DatasetError(
        f"{dataset}: expected one possible level of class folders, found several: folders without images of their own "
        "that contain folders. Set one of:\n"
        + "\n".join(readings)
        + f"\nor give one of the folders as the dataset, such as {first.path}/. Options of the command are written as "
        f"--class-level {possible[-1]}"
    )


def _refuse_mixture(levels: Sequence[Sequence[Folder]], dataset: Path) -> None:
    """Refuse class folders beside a folder of folders that holds most of the images, or repeats their names."""
    folders, level = levels[-1], len(levels)
    _refuse_names_of_no_class(folders, dataset)
    _refuse_splits(levels, level, dataset)
    containers = [folder for folder in folders if not folder.images and len(folder.filled) > 1]
    if not containers:
        return
    names = {folder.name for folder in folders if folder.images}
    few = sum(folder.total for folder in folders if folder.images)
    for container in containers:
        inside = [folder.name for folder in container.filled]
        if few <= _FEW_FRACTION * container.total or names.intersection(inside):
            raise DatasetError(
                f"{dataset}: expected a folder per class, found folders in {container.path}/ "
                f"({name_some(inside, _SHOWN)}) and other folders with images next to it "
                f"({name_some(sorted(names), _SHOWN)}). Set one of:\n"
                f"  the folder {container.path}/ as the dataset: the classes are {name_some(inside, _SHOWN)}\n"
                f"  class_level = {level}: the classes are {_names(levels, level)}\n"
                f"Options of the command are written as --class-level {level}"
            )


def _refuse_splits(levels: Sequence[Sequence[Folder]], level: int, dataset: Path) -> None:
    """Refuse folders of folders with the name of a split beside others: hardly classes, and not all of them splits."""
    folders = levels[level - 1]
    named = sorted({folder.name for folder in folders if split_in(folder.name) and not folder.images})
    others = sorted({folder.name for folder in folders if folder.name not in named})
    if not named:
        return
    readings = [
        f"  the folder {folder.path}/ as the dataset: the classes are "
        + name_some([child.name for child in folder.filled], _SHOWN)
        for folder in folders
        if not folder.images and len(folder.filled) > 1
    ]
    readings += [f"  class_level = {level}: the classes are {_names(levels, level)}"]
    neighbours = f", beside {name_some(others, _SHOWN)}" if others else ""
    raise DatasetError(
        f"{dataset}: expected a folder per class, or only split folders, train/ among them; found folders with the "
        f"names of splits, {name_some(named, _SHOWN)}{neighbours}. Rename the folders that are splits to train, "
        "val and test, and move those without labels out of the dataset; or set one of:\n"
        + "\n".join(readings[:_SHOWN])
        + f"\nOptions of the command are written as --class-level {level}"
    )


def _refuse_names_of_no_class(folders: Sequence[Folder], dataset: Path) -> None:
    names = sorted({folder.name for folder in folders})
    if len(names) > 1 and all(describes_no_class(name) for name in names):
        raise DatasetError(
            f"{dataset}: expected a folder per class, found only folders whose names describe no class: "
            f"{name_some(names, _SHOWN)}. Rename them, or set class_level = 1 (--class-level 1) if they are the classes"
        )


def _names(levels: Sequence[Sequence[Folder]], level: int) -> str:
    return name_some(sorted({folder.name for folder in levels[level - 1]}), _SHOWN)
