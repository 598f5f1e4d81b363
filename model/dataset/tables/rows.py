"""Labels, splits and groups of images in the rows of a table; all problems are collected with file and line."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from model.dataset.folder_names import split_of
from model.dataset.image_index import ImageIndex, Search
from model.dataset.label_files import is_json
from model.dataset.listing import Problems
from model.dataset.tables.column_names import (
    PREDICTION_STRING,
    VALIDATED,
    is_flag,
    is_missing,
    is_type_row,
    is_yes,
    normal,
)
from model.dataset.tables.columns import Columns
from model.dataset.tables.files import TableFile
from model.files.browsing import name_some
from model.results import Split
from model.shown import counted, printable

_SHOWN = 3
# Between the labels of an image with several.
_LABEL_SEPARATORS = ("|", ";", ",", " ")


@dataclasses.dataclass(frozen=True)
class Source:
    """A table with the meaning of its columns.

    Attributes:
        table, columns: the file and its columns.
        search: where its names are searched first.
        split: split of all its rows; None if a column or nothing says it.
    """

    table: TableFile
    columns: Columns
    search: Search
    split: Split | None = None


class TableRows:
    """The labelled images of one or more tables.

    Attributes:
        labels: labels in order of their first row.
        label_of: name of an image -> position in `labels`.
        split_of, group_of: name of an image -> its split and group, if the table has them.
        problems: everything that prevents a training.
        warnings: rows that were left out, and other remarks.
        unused: of these, the sentences about rows without a confirmed label.
    """

    def __init__(self, sources: Sequence[Source], index: ImageIndex) -> None:
        self.labels: list[str] = []
        self.label_of: dict[str, int] = {}
        self.split_of: dict[str, Split] = {}
        self.group_of: dict[str, str] = {}
        self.problems = Problems()
        self.warnings: list[str] = []
        self.unused: list[str] = []
        self._sources, self._index = sources, index
        self._positions: dict[str, int] = {}
        self._place_of: dict[str, tuple[int, int]] = {}
        self._hierarchies: dict[str, set[str]] = {}
        self._unused: Counter[str] = Counter()
        for number, source in enumerate(sources):
            self._read(number, source)
        self._report_several_labels()
        self._report_hierarchies()

    def label(self, name: str) -> str:
        """Label of an image."""
        return self.labels[self.label_of[name]]

    def where(self, name: str) -> str:
        """File and line of an image."""
        number, line = self._place_of[name]
        return f"{self._sources[number].table.path}:{line}"

    def _read(self, number: int, source: Source) -> None:
        table, columns = source.table, source.columns
        read_label = _label_reader(columns)
        rows = table.rows()
        if columns.has_header:
            next(rows)
        for line, cells in rows:
            if is_type_row(cells):
                continue
            if len(cells) > len(columns.names) and any(cells[len(columns.names) :]):
                self.problems.add(f"{table.path}:{line}: expected {len(columns.names)} cells, found {len(cells)}")
                continue
            cells += [""] * (len(columns.names) - len(cells))
            if columns.status is not None and cells[columns.status].lower() not in VALIDATED:
                self._unused[cells[columns.status] or "(empty)"] += 1
                continue
            image_problem, name = self._image(cells[columns.image], source.search)
            label_problem, label = read_label(cells)
            self.problems.extend(f"{table.path}:{line}: {text}" for text in (image_problem, label_problem) if text)
            if not image_problem and not label_problem and self._is_new(name, label, number, line):
                self._add(name, label, cells, columns)
                self._add_split(name, source, cells, line)
        self._report_unused(table.path, columns)

    def _image(self, written: str, search: Search) -> tuple[str, str]:
        """A problem, if there is one, and the image that a cell names."""
        if not written:
            return "expected the name of an image, found an empty cell", ""
        found = self._index.find(written, search)
        if len(found) == 1:
            return "", found[0]
        shown = repr(printable(written[:200]))
        if not found:
            return f"no such image in the dataset: {shown}", ""
        images = f"{counted(len(found), 'image')}: {name_some(found, _SHOWN)}"
        return f"{shown} may be {images}. Write the path in the table, or set images_directory", ""

    def _is_new(self, name: str, label: str, number: int, line: int) -> bool:
        """Whether an image has no row yet; a second row is a problem."""
        first = self._place_of.setdefault(name, (number, line))
        if first == (number, line):
            return True
        where = f"{self._sources[number].table.path}:{line}"
        if self.label(name) == label:
            self.problems.add(f"{where}: {name} has a row already, {self.where(name)}")
        else:
            self.problems.add(
                f"{where}: {name} has two labels: {label!r}, and {self.label(name)!r} in {self.where(name)}"
            )
        return False

    def _add(self, name: str, label: str, cells: Sequence[str], columns: Columns) -> None:
        self.label_of[name] = self._positions.setdefault(label, len(self._positions))
        if len(self._positions) > len(self.labels):
            self.labels.append(label)
        if columns.group is not None and not is_missing(cells[columns.group]):
            self.group_of[name] = cells[columns.group]
        if columns.hierarchy is not None:
            self._hierarchies.setdefault(label, set()).add(cells[columns.hierarchy])

    def _add_split(self, name: str, source: Source, cells: Sequence[str], line: int) -> None:
        if source.split is not None:
            self.split_of[name] = source.split
        elif source.columns.split is not None:
            text = cells[source.columns.split]
            split = source.columns.splits.get(text) or split_of(text)
            if split is None:
                column = source.columns.names[source.columns.split]
                where = f"{source.table.path}:{line}"
                self.problems.add(f"{where}: expected train, val or test as the {column}, received {text[:80]!r}")
            else:
                self.split_of[name] = split

    def _report_unused(self, path: Path, columns: Columns) -> None:
        if self._unused and columns.status is not None:
            counts = ", ".join(f"{count:,} {status}" for status, count in self._unused.most_common(5))
            column = f"{columns.names[columns.status]} is not {VALIDATED[0]}"
            self.unused.append(
                f"{path.name}: {counted(self._unused.total(), 'row')} whose {column} were not used: {counts}"
            )
            self.warnings.append(self.unused[-1])
            self._unused.clear()

    def _report_several_labels(self) -> None:
        """Refuse labels that are combinations of others: images with several labels."""
        known = set(self.labels)
        combined = [label for label in self.labels if _is_combination(label, known)]
        if combined:
            with_several = set(combined)
            name = next(name for name, label in self.label_of.items() if self.labels[label] in with_several)
            self.problems.add(
                f"{self.where(name)}: expected one label for each image, found several: {self.label(name)!r} "
                f"({len(combined)} of {len(self.labels)} labels are like this)"
            )

    def _report_hierarchies(self) -> None:
        several = [label for label, longer in self._hierarchies.items() if len(longer) > 1]
        if several:
            example = " and ".join(sorted(self._hierarchies[several[0]])[:2])
            self.warnings.append(
                f"{len(several)} labels stand for more than one taxon, such as {several[0]}: {example}. Set "
                "label_column to object_annotation_hierarchy to separate them"
            )


def _label_reader(columns: Columns) -> Callable[[Sequence[str]], tuple[str, str]]:
    """Function from the cells of a row to a problem, if any, and the label."""
    if columns.label is None:
        return lambda cells: _one_hot_label(cells, columns)
    label = columns.label
    name = columns.names[label]
    if normal(name) == PREDICTION_STRING:
        return lambda cells: _predicted_label(cells[label], name)

    certain: set[str] = set()

    def read(cells: Sequence[str]) -> tuple[str, str]:
        text = cells[label]
        if text in certain:
            return "", text
        if not text:
            return f"expected a label in the column {name}, found an empty cell", ""
        if is_missing(text):
            problem = f"expected a label in the column {name}, found {text!r}, which stands for no value"
            return f"{problem}. Remove the row, or write another name if it is a class", ""
        if is_json(text):
            return f"expected a label in the column {name}, found JSON: {text[:80]}. Write the label alone", ""
        if any(char in text for char in "\r\n"):
            return f"expected a label without line breaks in the column {name}, received {text[:80]!r}", ""
        certain.add(text)
        return "", text

    return read


def _one_hot_label(cells: Sequence[str], columns: Columns) -> tuple[str, str]:
    set_columns = [columns.names[at] for at in columns.one_hot if is_yes(cells[at])]
    unclear = [columns.names[at] for at in columns.one_hot if not is_flag(cells[at])]
    if unclear:
        return f"expected 0 or 1 in the column {unclear[0]}", ""
    if len(set_columns) != 1:
        of_these = name_some([columns.names[at] for at in columns.one_hot], 5)
        return f"expected a 1 in exactly one of the columns {of_these}, found {len(set_columns)}", ""
    return "", set_columns[0]


def _predicted_label(text: str, name: str) -> tuple[str, str]:
    """Label of a cell `label x1 y1 x2 y2 label x1 ...`, the form of ImageNet's localization."""
    words = text.split()
    labels = list(dict.fromkeys(words[::5]))
    if len(labels) == 1 and len(words) % 5 in (0, 1):
        return "", labels[0]
    if not labels:
        return f"expected a label in the column {name}, found an empty cell", ""
    return f"expected boxes of one label in the column {name}, received {text[:80]!r}", ""


def _is_combination(label: str, known: set[str]) -> bool:
    """Whether a label consists of several other labels; `|` always divides labels."""
    for mark in _LABEL_SEPARATORS:
        parts = [part.strip() for part in label.split(mark)]
        if len(parts) > 1 and all(parts) and (mark == "|" or all(part in known for part in parts)):
            return True
    return False
