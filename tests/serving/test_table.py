"""Prediction tables contain every field of a prediction."""

import io

import pytest

from model.results import Neighbour, Prediction
from model.serving.table import predictions_table, write_parquet

NEAR = (Neighbour("cats/1.jpg", "cat", 0.25), Neighbour("dogs/2.jpg", "dog", 0.5))
ANSWERS = [
    Prediction("a.jpg", ("cat", "dog"), (0.75, 0.25), distance=0.25, neighbours=NEAR),
    Prediction("b.jpg", ("dog", "cat"), (0.5, 0.5), True, None, "features", "it is far", 1.5, NEAR[:1]),
    Prediction("c.jpg", error="no image"),
]
UNCERTAIN = Prediction("d.jpg", ("cat",), (0.5,), uncertain=True, uncertain_explanation="low", second="dog")


def test_neighbours_are_the_last_columns_if_requested():
    header, rows = predictions_table(ANSWERS)
    assert header[8:] == [
        "label_2",
        "probability_2",
        "neighbour_1",
        "neighbour_label_1",
        "neighbour_distance_1",
        "neighbour_2",
        "neighbour_label_2",
        "neighbour_distance_2",
    ]
    assert [row[10:] for row in rows] == [
        ["cats/1.jpg", "cat", "0.250000", "dogs/2.jpg", "dog", "0.500000"],
        ["cats/1.jpg", "cat", "0.250000", "", "", ""],
        [""] * 6,
    ]
    assert all(len(row) == len(header) for row in rows)
    header, _ = predictions_table(ANSWERS[2:])
    assert header[-1] == "second"


def test_marks_follow_the_columns_of_earlier_versions():
    header, rows = predictions_table([*ANSWERS, UNCERTAIN])
    assert header[:8] == ["image", "label", "probability", "unknown", "error", "unknown_reason", "uncertain", "second"]
    assert [row[3:8] for row in rows] == [
        ["false", "", "", "false", ""],
        ["true", "", "features", "false", ""],
        ["", "no image", "", "", ""],
        ["false", "", "", "true", "dog"],
    ]


def test_parquet_has_every_column():
    parquet = pytest.importorskip("pyarrow.parquet")
    stream = io.BytesIO()
    answers = [*ANSWERS, UNCERTAIN]
    write_parquet(stream, answers)
    rows = parquet.read_table(stream).to_pylist()
    for row, answer in zip(rows, answers, strict=True):
        said = answer.to_json()
        assert {name: row[name] for name in said} == said
