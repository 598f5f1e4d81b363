"""Layout of images with a table of their labels, alone or beside class folders."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from model.dataset.folder_names import describes_no_class, kind_of_names, split_of
from model.dataset.listing import Listing, is_listable
from model.dataset.tables.choice import ChosenTables, choose_tables, name_of
from model.dataset.tables.columns import are_one_to_one
from model.dataset.tables.finding import DatasetFiles, FoundTables
from model.dataset.tables.rows import TableRows
from model.errors import DatasetError
from model.files.browsing import name_some
from model.results import SPLITS, Sample, Split
from model.shown import printable

NO_TABLE = "none"
"""Value of the option `table` for the folders, whatever tables there are."""

TABLE_OPTIONS = ("images_directory", "table", "image_column", "label_column", "split_column", "group_column")
"""Options that apply to a table."""

_SHOWN = 3
# A table of fewer of the images beside class folders is about something else.
_MIN_FRACTION = 0.5


def read_named_table(files: DatasetFiles, source: Path) -> Listing:
    """Read the table that the option `table` names; see `model.dataset.layouts.find_layout`."""
    sources = (files.read_columns(files.named_table(source)),)
    return _listing(files, choose_tables(sources, files.index, files.root))


def read_table_without_folders(files: DatasetFiles, found: FoundTables) -> Listing:
    """Read tables that were found in a dataset without class folders; see `model.dataset.layouts.find_layout`."""
    return _listing(files, choose_tables(found.sources, files.index, files.root))


def read_found_tables(files: DatasetFiles, found: FoundTables, folders: Listing) -> Listing:
    """Read tables that were found, or the class folders if they say the same.

    Args:
        found: tables, if there are any.
        folders: the listing of the class folders.

    Raises:
        DatasetError: problems in the tables, or tables and folders that contradict each other.
    """
    if not found.sources:
        return with_warnings(folders, *(f"the class folders were read, and no table: {text}" for text in found.unclear))
    if files.options.images_directory or files.options.has_columns:
        return read_table_without_folders(files, found)
    try:
        chosen = choose_tables(found.sources, files.index, files.root)
    except DatasetError as error:
        return with_warnings(folders, f"the class folders were read, and no table: {' '.join(error.message.split())}")
    names = name_some([name_of(source, files.root) for source in chosen.sources], _SHOWN)
    class_of = {sample.name: folders.classes[sample.label] for split in SPLITS for sample in folders.splits[split]}
    both = [name for name in chosen.rows.label_of if name in class_of]
    if not both and folders.has_splits:
        return _with_unlabelled_split(files, chosen, folders, names)
    pairs = {(class_of[name], chosen.rows.label(name)) for name in both}
    if pairs and are_one_to_one(pairs):
        has_more = _has_more(chosen.rows, folders)
        if has_more and len(both) == len(class_of) and not chosen.rows.problems:
            return _listing(files, chosen)
        return with_warnings(folders, *_unread(chosen.rows, names))
    if len(both) < _MIN_FRACTION * len(class_of) and kind_of_names(folders.classes) == "plain":
        warning = (
            f"the class folders were read, and not {names}, which labels {len(both):,} of {len(class_of):,} images"
        )
        return with_warnings(folders, f"{warning}: table = {names} reads it", *_unread(chosen.rows, names))
    if kind_of_names(folders.classes) == "plain" and not any(map(describes_no_class, folders.classes)):
        if pairs:
            _refuse_contradiction(files.root, chosen.rows, class_of, names)
        return with_warnings(folders, *_unread(chosen.rows, names))
    return with_warnings(
        _listing(files, chosen),
        f"the labels were read from {names}, not from the folders {name_some(folders.classes, _SHOWN)}: "
        f"table = {NO_TABLE} reads the folders as the classes",
    )


def with_warnings(listing: Listing, *warnings: str) -> Listing:
    """A listing with more warnings."""
    return dataclasses.replace(listing, warnings=(*listing.warnings, *warnings))


def _listing(files: DatasetFiles, chosen: ChosenTables) -> Listing:
    rows = chosen.rows
    names = ", ".join(name_of(source, files.root) for source in chosen.sources[:_SHOWN])
    if not rows.problems:
        place = files.root / names
        if len(rows.labels) < 2 and files.options.for_training:
            found = name_some(rows.labels) or "none"
            advice = "Confirm their labels, or remove the column with their states to use all rows"
            reasons = [". ".join(["", *rows.unused, advice])] if rows.unused else [""]
            rows.problems.add(f"{place}: expected labels of two classes or more, found {found}{reasons[0]}")
        if rows.split_of and "train" not in rows.split_of.values() and files.options.for_training:
            rows.problems.add(f"{place}: expected images for training, found none")
        for label in (label for label in rows.labels if not is_listable(label)):
            rows.problems.add(f"{place}: expected labels without line breaks, found {label!r}")
    rows.problems.raise_all(files.root)
    classes = _sorted_labels(rows.labels)
    position = {name: label for label, name in enumerate(classes)}
    samples: dict[Split, list[Sample]] = {split: [] for split in SPLITS}
    for name in sorted(rows.label_of):
        sample = Sample(files.root / name, name, position[rows.label(name)])
        samples[rows.split_of.get(name, "train")].append(sample)
    read = {name_of(source, files.root) for source in chosen.sources}
    columns = chosen.sources[0].columns
    label = f"{len(columns.one_hot)} columns" if columns.label is None else columns.names[columns.label]
    return Listing(
        layout=f"table {names} (images: {columns.names[columns.image]}; labels: {label})",
        root=files.root,
        classes=classes,
        splits={split: tuple(of_split) for split, of_split in samples.items()},
        has_splits=bool(rows.split_of),
        uses=TABLE_OPTIONS,
        ignored=tuple(printable(name) for name in files.others if name not in read),
        unlistable=files.unlistable,
        warnings=(
            *(warning for source in chosen.sources for warning in source.table.warnings),
            *chosen.warnings,
            *rows.warnings,
            *_unlabelled(files.images, rows.label_of),
            *dict.fromkeys(note for source in chosen.sources for note in source.columns.notes),
        ),
        groups=rows.group_of,
    )


def _with_unlabelled_split(files: DatasetFiles, chosen: ChosenTables, folders: Listing, names: str) -> Listing:
    """The class folders with the images of a split that only a table labels, such as `val/` of ImageNet.

    The labels must be names of class folders, and the images in folders of splits; otherwise the table is not read.
    """
    rows = chosen.rows
    if rows.problems:
        return with_warnings(folders, *_unread(rows, names))
    others = sorted(set(rows.labels) - set(folders.classes))
    of_table = {name: _split_in_path(name) or rows.split_of.get(name) for name in rows.label_of}
    if others or not all(of_table.values()):
        reason = (
            f"expected names of class folders as its labels, found {name_some(others, _SHOWN)}. Write those names in it"
            if others
            else "expected these images in folders of splits, such as val/. Move them there"
        )
        sentence = f"{names} was not read, which labels {len(of_table):,} images outside the class folders: {reason}"
        return with_warnings(folders, sentence)
    label_of = {name: label for label, name in enumerate(folders.classes)}
    samples = {
        split: (
            *of_split,
            *(
                Sample(files.root / name, name, label_of[rows.label(name)])
                for name in sorted(of_table)
                if of_table[name] == split
            ),
        )
        for split, of_split in folders.splits.items()
    }
    read = {name_of(source, files.root) for source in chosen.sources}
    found = ", ".join(split for split in SPLITS if split in of_table.values())
    return dataclasses.replace(
        folders,
        layout=f"{folders.layout}; labels of {found} from {names}",
        splits=samples,
        ignored=tuple(_still_ignored(files, folders.ignored, {*of_table, *read})),
        outside=tuple(name for name in folders.outside if name not in of_table),
        warnings=(*folders.warnings, *chosen.warnings, *rows.warnings),
        uses=tuple(dict.fromkeys((*folders.uses, *TABLE_OPTIONS))),
    )


def _split_in_path(name: str) -> Split | None:
    """Split of the outermost folder of an image that stands for one."""
    return next((split for folder in PurePosixPath(name).parts[:-1] if (split := split_of(folder))), None)


def _still_ignored(files: DatasetFiles, ignored: Sequence[str], used: Collection[str]) -> list[str]:
    """Ignored files without those that are used; a folder with used files is replaced by its other files."""
    folders = tuple(name for name in ignored if name.endswith("/") and any(other.startswith(name) for other in used))
    inside = [name for name in (*files.images, *files.others) if name.startswith(folders)]
    return [printable(name) for name in (*ignored, *inside) if name not in used and name not in folders]


def _has_more(rows: TableRows, folders: Listing) -> bool:
    """Whether a table has splits, groups or names of classes that folders lack, or labels of images in more splits."""
    if not folders.has_splits:
        adds_names = all(map(str.isdecimal, folders.classes)) and not any(map(str.isdecimal, rows.labels))
        return bool(rows.split_of or rows.group_of) or adds_names
    split_of = {sample.name: split for split in SPLITS for sample in folders.splits[split]}
    agree = all(rows.split_of.get(name) == split for name, split in split_of.items())
    return agree and len(rows.label_of) > len(split_of)


def _unread(rows: TableRows, names: str) -> list[str]:
    """A warning about the problems of a table that was not read."""
    if not rows.problems:
        return []
    count = len(rows.problems)
    return [f"{names} was not read: problems in it, {count:,} of them, such as {rows.problems.first[0]}"]


def _refuse_contradiction(root: Path, rows: TableRows, class_of: Mapping[str, str], names: str) -> NoReturn:
    differing = (name for name in sorted(rows.label_of) if name in class_of and rows.label(name) != class_of[name])
    example = next(differing)
    raise DatasetError(
        f"{root}: expected one label for each image, found others in {names} than in the folders, such as "
        f"{rows.label(example)!r} in {rows.where(example)} for {example}. Set one of:\n"
        f"  table = {names}: the labels of the table (--table {names})\n"
        f"  table = {NO_TABLE}: the folders are the classes (--table {NO_TABLE})"
    )


def _sorted_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels in order of their names; numbers in their own order."""
    if all(label.isdecimal() for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def _unlabelled(images: Sequence[str], labelled: Collection[str]) -> list[str]:
    without = [name for name in images if name not in labelled]
    if not without:
        return []
    return [f"images without a row in the table were not used, {len(without):,} of them: {name_some(without, _SHOWN)}"]
