"""Meaning of the columns of a table: file name, label, split and group, found by their names and content."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from model.dataset.folder_names import split_names
from model.dataset.image_index import ImageIndex, Search
from model.dataset.label_files import is_json
from model.dataset.listing import LayoutOptions
from model.dataset.tables.column_names import (
    GROUP_NAMES,
    HIERARCHY,
    IMAGE_NAMES,
    LABEL_NAMES,
    OBJECT,
    POSSIBLE_GROUPS,
    SPLIT_FLAGS,
    SPLIT_NAMES,
    STATUS,
    is_flag,
    is_type_row,
    is_yes,
    normal,
)
from model.dataset.tables.files import Row, TableFile, sample_rows
from model.errors import DatasetError
from model.files.browsing import name_some
from model.results import Split

SAMPLE_ROWS = 2000
# Epochs, ages and class numbers are shorter than the names of images that are numbers, such as `0034309`.
_MIN_DIGITS = 5
_EMPTY_JSON = len("{}")
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
_FRACTION = re.compile(r"[-+]?\d*\.\d*[1-9]\d*")


@dataclasses.dataclass(frozen=True)
class Columns:
    """Columns of a table, as positions from 0.

    Attributes:
        names: names of all columns; their numbers, from 1, if the table has no header.
        has_header: whether the first row has the names.
        image: file names.
        label: classes; None if `one_hot` is set.
        one_hot: a column for each class, with 1 in the row of an image of that class.
        split, group: of each image.
        splits: text in the column `split` -> split, for the texts in the first rows.
        status: only rows with a text of `VALIDATED` are used.
        hierarchy: longer form of the label.
        notes: sentences about other possible columns.
    """

    names: tuple[str, ...]
    has_header: bool
    image: int
    label: int | None = None
    one_hot: tuple[int, ...] = ()
    split: int | None = None
    splits: Mapping[str, Split] = dataclasses.field(default_factory=dict)
    group: int | None = None
    status: int | None = None
    hierarchy: int | None = None
    notes: tuple[str, ...] = ()


class NoTableError(DatasetError):
    """A file is not a table of images and labels; the message says what is missing."""


class UnclearLabelsError(NoTableError):
    """A table names images, but several of its columns could be the labels."""


def find_columns(table: TableFile, index: ImageIndex, search: Search, options: LayoutOptions) -> Columns:
    """Find the columns of a table.

    Args:
        options: names of columns that the user has set.

    Raises:
        NoTableError: no column names images of the dataset, or no column has labels, or several could be it.
    """
    sample = sample_rows(table, SAMPLE_ROWS + 1)
    if not sample:
        raise NoTableError(f"{table.path}: expected rows, found none")
    found = _Finder(table, sample, index, search, options)
    return found.columns()


def are_one_to_one(pairs: set[tuple[str, str]]) -> bool:
    """Whether pairs of labels are the same classes under two names."""
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def _may_be_image(cell: str) -> bool:
    return not cell.isdigit() or len(cell) >= _MIN_DIGITS


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell))


class _Finder:
    """Search for the columns of one table in a sample of its rows."""

    def __init__(
        self, table: TableFile, sample: Sequence[Row], index: ImageIndex, search: Search, options: LayoutOptions
    ) -> None:
        self.table, self.options, self.index = table, options, index
        self.find = lambda text: index.find(text, search)
        first = sample[0][1]
        known = {name for names in (IMAGE_NAMES, *LABEL_NAMES) for name in names}
        self.has_header = not any(
            _may_be_image(cell) and self.find(cell) and normal(cell) not in known for cell in first
        )
        self.names = tuple(first) if self.has_header else tuple(str(at + 1) for at in range(len(first)))
        rows = [cells for _, cells in (sample[1:] if self.has_header else sample) if not is_type_row(cells)]
        self.cells = [[row[at] if at < len(row) else "" for row in rows] for at in range(len(self.names))]
        self.normal = [normal(name) for name in self.names]

    def columns(self) -> Columns:
        image = self._set_column("image_column") if self.options.image_column else self._image()
        split = self._set_column("split_column") if self.options.split_column else self._split(image)
        group = self._set_column("group_column") if self.options.group_column else self._group()
        taken = [image, *(at for at in (split, group) if at is not None)]
        label: int | None = None
        one_hot: tuple[int, ...] = ()
        if self.options.label_column:
            label = self._set_column("label_column")
        else:
            label, one_hot = self._label(taken)
        return Columns(
            self.names,
            self.has_header,
            image,
            label,
            one_hot,
            split,
            self._splits(split),
            group,
            status=self._first_named(STATUS),
            hierarchy=self._named(HIERARCHY) if label != self._named(HIERARCHY) else None,
            notes=() if group is not None else self._group_notes([*taken, label]),
        )

    def _image(self) -> int:
        """The column with the most different names of images, at least in every other row."""
        scores = []
        for at, cells in enumerate(self.cells):
            is_named = self.normal[at] in IMAGE_NAMES
            images = [self.find(cell) if is_named or _may_be_image(cell) else () for cell in cells]
            share = sum(map(bool, images)) / max(1, len(cells))
            different = len({found for found in images if found}) / max(1, len(cells))
            named = IMAGE_NAMES.index(self.normal[at]) if is_named else len(IMAGE_NAMES)
            scores.append((min(share, different), -named, -at))
        best = max(scores, default=(0.0, 0, 0))
        if best[0] >= 0.5 or (best[0] > 0 and -best[1] < len(IMAGE_NAMES)):
            return -best[2]
        raise NoTableError(
            f"{self.table.path}: expected a column with the names of images of the dataset, found none among "
            f"{self._listed()}. Set image_column"
        )

    def _label(self, taken: Sequence[int]) -> tuple[int | None, tuple[int, ...]]:
        for names in LABEL_NAMES:
            named = [at for at in self._columns_named(names) if at not in taken]
            if named:
                return self._readable_column(self._same_meaning(named, taken)), ()
        one_hot = self._one_hot(taken)
        if one_hot:
            return None, one_hot
        rest = [at for at in range(len(self.names)) if at not in taken and self._may_be_label(at)]
        if len(self.names) - len(taken) == 1 and rest and not self._counts_rows(rest[0]):
            return rest[0], ()
        repeated = [at for at in rest if 1 < len(set(self.cells[at])) <= len(self.cells[at]) / 2]
        for possible in (self._folder_names(rest), repeated, self._only_text(repeated)):
            if len(possible) == 1:
                return possible[0], ()
        self._refuse_json()
        kind, problem = (UnclearLabelsError, "several that could be it") if repeated else (NoTableError, "none")
        raise kind(
            f"{self.table.path}: expected a column of labels, found {problem} among {self._listed()}. Set label_column"
        )

    def _folder_names(self, columns: Sequence[int]) -> list[int]:
        """Columns of names of folders that the images are in, two or more: of the classes, as a rule."""
        return [at for at in columns if len(set(self.cells[at])) > 1 and self.index.folders.issuperset(self.cells[at])]

    def _only_text(self, columns: Sequence[int]) -> list[int]:
        """Columns with text of a table without a header; the others are coordinates and the like."""
        return [] if self.has_header else [at for at in columns if not all(map(_is_number, self.cells[at]))]

    def _refuse_json(self) -> None:
        """Refuse a table whose labels may be in objects of JSON, as VGG Image Annotator writes them.

        Raises:
            NoTableError: a column has such objects; the message has an example from the last one.
        """
        for name, cells in zip(reversed(self.names), reversed(self.cells), strict=True):
            example = next((cell for cell in cells if is_json(cell) and len(cell) > _EMPTY_JSON), None)
            if example is not None:
                raise NoTableError(
                    f"{self.table.path}: expected a column of labels, found JSON in the column {name}, as VGG Image "
                    f"Annotator writes it: {example[:80]}. Write the labels to a column of their own, with a row for "
                    "each image"
                )

    def _counts_rows(self, at: int) -> bool:
        """Whether a column has another number in each row: a number of the image, no label."""
        cells = self.cells[at]
        return len(cells) > 2 and all(cell.isdigit() for cell in cells) and len(set(cells)) == len(cells)

    def _same_meaning(self, named: Sequence[int], taken: Sequence[int]) -> list[int]:
        """Columns that divide the images as the named ones do, such as `Species` besides `Label`.

        Raises:
            NoTableError: the named columns divide them differently.
        """
        first = named[0]
        different = [at for at in named if not self._one_to_one(first, at)]
        if different:
            names = name_some([self.names[at] for at in (first, *different)])
            raise UnclearLabelsError(
                f"{self.table.path}: expected one column of labels, found several that could be it: {names}. Set "
                "label_column"
            )
        others = [at for at in self._columns_named(LABEL_NAMES[1]) if at not in (*named, *taken)]
        return [*named, *(at for at in others if self._one_to_one(first, at))]

    def _readable_column(self, columns: Sequence[int]) -> int:
        return min(columns, key=lambda at: all(cell.isdigit() for cell in self.cells[at]))

    def _one_to_one(self, first: int, second: int) -> bool:
        return are_one_to_one(set(zip(self.cells[first], self.cells[second], strict=True)))

    def _one_hot(self, taken: Sequence[int]) -> tuple[int, ...]:
        """Columns of 0 and 1 of which nearly every row has a single 1."""
        flags = [
            at
            for at, cells in enumerate(self.cells)
            if at not in taken and self.has_header and sum(map(is_flag, cells)) >= 0.9 * max(1, len(cells))
        ]
        rows = len(self.cells[0])
        single = sum(sum(is_yes(self.cells[at][row]) for at in flags) == 1 for row in range(rows))
        # Constant columns, such as numbers of regions, are no classes.
        classes = sum(any(map(is_yes, self.cells[at])) for at in flags)
        return tuple(flags) if classes > 1 and single >= 0.9 * rows else ()

    def _split(self, image: int) -> int | None:
        for at, name in enumerate(self.normal):
            values = {cell for cell in self.cells[at] if cell}
            if at == image or not values:
                continue
            known = {value for values in split_names(values).values() for value in values}
            if name in SPLIT_FLAGS and all(is_flag(value) for value in values):
                return at
            if (name == "split" and known) or (name in SPLIT_NAMES and values <= known):
                return at
        return None

    def _splits(self, at: int | None) -> dict[str, Split]:
        """Split of each text in the split column; flags such as `is_valid` have two texts."""
        if at is None:
            return {}
        texts = {cell for cell in self.cells[at] if cell}
        if self.normal[at] in SPLIT_FLAGS:
            yes, no = SPLIT_FLAGS[self.normal[at]]
            return {text: yes if is_yes(text) else no for text in texts if is_flag(text)}
        return {text: split for split, named in split_names(texts).items() for text in named}

    def _group(self) -> int | None:
        at = self._first_named(OBJECT)
        if self._first_named(STATUS) is not None and at is not None and len(set(self.cells[at])) < len(self.cells[at]):
            return at
        return next((at for at, name in enumerate(self.normal) if name in GROUP_NAMES), None)

    def _group_notes(self, taken: Sequence[int | None]) -> tuple[str, ...]:
        possible = [
            self.names[at]
            for at, name in enumerate(self.normal)
            if name in POSSIBLE_GROUPS and at not in taken and 1 < len(set(self.cells[at])) < len(self.cells[at])
        ]
        return tuple(
            f"images with the same {name} may be in different splits: group_column = {name} keeps them in one"
            for name in possible[:1]
        )

    def _columns_named(self, names: Sequence[str]) -> list[int]:
        return [at for at, name in enumerate(self.normal) if name in names and self._may_be_label(at)]

    def _may_be_label(self, at: int) -> bool:
        cells = [cell for cell in self.cells[at] if cell]
        return sum(bool(_FRACTION.fullmatch(cell)) or is_json(cell) for cell in cells) < len(cells) / 2

    def _named(self, name: str) -> int | None:
        return self.normal.index(name) if name in self.normal else None

    def _first_named(self, names: Sequence[str]) -> int | None:
        return next((self.normal.index(name) for name in names if name in self.normal), None)

    def _set_column(self, option: str) -> int:
        text = getattr(self.options, option)
        if text in self.names:
            return self.names.index(text)
        if normal(text) in self.normal:
            return self.normal.index(normal(text))
        if text.isdecimal() and 1 <= int(text) <= len(self.names):
            return int(text) - 1
        raise DatasetError(
            f"{self.table.path}: expected {option} to be one of its columns, {self._listed()}, received {text!r}"
        )

    def _listed(self) -> str:
        if self.has_header:
            return f"the columns {name_some([name or '(no name)' for name in self.names], 12)}"
        return f"{len(self.names)} columns without names (the first row is {name_some([c[0] for c in self.cells])})"
