"""Splits that the names of tables and of folders stand for, such as `y_test.csv` or `test/metadata.csv`."""

import dataclasses
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from model.dataset.folder_names import split_in, split_names, split_of
from model.dataset.tables.rows import Source
from model.results import Split


def split_of_table(relative: PurePath) -> Split | None:
    """Split in the name of a table, or else of the nearest folder that it is in; the path is relative to the dataset.

    A file name may have other words, such as `y` in `y_train.csv`.
    """
    folders = (split_of(name) for name in reversed(relative.parent.parts))
    return split_in(relative.stem) or next((split for split in folders if split), None)


def with_splits(sources: Sequence[Source]) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Tables of splits, train and another, and the tables that are left out; nothing if there are no such splits.

    A table without a split that has the columns of the others belongs to train.
    """
    splits = [source.search.split for source in sources]
    train = next((at for at, split in enumerate(splits) if split == "train"), None)
    others = next((at for at, split in enumerate(splits) if split not in (None, "train")), None)
    if others is None or (train is None and None not in splits):
        return (), ()
    names = sources[others if train is None else train].columns.names
    read: list[Source] = []
    left_out: list[Source] = []
    for source, split in zip(sources, splits, strict=True):
        if split is None and source.columns.names != names:
            left_out.append(source)
        else:
            read.append(dataclasses.replace(source, split=split or "train"))
    return (tuple(read), tuple(left_out)) if any(source.split == "train" for source in read) else ((), ())


def splits_of_folders(images: Iterable[str]) -> tuple[dict[str, Split], list[str]]:
    """Splits of images in the folders of splits, train and another; nothing if they are not in such folders.

    Args:
        images: paths, relative to the dataset.

    Returns:
        image -> split of the outermost folder that has one, and the images without such a folder.
    """
    names = list(images)
    folders = set(map(posixpath.dirname, names))
    named = split_names({part for folder in folders for part in folder.split("/")})
    if "train" not in named or len(named) < 2:
        return {}, []
    known: dict[str, Split] = {part: split for split, parts in named.items() for part in parts}
    split_of_folder = {
        folder: next((known[part] for part in folder.split("/") if part in known), None) for folder in folders
    }
    found: dict[str, Split] = {}
    for name in names:
        split = split_of_folder[posixpath.dirname(name)]
        if split is not None:
            found[name] = split
    return found, [name for name in names if name not in found]
