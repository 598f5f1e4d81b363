"""Cells of CSV tables: no spreadsheet computes them, and every text is read back exactly."""

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.dataset.layouts import find_layout
from model.dataset.listing import LayoutOptions
from model.dataset.tables.files import open_table
from model.durable import write_csv
from model.results import Prediction
from model.serving.table import predictions_table
from model.shown import CONTROLS
from model.tables import (
    CHANGED_COLUMNS,
    EVALUATION_COLUMNS,
    PREDICTION_COLUMNS,
    cell_text,
    csv_text,
    original_text,
    read_csv,
)
from tests.support.photos import encoded, random_image

# Each part can change what another one means.
PARTS = ("=", "+", "-", "@", "'", '"', "\\", " ", ";", ",", "\t", "\n", "\r", "1", "e", "x41", "r", "\uff1d", "\ufe0f")
ODD = ("\x1b", "\x00", "\x7f", "\x9b", "\u202e", "\u200b", "\u200d", "\ud800", "\udcff", "\U000e0001", "\U0001f600")
TEXTS = st.lists(st.one_of(st.sampled_from(PARTS + ODD), st.characters()), max_size=8).map("".join)
FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", " =1", '"=1', "'=1", "\u00a0@x", "\uff1d1", "\u2212x")


@given(TEXTS)
@example("")
@example("-")
@example("''\\x41")
def test_every_text_is_read_back_exactly(text: str) -> None:
    cell = cell_text(text)
    assert original_text(cell) == text
    _, row = csv.reader(io.StringIO(csv_text(["text", "other"], [[text, "x"]]), newline=""))
    assert row == [cell, "x"]


@given(TEXTS)
def test_a_cell_that_no_text_is_written_as_is_not_changed(cell: str) -> None:
    text = original_text(cell)
    assert text == cell or cell_text(text) == cell


@given(TEXTS)
def test_a_cell_is_free_of_controls_and_of_beginnings_of_formulas(text: str) -> None:
    cell = cell_text(text)
    assert not re.search(f"(?![\n\t])[{CONTROLS}]", cell)
    assert not cell.startswith(("=", "@", "\t", "\n")) and not re.search("[;\t\n] *[=+@-]", cell)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert cell_text(text).startswith("'")


@pytest.mark.parametrize("text", ["cat", "-5", "+1.5e-3", ".5", "'tis", "O'Neil", "a=b", "C:\\a", "", "\U0001f600"])
def test_other_texts_and_numbers_are_written_as_they_are(text: str) -> None:
    assert cell_text(text) == text


def test_a_formula_after_a_semicolon_begins_no_cell_where_semicolons_divide_cells() -> None:
    assert cell_text("a;=1+1") == "'\\a;\\x3d1+1"


def test_a_table_is_read_back_exactly(tmp_path: Path) -> None:
    header, row = ["image", "=label"], ["\udcff;=1.jpg", "a\r\nb"]
    write_csv(tmp_path / "table.csv", header, [row])
    assert list(read_csv(tmp_path / "table.csv")) == [dict(zip(header, row, strict=True))]


@pytest.mark.parametrize("columns", [PREDICTION_COLUMNS, EVALUATION_COLUMNS, CHANGED_COLUMNS])
def test_columns_need_no_apostrophe(columns: tuple[str, ...]) -> None:
    assert csv_text(columns, []) == ",".join(columns) + "\n"


@pytest.mark.parametrize("names", [(), ("",), ("a.jpg", "=1.jpg", "'=2.jpg")])
def test_the_columns_of_a_table_decide_whether_its_cells_are_decoded(tmp_path: Path, names: tuple[str, ...]) -> None:
    ours, foreign = tmp_path / "ours.csv", tmp_path / "foreign.csv"
    write_csv(ours, EVALUATION_COLUMNS, [(name, " =x", *[""] * 7) for name in names])
    write_csv(foreign, ("file", "label"), [(name, " =x") for name in ("a.jpg", *names)])
    read = [cells[:2] for _, cells in open_table(ours).rows()][1:]
    assert read == [[name, " =x"] for name in names]
    assert all(cells[1] == "' =x" for _, cells in list(open_table(foreign).rows())[1:])


def test_a_class_of_predictions_is_the_same_class_of_a_training(tmp_path: Path) -> None:
    predictions = [Prediction(f"{label[1]}{copy}.jpg", (label,), (0.9,)) for label in ("=x", "'=y") for copy in "12"]
    for prediction in predictions:
        (tmp_path / prediction.image).write_bytes(encoded(random_image(1)))
    write_csv(tmp_path / "answers.csv", *predictions_table(predictions))
    options = LayoutOptions(image_column="image", label_column="label")
    assert sorted(find_layout(tmp_path, options).classes) == ["'=y", "=x"]
