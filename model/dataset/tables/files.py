"""Tables: CSV with any usual delimiter and encoding, and Excel workbooks, read row by row."""

import contextlib
import csv
import dataclasses
import io
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from model.dataset.text_files import detect_encoding, encoding_warnings, open_text
from model.errors import DatasetError
from model.files.browsing import name_some
from model.tables import has_our_header, original_text

WORKBOOKS = (".xlsx", ".xlsm")
TEXT_TABLES = (".csv", ".tsv", ".tab", ".psv", ".txt")
TABLE_SUFFIXES = TEXT_TABLES + WORKBOOKS

# Preferred in this order; a blank only where no other divides all lines alike.
_DELIMITERS = "\t;,| "
_SAMPLE_LINES = 50
_SAMPLE_CHARACTERS = 1 << 18
_MAX_WORKBOOK_BYTES = 1 << 30
# More lines of one cell are no title.
_MAX_TITLES = 10
# The first line in which spreadsheets state the delimiter.
_NAMED_DELIMITER = re.compile(r'\s*"?sep=([;,|\t])"?[ ]*(?=[\r\n])', re.IGNORECASE)

Row = tuple[int, list[str]]
"""Line number, from 1, and cells: without surrounding blanks, or exact in tables that Topgraft has written."""


@dataclasses.dataclass(frozen=True)
class TableFile:
    """A file of rows, which are read again each time.

    Attributes:
        path: the file.
        encoding, delimiter: of a text file; empty for a workbook.
        start: number of lines, or rows of a workbook, before the header: a title, comments, or the delimiter.
        warnings: sentences about how the file was read.
        is_ours: whether Topgraft has written it: its cells are those of `model.tables`.
    """

    path: Path
    encoding: str = ""
    delimiter: str = ""
    start: int = 0
    warnings: tuple[str, ...] = ()
    is_ours: bool = False

    def rows(self) -> Iterator[Row]:
        """Rows that are not blank.

        Raises:
            DatasetError: a cell is longer than the limit of the csv module, or the workbook is damaged.
        """
        rows = self._text_rows() if self.delimiter else self._workbook_rows()
        for line, cells in rows:
            read = [original_text(cell) if self.is_ours else cell.strip() for cell in cells]
            if any(read) and line > self.start:
                yield line, read

    def _text_rows(self) -> Iterator[Row]:
        with open_text(self.path, self.encoding, newline="") as stream:
            yield from _parsed(self.path, stream, self.delimiter, skip_blanks=not self.is_ours)

    def _workbook_rows(self) -> Iterator[Row]:
        book = _open_workbook(self.path)
        try:
            for line, values in enumerate(book.worksheets[0].iter_rows(values_only=True), start=1):
                yield line, [_cell_text(value) for value in values]
        except (ValueError, KeyError, zipfile.BadZipFile, SyntaxError) as error:
            raise DatasetError(f"{self.path}: expected a workbook, received a damaged one: {error}") from error
        finally:
            book.close()


def open_table(path: Path) -> TableFile:
    """Detect the encoding and the delimiter of a table.

    Raises:
        DatasetError: no text, no delimiter that divides its lines into cells, or no readable workbook.
        OSError: the file cannot be read.
    """
    if path.suffix.lower() in WORKBOOKS:
        return _describe_workbook(path)
    encoding = detect_encoding(path)
    with open_text(path, encoding, newline="") as stream:
        sample = stream.read(_SAMPLE_CHARACTERS)
    named = _NAMED_DELIMITER.match(sample)
    if named:
        return TableFile(path, encoding, named[1], 1, tuple(encoding_warnings(path, encoding)))
    delimiter = _find_delimiter(path, sample)
    rows = _first_rows(path, sample, delimiter)
    start = lines_before_header(rows)
    unread = [f"{path}: the lines before the header were not read: {name_some(_texts(rows, start))}"] if start else []
    is_ours = not start and bool(rows) and has_our_header(rows[0][1])
    return TableFile(path, encoding, delimiter, start, (*encoding_warnings(path, encoding), *unread), is_ours)


def _find_delimiter(path: Path, sample: str) -> str:
    """The delimiter that divides the most lines into the same number of cells, two or more."""
    scores = {delimiter: _score(path, sample, delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS[:-1], key=lambda delimiter: scores[delimiter])
    if scores[best] < (0.5, 0) and scores[" "] >= (1.0, 0):
        best = " "
    if scores[best] <= (0.0, 0):
        raise DatasetError(f"{path}: expected rows with cells divided by comma, semicolon, tab or |, found none")
    return best


def _score(path: Path, sample: str, delimiter: str) -> tuple[float, int]:
    """Fraction of the rows that have as many cells as the first one, and their number."""
    rows = _first_rows(path, sample, delimiter)
    start = lines_before_header(rows)
    lengths = [len(cells) for line, cells in rows if line > start]
    if not lengths or lengths[0] < 2:
        return 0.0, 0
    return lengths.count(lengths[0]) / len(lengths), lengths[0]


def _first_rows(path: Path, sample: str, delimiter: str) -> list[Row]:
    """The first rows of a text that are not blank."""
    rows: list[Row] = []
    # A cell that is too long is reported when the rows are read.
    with contextlib.suppress(DatasetError):
        for line, cells in itertools.islice(_parsed(path, io.StringIO(sample, newline=""), delimiter), _SAMPLE_LINES):
            if any(cells):
                rows.append((line, cells))
    return rows


def lines_before_header(rows: Sequence[Row]) -> int:
    """Number of the last line before the header that is a title or a comment; 0 if there is none.

    A title has one cell where the next rows have more; a comment begins with `#` and has other columns than they.
    """
    start = 0
    for (line, cells), (_, following) in itertools.pairwise(rows[:_MAX_TITLES]):
        is_title = bool(cells[0]) and not any(cells[1:]) and len(cells) != 2 and len(rows[-1][1]) > 1
        is_comment = cells[0].startswith("#") and len(cells) != len(following)
        if not is_title and not is_comment:
            break
        start = line
    return start


def _texts(rows: Sequence[Row], start: int) -> list[str]:
    return [cells[0][:80] for line, cells in rows if line <= start]


def _parsed(path: Path, lines: Iterable[str], delimiter: str, skip_blanks: bool = True) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=skip_blanks)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DatasetError(
                f"{path}:{line}: expected cells of at most {csv.field_size_limit():,} characters, received: {error}. "
                "A quotation mark may be missing"
            ) from error
        yield line, cells


def _describe_workbook(path: Path) -> TableFile:
    book = _open_workbook(path)
    try:
        sheets = book.worksheets
        if not sheets:
            raise DatasetError(f"{path}: expected a worksheet, found none")
        others = [sheet.title for sheet in sheets[1:]]
    finally:
        book.close()
    unread = f"{path}: only the first worksheet, {sheets[0].title!r}, was read, of {len(sheets)}"
    return TableFile(path, warnings=(unread,) if others else ())


def _open_workbook(path: Path) -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise DatasetError(
            f'{path}: reading Excel workbooks requires openpyxl: pip install "topgraft[excel]", or save it as CSV'
        ) from error
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > _MAX_WORKBOOK_BYTES:
            raise DatasetError(f"{path}: expected at most 1 GB of unpacked content, found {unpacked:,} bytes")
        return openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, SyntaxError) as error:
        raise DatasetError(f"{path}: expected an Excel workbook (.xlsx), received: {error}") from error


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def sample_rows(table: TableFile, count: int) -> Sequence[Row]:
    """The first rows of a table."""
    return list(itertools.islice(table.rows(), count))
