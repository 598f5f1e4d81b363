"""Photos of the evaluation, by true and predicted class: what every number of the report counts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model.evaluation.evaluate import Evaluation
from model.evaluation.report.content import ReportContent
from model.results import Sample

MAX_THUMBNAILS = 600
MAX_LISTED_BYTES = 1_000_000
"""Size of the list of all photos on the page, about; the others are counted, and their confidence is summarized."""

# Besides the name: its tags, confidence and percentage.
_BYTES_PER_PHOTO = 75
# Of the slider of the threshold.
_STEPS = 1000
_MAX_THUMBNAILS_OF_CORRECT = 6


def values(content: ReportContent) -> dict[str, Any]:
    """Values of photos.html.jinja: the classes in order, each with its photos by predicted class."""
    evaluation = content.evaluation
    cells = photos_by_cell(evaluation)
    listed = _listed(evaluation, cells)
    classes = []
    for label, name in enumerate(evaluation.classes):
        of_class = [(predicted, cells[true, predicted]) for true, predicted in cells if true == label]
        # The errors first: they are what a reader searches for.
        of_class.sort(key=lambda cell: (cell[0] == label, -len(cell[1])))
        count = sum(len(rows) for _, rows in of_class)
        if count:
            correct = len(cells.get((label, label), ()))
            shown = [_cell(content, label, predicted, rows, listed) for predicted, rows in of_class]
            classes.append({"number": label, "name": name, "count": count, "errors": count - correct, "cells": shown})
    correct_rows = evaluation.probabilities.argmax(axis=1) == evaluation.labels
    confidence = evaluation.probabilities.max(axis=1)
    return {
        "classes": classes,
        "photos": content.photos_of(content.measurement),
        "count": len(evaluation.labels),
        "unlisted": int((~listed).sum()),
        "unlisted_correct": _histogram(confidence[~listed & correct_rows]),
        "unlisted_incorrect": _histogram(confidence[~listed & ~correct_rows]),
        "file": content.predictions_file,
    }


def _listed(evaluation: Evaluation, cells: Mapping[tuple[int, int], Sequence[int]]) -> np.ndarray:
    """Whether each photo is listed: bool (n,). Errors first, then the same number of correct ones of each class."""
    ordered = sorted(
        (true == predicted, place, row) for (true, predicted), rows in cells.items() for place, row in enumerate(rows)
    )
    size, listed = 0, np.zeros(len(evaluation.labels), bool)
    for _, _, row in ordered:
        size += _BYTES_PER_PHOTO + len(evaluation.samples[row].name.encode(errors="surrogateescape"))
        if size > MAX_LISTED_BYTES:
            break
        listed[row] = True
    return listed


def _histogram(confidence: np.ndarray) -> str:
    """Photos by the highest position of the slider that accepts them, as `position:photos`, divided by blanks."""
    thresholds = np.arange(_STEPS + 1) / _STEPS
    counts = np.bincount(np.searchsorted(thresholds, confidence.astype(np.float64), side="right") - 1)
    return " ".join(f"{step}:{count}" for step, count in enumerate(counts.tolist()) if count)


def photos_by_cell(evaluation: Evaluation) -> dict[tuple[int, int], list[int]]:
    """(true, predicted class) -> rows of the photos, the most confident predictions first."""
    predicted, confidence = evaluation.probabilities.argmax(axis=1), evaluation.probabilities.max(axis=1)
    cells: dict[tuple[int, int], list[int]] = {}
    for row in np.argsort(-confidence, kind="stable").tolist():
        cells.setdefault((int(evaluation.labels[row]), int(predicted[row])), []).append(row)
    return cells


def photos_with_thumbnails(evaluation: Evaluation, limit: int = MAX_THUMBNAILS) -> list[Sample]:
    """Photos that are shown and not only named: the errors, most confident first, then some correct ones per class."""
    cells = photos_by_cell(evaluation)
    confidence = evaluation.probabilities.max(axis=1)
    errors = [row for (true, predicted), rows in cells.items() if true != predicted for row in rows]
    errors.sort(key=lambda row: -confidence[row])
    correct = [row for (true, predicted), rows in cells.items() if true == predicted for row in _spread(rows)]
    return [evaluation.samples[row] for row in [*errors, *correct][:limit]]


def _spread(rows: Sequence[int]) -> list[int]:
    """A few of the photos, from the most to the least confident prediction."""
    step = max(1, math.ceil(len(rows) / _MAX_THUMBNAILS_OF_CORRECT))
    return list(rows[::step])


def _cell(
    content: ReportContent, label: int, predicted: int, rows: Sequence[int], listed: np.ndarray
) -> dict[str, Any]:
    evaluation = content.evaluation
    photos = [
        {
            "name": evaluation.samples[row].name,
            "id": content.thumbnail_ids.get(evaluation.samples[row].name),
            # The shortest text that is read as the same number of single precision.
            "confidence": str(np.float32(evaluation.probabilities[row, predicted])),
            "fraction": float(evaluation.probabilities[row, predicted]),
        }
        for row in rows
        if listed[row]
    ]
    # Those that can be seen come first.
    photos.sort(key=lambda photo: photo["id"] is None)
    name = evaluation.classes[predicted]
    return {"predicted": predicted, "predicted_name": name, "count": len(rows), "photos": photos}
