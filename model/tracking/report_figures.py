"""Figures of the report for TensorBoard and notebooks: confusion matrix, calibration, coverage, errors, curve and map.

They show the same photos, predictions and maps as report.html.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.evaluation.charts import BLUE, GRAY, ORANGE, coverage_series, shorten
from model.evaluation.confident_errors import ConfidentError
from model.evaluation.metrics import ReliabilityBin, reliability
from model.evaluation.report.content import ReportContent
from model.evaluation.report.sections import more_photos, photo_map
from model.evaluation.report.sections.calibration import DIAGRAM_BINS
from model.tracking.epoch_figures import TILE, draw_confusion_matrix
from model.tracking.line_figures import draw_line_chart, draw_photo_map
from model.tracking.tensorboard_log import EventFile

REPORT = "report"
_COLUMNS = ("photo", "activation map", "occlusion map")
_GAP, _TITLE, _TEXT = 6, 20, 330
_LINE = 16
_MAX_NAME = 30
_DIAGRAM, _AXIS = 360, 40


def write_report_figures(logs: Path, content: ReportContent) -> None:
    """Write the figures of a report into an event file of TensorBoard.

    Args:
        logs: logs/ of the model; the file is in its folder `report`.
    """
    evaluation = content.evaluation
    predicted = evaluation.probabilities.argmax(axis=1)
    figures = {
        f"confusion_matrix/{content.measurement}": draw_confusion_matrix(
            predicted, evaluation.labels, evaluation.classes
        ),
        f"reliability/{content.measurement}": draw_reliability_diagram(
            reliability(evaluation.probabilities, evaluation.labels, DIAGRAM_BINS)
        ),
        f"coverage/{content.measurement}": draw_line_chart(
            [coverage_series(evaluation.probabilities, evaluation.labels)],
            "coverage: fraction of photos accepted",
            "Accuracy by coverage",
            percent_x=True,
        ),
        "most_confident_errors": draw_explained_errors(content.confident_errors),
    }
    if content.study is not None and content.study.curve is not None:
        series = more_photos.curve_series(content.study.curve)
        figures["learning_curve"] = draw_line_chart(series, more_photos.X_LABEL, more_photos.TITLE)
    if points := photo_map.map_points(content):
        figures["photo_map"] = draw_photo_map(points, evaluation.classes[: photo_map.MAX_LEGEND])
    file = EventFile(logs / REPORT)
    file.add_images(0, figures)
    file.close()


def draw_reliability_diagram(bins: Sequence[ReliabilityBin]) -> Image.Image:
    """Accuracy by confidence, with the diagonal on which they are equal; the larger a dot, the more photos."""
    side, left, top = _DIAGRAM - _AXIS - 2 * _GAP, _AXIS, 2 * _GAP
    sheet = Image.new("RGB", (_DIAGRAM + _AXIS // 2, _DIAGRAM), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)

    def place(confidence: float, accuracy: float) -> tuple[float, float]:
        return left + confidence * side, top + (1 - accuracy) * side

    draw.rectangle((*place(0, 1), *place(1, 0)), outline=GRAY)
    for step in range(20):
        if step % 2 == 0:
            draw.line((*place(step / 20, step / 20), *place((step + 1) / 20, (step + 1) / 20)), GRAY)
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = place(value, value)
        draw.text((x, top + side + 4), f"{value:.0%}", "black", font, anchor="ma")
        draw.text((left - 6, y), f"{value:.0%}", "black", font, anchor="rm")
    draw.text((left + side / 2, top + side + 20), "confidence", "black", font, anchor="ma")
    draw.text((left + 6, top + 4), "accuracy", "black", font)
    points = [place(group.confidence, group.accuracy) for group in bins]
    if len(points) > 1:
        draw.line(points, BLUE, 2)
    most = max((group.images for group in bins), default=1)
    for (x, y), group in zip(points, bins, strict=True):
        radius = 3 + 6 * (group.images / most) ** 0.5
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=BLUE)
    return sheet


def draw_explained_errors(errors: Sequence[ConfidentError]) -> Image.Image:
    """A row for each error: the photo, its class activation map, its occlusion map if there is one, and the classes."""
    pitch, row_pitch = TILE + _GAP, TILE + _GAP
    size = _GAP + pitch * len(_COLUMNS) + _TEXT, _TITLE + row_pitch * max(1, len(errors))
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    if not errors:
        draw.text((_GAP, _GAP), "All photos are predicted correctly.", "black", font)
        return sheet
    for column, title in enumerate(_COLUMNS):
        draw.text((_GAP + column * pitch, 3), title, "black", font)
    for row, error in enumerate(errors):
        top = _TITLE + row * row_pitch
        for column, pixels in enumerate((error.image, error.overlay, error.occlusion)):
            if pixels is not None:
                sheet.paste(_tile(pixels), (_GAP + column * pitch, top))
        for number, (text, colour) in enumerate(_lines(error)):
            draw.text((_GAP + len(_COLUMNS) * pitch, top + number * _LINE), text, colour, font)
    return sheet


def _lines(error: ConfidentError) -> list[tuple[str, str]]:
    """Lines of text beside the pictures of an error, and their colours."""
    lines = [
        (f"true: {shorten(error.true, _MAX_NAME)} {error.true_probability:.0%}", BLUE),
        (f"predicted: {shorten(error.predicted, _MAX_NAME)} {error.predicted_probability:.0%}", ORANGE),
        (shorten(error.name, _MAX_NAME), "black"),
    ]
    return [*lines, ("the maps disagree", ORANGE)] if error.maps_agree is False else lines


def _tile(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels).resize((TILE, TILE))
