"""Folders of splits, such as train/ and test/, at any level of a dataset."""

import dataclasses
from collections.abc import Mapping

from model.dataset.class_level import relevant_folders, without_containers
from model.dataset.folder_names import CONTAINERS, says_unlabelled, split_names
from model.dataset.folder_tree import Folder, combined
from model.results import SPLITS, Split

# Images beside a folder that contains the dataset, such as a sample, are no classes if they are so few.
_FEW_FRACTION = 0.1


@dataclasses.dataclass(frozen=True)
class SplitFolders:
    """Folders of the splits of a dataset.

    Attributes:
        folders: split -> folder in which the classes of the split are, directly or in folders of groups.
        named: names of the split folders, in the order of the splits.
        problems: sentences, such as about two folders for one split.
    """

    folders: Mapping[Split, Folder]
    named: tuple[str, ...]
    problems: tuple[str, ...] = ()


def find_split_folders(folder: Folder) -> SplitFolders | None:
    """Find folders of splits: in a dataset, in a folder that contains all of it, or in each class or group.

    Returns:
        None if the dataset has none; a class may be called `train`.
    """
    found = _split_children(folder)
    if found:
        problems = [
            f"{folder.path or folder.name}: expected one folder for {split}, found "
            + " and ".join(child.name for child in children)
            + ". Move their class folders into one, or move the others out of the dataset"
            for split, children in found.items()
            if len(children) > 1
        ]
        named = tuple(children[0].name for children in found.values())
        return SplitFolders(
            _unwrapped({split: children[0] for split, children in found.items()}), named, tuple(problems)
        )
    inside = relevant_folders(folder)
    if not inside or len(folder.images) > _FEW_FRACTION * folder.total:
        return None
    return find_split_folders(inside[0]) if len(inside) == 1 else _splits_of_each(folder, inside)


def _split_children(folder: Folder) -> dict[Split, list[Folder]]:
    """Folders of each split in a folder: train and another, or train alone without any other folder."""
    children = {child.name: child for child in folder.folders}
    named = split_names(children)
    if "train" not in named or (len(named) == 1 and len(children) > 1):
        return {}
    return {split: [children[name] for name in names] for split, names in named.items()}


def _splits_of_each(folder: Folder, inside: tuple[Folder, ...]) -> SplitFolders | None:
    """Splits in each class (`cat/train/`) or group (`site1/train/cat/`): the same folders with the split outermost."""
    splits_of = {child.name: _split_children(child) for child in inside}
    if not all(splits_of.values()):
        return None
    folders: dict[Split, Folder] = {}
    for split in SPLITS:
        members = []
        for child in inside:
            members += [
                combined(child.name, content.path, content.folders, content)
                for content in splits_of[child.name].get(split, [])
            ]
        if members:
            folders[split] = Folder(split, folder.path, (), (), tuple(members), sum(member.total for member in members))
    return SplitFolders(_unwrapped(folders), tuple(folders))


def _unwrapped(folders: Mapping[Split, Folder]) -> dict[Split, Folder]:
    """Folders of the splits without containers in them, such as `seg_train/` in `seg_train/`.

    In a split besides train, folders hold images without labels if none has the name of a class, and either there is
    one that describes no class, or the name of the split says so, such as `test_unlabeled/`.
    """
    unwrapped: dict[Split, Folder] = {"train": without_containers(folders["train"])}
    classes = [child.name for child in relevant_folders(unwrapped["train"])]
    for split, folder in folders.items():
        if split != "train":
            unwrapped[split] = _without_unlabelled(without_containers(folder, classes), classes)
    return unwrapped


def _without_unlabelled(folder: Folder, classes: list[str]) -> Folder:
    names = [child.name for child in relevant_folders(folder)]
    if not names or not set(names).isdisjoint(classes):
        return folder
    is_unlabelled = says_unlabelled(folder.name) or (len(names) == 1 and _holds_unlabelled(names[0], folder.name))
    return combined(folder.name, folder.path, (), folder) if is_unlabelled else folder


def _holds_unlabelled(name: str, split: str) -> bool:
    return name == split or name.lower() in CONTAINERS or says_unlabelled(name) or bool(split_names([name]))
