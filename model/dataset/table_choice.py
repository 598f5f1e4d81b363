"""Choice of the tables that have the labels of a dataset, where it has several."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from model.dataset.folder_names import split_of
from model.dataset.image_index import ImageIndex
from model.dataset.table_rows import Source, TableRows
from model.errors import DatasetError
from model.files.browsing import name_some


@dataclasses.dataclass(frozen=True)
class ChosenTables:
    """Tables that have the labels of a dataset.

    Attributes:
        sources: the tables.
        rows: their labelled images, and problems.
        warnings: sentences about tables that were left out.
    """

    sources: tuple[Source, ...]
    rows: TableRows
    warnings: tuple[str, ...] = ()


def choose_tables(sources: Sequence[Source], index: ImageIndex, root: Path) -> ChosenTables:
    """Choose among tables: one for each split, the parts of one table, or the one that names the images of all others.

    Raises:
        DatasetError: several tables could have the labels; the message names the option to set.
    """
    if len(sources) == 1:
        return ChosenTables(tuple(sources), TableRows(sources, index))
    by_split = _one_for_each_split(sources)
    if by_split:
        return ChosenTables(by_split, TableRows(by_split, index))
    if len({source.columns.names for source in sources}) == 1:
        parts = TableRows(sources, index)
        if not parts.problems:
            return ChosenTables(tuple(sources), parts)
    return _table_with_all_images(sources, index, root)


def name_of(source: Source, root: Path) -> str:
    """Path of a table, relative to the dataset."""
    return source.table.path.relative_to(root).as_posix()


def _one_for_each_split(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Tables called `train.csv`, `test.csv` and the like; empty if there are others."""
    splits = [split_of(source.table.path.stem) for source in sources]
    if None in splits or "train" not in splits or max(Counter(splits).values()) > 1:
        return ()
    return tuple(dataclasses.replace(source, split=split) for source, split in zip(sources, splits, strict=True))


def _table_with_all_images(sources: Sequence[Source], index: ImageIndex, root: Path) -> ChosenTables:
    read = [TableRows([source], index) for source in sources]
    best = max(range(len(sources)), key=lambda at: (len(read[at].label_of), -at))
    name = name_of(sources[best], root)
    others = [at for at in range(len(sources)) if at != best]
    for at in others:
        pairs = {(read[at].label(image), read[best].label(image)) for image in read[at].label_of}
        is_part = read[at].label_of.keys() <= read[best].label_of.keys()
        if not is_part or not are_one_to_one(pairs):
            names = name_some([name_of(source, root) for source in sources])
            raise DatasetError(
                f"{root}: expected one table of labels, found several: {names}. Set table to one of them, such as "
                f"table = {name} (--table {name})"
            )
    left_out = name_some([name_of(sources[at], root) for at in others])
    warning = f"the tables {left_out} were not read, because {name} has the labels of all their images"
    return ChosenTables((sources[best],), read[best], (warning,))


def are_one_to_one(pairs: set[tuple[str, str]]) -> bool:
    """Whether pairs of labels are the same classes under two names."""
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})
