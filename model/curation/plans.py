"""Which files each change of a dataset moves: computed before anything is changed."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from model.curation.journal import Entry, Step
from model.curation.names import checked_class_name, file_name, free_name
from model.curation.places import CURATION, REMOVED, UNLABELLED, checked_photo, class_names, class_of, files_in
from model.errors import ConfigError, DatasetError
from model.received import quoted
from model.shown import printable


@dataclasses.dataclass(frozen=True)
class AddClass:
    """A new class without photos."""

    name: str


@dataclasses.dataclass(frozen=True)
class RenameClass:
    """Another name for a class."""

    name: str
    new_name: str


@dataclasses.dataclass(frozen=True)
class MergeClasses:
    """All photos of some classes become photos of another one."""

    names: tuple[str, ...]
    into: str


@dataclasses.dataclass(frozen=True)
class RemoveClass:
    """All photos of a class become removed ones."""

    name: str


@dataclasses.dataclass(frozen=True)
class MovePhotos:
    """Photos become photos of a class; unlabelled ones if its name is empty. Removed photos are restored by it."""

    photos: tuple[str, ...]
    to: str


@dataclasses.dataclass(frozen=True)
class RemovePhotos:
    """Photos are moved away from their classes; none is deleted."""

    photos: tuple[str, ...]


Change = AddClass | RenameClass | MergeClasses | RemoveClass | MovePhotos | RemovePhotos

KINDS: dict[str, type[Change]] = {
    "add_class": AddClass,
    "rename_class": RenameClass,
    "merge_classes": MergeClasses,
    "remove_class": RemoveClass,
    "move_photos": MovePhotos,
    "remove_photos": RemovePhotos,
}
"""Name of each change in the journal and in requests."""


def change_from_json(content: object) -> Change:
    """A change from JSON: `kind` and the attributes of its class.

    Raises:
        ConfigError: it is something else.
    """
    kind = content.get("kind") if isinstance(content, dict) else None
    if not isinstance(content, dict) or kind not in KINDS:
        raise ConfigError(f"expected a change of the kind {', '.join(KINDS)}, received {quoted(kind)}")
    given = {name: value for name, value in content.items() if name != "kind"}
    fields = {field.name: field.type for field in dataclasses.fields(KINDS[kind])}
    if given.keys() != fields.keys() or not all(_has_type(value, fields[name]) for name, value in given.items()):
        raise ConfigError(f"expected {kind} with {', '.join(fields)}, received {quoted(given)}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return KINDS[kind](**values)


def _has_type(value: object, kind: object) -> bool:
    if kind is str:
        return isinstance(value, str)
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


class Names:
    """Free names in the folders of a dataset, while the steps of one change are collected."""

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset
        self._taken: dict[str, set[str]] = {}

    def take(self, folder: str, name: str) -> str:
        """Path of a free name in a folder, which is taken from now on."""
        if folder not in self._taken:
            path = self._dataset / folder
            self._taken[folder] = {one.name.lower() for one in path.iterdir()} if path.is_dir() else set()
        free = free_name(name, self._taken[folder])
        self._taken[folder].add(free.lower())
        return f"{folder}/{free}"


def steps_of(dataset: Path, change: Change) -> list[Step]:
    """Steps that make a change of a dataset as it is now.

    Raises:
        DatasetError: a class or photo is not there, or a name is not accepted.
    """
    plan: Callable[[Path, Any], list[Step]] = _PLANS[type(change)]
    return plan(dataset, change)


def _add_class(dataset: Path, change: AddClass) -> list[Step]:
    return [("", checked_class_name(change.name, class_names(dataset)))]


def _rename_class(dataset: Path, change: RenameClass) -> list[Step]:
    name = existing_class(dataset, change.name)
    return [(name, checked_class_name(change.new_name, [one for one in class_names(dataset) if one != name]))]


def _merge_classes(dataset: Path, change: MergeClasses) -> list[Step]:
    into = existing_class(dataset, change.into)
    sources = [existing_class(dataset, name) for name in change.names if name != into]
    if not sources:
        raise DatasetError("expected two different classes to merge, received one")
    names = Names(dataset)
    return [step for source in sources for step in _emptied(dataset, source, into, names)]


def _remove_class(dataset: Path, change: RemoveClass) -> list[Step]:
    name = existing_class(dataset, change.name)
    return _emptied(dataset, name, f"{REMOVED}/{name}", Names(dataset))


def _emptied(dataset: Path, source: str, target: str, names: Names) -> list[Step]:
    """Steps that move all files of a folder, with its folders, and then remove it."""
    steps: list[Step] = []
    folders = {source}
    for path in files_in(dataset, source):
        inside = PurePosixPath(path).relative_to(source)
        folders |= {f"{source}/{parent}" for parent in inside.parents if parent.name}
        folder = f"{target}/{inside.parent}" if inside.parent.name else target
        steps.append((path, names.take(folder, inside.name)))
    return [*steps, *((folder, "") for folder in sorted(folders, key=len, reverse=True))]


def _move_photos(dataset: Path, change: MovePhotos) -> list[Step]:
    target = existing_class(dataset, change.to) if change.to else UNLABELLED
    names = Names(dataset)
    photos = [photo for photo in _checked(dataset, change.photos) if photo.rpartition("/")[0] != target]
    return [(photo, names.take(target, PurePosixPath(photo).name)) for photo in photos]


def _remove_photos(dataset: Path, change: RemovePhotos) -> list[Step]:
    names = Names(dataset)
    photos = [photo for photo in _checked(dataset, change.photos) if not photo.startswith(f"{REMOVED}/")]
    return [(photo, names.take(removed_folder(photo), PurePosixPath(photo).name)) for photo in photos]


def removed_folder(photo: str) -> str:
    """Folder for a photo when it is removed: named after its class."""
    return f"{REMOVED}/{class_of(photo)}".rstrip("/")


def _checked(dataset: Path, photos: Sequence[str]) -> list[str]:
    """The photos, each once."""
    if not photos:
        raise DatasetError("expected one photo or more, received none")
    for photo in photos:
        checked_photo(dataset, photo)
    return list(dict.fromkeys(photos))


def existing_class(dataset: Path, name: str) -> str:
    """Name of a class that the dataset has.

    Raises:
        DatasetError: it has none of this name.
    """
    if name not in class_names(dataset):
        raise DatasetError(
            f"expected a class of the dataset {dataset.name}, received {quoted(name)}: there is no such class. It may "
            "have been renamed meanwhile: load the page again"
        ).coded("class_gone", name=printable(name))
    return name


def steps_back(dataset: Path, taken_back: Iterable[Entry]) -> list[Step]:
    """Steps that take back entries, the last one first. Photos that they added are removed, not deleted."""
    names = Names(dataset)
    steps: list[Step] = []
    for entry in taken_back:
        for position in reversed(range(len(entry.steps))):
            source, target = entry.steps[position]
            if position in entry.skipped:
                continue
            if source.startswith(f"{CURATION}/") and not source.startswith((f"{REMOVED}/", f"{UNLABELLED}/")):
                steps.append((target, names.take(removed_folder(target), file_name(target))))
            else:
                steps.append((target, source))
    return steps


_PLANS: dict[type[Change], Callable[[Path, Any], list[Step]]] = {
    AddClass: _add_class,
    RenameClass: _rename_class,
    MergeClasses: _merge_classes,
    RemoveClass: _remove_class,
    MovePhotos: _move_photos,
    RemovePhotos: _remove_photos,
}
