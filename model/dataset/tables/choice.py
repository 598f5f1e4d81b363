"""Choice of the tables that have the labels of a dataset, where it has several."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from model.dataset.image_index import ImageIndex
from model.dataset.tables.columns import are_one_to_one
from model.dataset.tables.rows import Source, TableRows
from model.dataset.tables.splits import splits_of_folders, with_splits
from model.errors import DatasetError
from model.files.browsing import name_some

_SHOWN = 3


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
    chosen = _choose(sources, index, root)
    if chosen.rows.split_of:
        return chosen
    chosen.rows.split_of, outside = splits_of_folders(chosen.rows.label_of)
    if not outside:
        return chosen
    chosen.rows.split_of.update(dict.fromkeys(outside, "train"))
    warning = f"{len(outside):,} images in no folder of a split are for training: {name_some(outside, _SHOWN)}"
    return dataclasses.replace(chosen, warnings=(*chosen.warnings, warning))


def name_of(source: Source, root: Path) -> str:
    """Path of a table, relative to the dataset."""
    return source.table.path.relative_to(root).as_posix()


def _choose(sources: Sequence[Source], index: ImageIndex, root: Path) -> ChosenTables:
    if len(sources) == 1:
        return ChosenTables(tuple(sources), TableRows(sources, index))
    of_splits = _tables_of_splits(sources, index, root)
    if of_splits:
        return of_splits
    parts = None
    if len({source.columns.names for source in sources}) == 1:
        parts = TableRows(sources, index)
        if not parts.problems:
            return ChosenTables(tuple(sources), parts)
    return _table_with_all_images(sources, index, root, parts)


def _tables_of_splits(sources: Sequence[Source], index: ImageIndex, root: Path) -> ChosenTables | None:
    """Tables of train and another split, such as `train.csv` and `test.csv`; None if there are none.

    Several tables of one split are taken only if they have no problems: they may be folds, or versions of one.
    """
    read, left_out = with_splits(sources)
    if not read:
        return None
    rows = TableRows(read, index)
    is_certain = max(Counter(source.split for source in read).values()) == 1 and any(
        source.search.split == "train" for source in read
    )
    if rows.problems and not is_certain:
        return None
    if not left_out:
        return ChosenTables(read, rows)
    names = name_some([name_of(source, root) for source in left_out])
    splits = name_some([name_of(source, root) for source in read])
    return ChosenTables(read, rows, (f"of the tables, only those of splits were read, {splits}, and not {names}",))


def _table_with_all_images(
    sources: Sequence[Source], index: ImageIndex, root: Path, parts: TableRows | None
) -> ChosenTables:
    """The table that has the images of all others, with the same classes.

    Args:
        parts: the rows of all tables, if they have the same columns; their problems are stated.
    """
    read = [TableRows([source], index) for source in sources]
    best = max(range(len(sources)), key=lambda at: (len(read[at].label_of), -at))
    name = name_of(sources[best], root)
    others = [at for at in range(len(sources)) if at != best]
    if not all(_is_part(read[at], read[best]) for at in others):
        names = name_some([name_of(source, root) for source in sources])
        reason = f". They cannot be read together: {parts.problems.first[0]}" if parts is not None else ""
        raise DatasetError(
            f"{root}: expected one table of labels, found several: {names}. Set table to one of them, such as "
            f"table = {name} (--table {name}){reason}"
        )
    left_out = name_some([name_of(sources[at], root) for at in others])
    warning = f"the tables {left_out} were not read, because {name} has the labels of all their images"
    return ChosenTables((sources[best],), read[best], (warning,))


def _is_part(rows: TableRows, whole: TableRows) -> bool:
    """Whether the images of a table are all in another, with the same classes."""
    return rows.label_of.keys() <= whole.label_of.keys() and are_one_to_one(
        {(rows.label(image), whole.label(image)) for image in rows.label_of}
    )
