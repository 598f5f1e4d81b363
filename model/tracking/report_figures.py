"""Figures of the report for TensorBoard and notebooks: confusion matrix and explained errors of the trained model.

They show the same photos, predictions and maps as report.html.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.evaluation.charts import BLUE, ORANGE, shorten
from model.evaluation.confident_errors import ConfidentError
from model.evaluation.report.content import ReportContent
from model.tracking.epoch_figures import TILE, draw_confusion_matrix
from model.tracking.tensorboard_log import EventFile

REPORT = "report"
_COLUMNS = ("photo", "activation map", "occlusion map")
_GAP, _TITLE, _TEXT = 6, 20, 330
_LINE = 16
_MAX_NAME = 30


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
        "most_confident_errors": draw_explained_errors(content.confident_errors),
    }
    file = EventFile(logs / REPORT)
    file.add_images(0, figures)
    file.close()


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
