"""CSV tables that spreadsheets show and do not compute, and that are read back exactly.

A spreadsheet computes a cell that begins with `=`, `+`, `-` or `@`. A cell is therefore written as

    text            the text itself, where nothing follows below; numbers too, such as -1.5
    'text           where the text begins like a formula (after blanks and quotation marks), with a tab or a line feed,
                    or like one of these two forms
    '\\codes        where it has characters that `model.shown` replaces, or what would begin like a formula after a
                    semicolon, a tab or a line feed in it: these are written as codes, and `\\` as `\\\\`

Only tables with a header of Topgraft are read this way, and only cells that such a writer can have written: tables of
others are never changed. `model/page/static/cells.js` writes the same cells.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from model.reading import open_regular
from model.shown import CONTROLS, escape

PREDICTION_COLUMNS = ("image", "label", "probability", "unknown", "error", "unknown_reason", "uncertain", "second")
"""The first columns of tables of predictions; see `model.serving.table` for the others."""

EVALUATION_COLUMNS = (
    *("image", "true", "predicted", "probability", "correct"),
    *("second", "second_probability", "unknown", "distance"),
)
"""The columns of tables of predictions for labelled images."""

CHANGED_COLUMNS = (
    *("image", "true", "new_model", "change", "base_predicted", "base_probability", "base_unknown"),
    *("new_predicted", "new_probability", "new_unknown"),
)
"""The columns of tables of images for which two models predict different classes."""

_BLANKS = r" \t\n\u00a0\u1680\u2000-\u200a\u200c\u200d\u202f\u205f\u3000\ufe00-\ufe0f"
_QUOTES = r"\"'`\u00b4\u2018-\u201f\u00ab\u00bb\u2039\u203a\uff02\uff07"
# With the full-width, small, raised, lowered and mathematical forms, which some programs read as the same.
_FORMULA = r"=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207a-\u207c\u208a-\u208c\u2212\ufb29"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_PREFIXED = re.compile(rf"[{_BLANKS}{_QUOTES}]*[{_FORMULA}]|'*[\t\n]|'+\\")
_CODED = re.compile(rf"(?![\n\t])[{CONTROLS}]|(?<=[;\t\n])[{_BLANKS}{_QUOTES}]*[{_FORMULA}]")
_CODE = re.compile(r"\\(\\|r|x([0-9a-f]{2})|u([0-9a-f]{4})|U(00[01][0-9a-f]{5}))")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table with one header line; cells that are texts are written by `cell_text`."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([cell_text(cell) if isinstance(cell, str) else cell for cell in row])
    return table.getvalue()


def read_csv(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table that Topgraft has written: column -> text.

    Raises:
        OSError, UnicodeDecodeError, csv.Error: the file cannot be read, or is no such table.
    """
    with io.TextIOWrapper(open_regular(path), "utf-8-sig", newline="") as stream:
        yield from read_rows(stream)


def read_rows(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """The rows of a table that Topgraft has written, from its lines with their ends.

    Raises:
        csv.Error: the lines are no table.
    """
    rows = csv.reader(lines)
    header = [original_text(cell) for cell in next(rows, [])]
    for row in rows:
        if row:
            yield dict(zip(header, map(original_text, row), strict=False))


def has_our_header(header: Sequence[str]) -> bool:
    """Whether a header is one that Topgraft writes to tables of predictions: only such tables are read by this file."""
    given = tuple(header)
    return given in (EVALUATION_COLUMNS, CHANGED_COLUMNS) or given[: len(PREDICTION_COLUMNS)] == PREDICTION_COLUMNS


def cell_text(text: str) -> str:
    """The cell of a text, in one of the three forms above."""
    if _CODED.search(text):
        return "'\\" + _CODED.sub(lambda found: found[0][:-1] + _code(found[0][-1]), text.replace("\\", "\\\\"))
    return f"'{text}" if _PREFIXED.match(text) and not _NUMBER.fullmatch(text) else text


def original_text(cell: str) -> str:
    """The text of a cell that `cell_text` returned; any other cell as it is."""
    text = _decoded(cell[2:]) if cell.startswith("'\\") else cell[1:]
    return text if cell.startswith("'") and cell_text(text) == cell else cell


def _code(char: str) -> str:
    return f"\\x{ord(char):02x}" if char.isprintable() and char.isascii() else escape(char)


def _decoded(coded: str) -> str:
    def char(found: re.Match[str]) -> str:
        number = found[2] or found[3] or found[4]
        if number is None:
            return "\\" if found[1] == "\\" else "\r"
        return chr(int(number, 16)) if int(number, 16) < 0x110000 else found[0]

    return _CODE.sub(char, coded)
