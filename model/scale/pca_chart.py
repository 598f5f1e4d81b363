"""Chart of the first two principal components: a point for each photo of a sample, coloured by class."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from model.scale.files import Folder
from model.scale.parts import read_part
from model.serving.text_rendering import draw_text

_SIZE, _PLOT = (1000, 640), (60, 40, 760, 600)
_INK, _GRAY = (27, 36, 48), (95, 104, 114)
# Okabe and Ito (2008), without yellow.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0), (122, 130, 136))
_MAX_PARTS, _MAX_POINTS = 50, 5000
_MAX_CLASSES = 20


def draw_components(folder: Folder, parts: int, plan_sha256: str, classes: Sequence[str], ratio: np.ndarray) -> bytes:
    """Draw a sample of the photos as a PNG.

    Args:
        folder: folder of the coordinates.
        parts: their number.
        plan_sha256: checksum that the parts have.
        classes: names of the classes; later ones than the first twenty share a colour and have no legend.
        ratio: explained variance of the components, as fractions.
    """
    points, labels = _sample(folder, parts, plan_sha256)
    figure = Image.new("RGB", _SIZE, "white")
    left, top, right, bottom = _PLOT
    drawing = ImageDraw.Draw(figure)
    drawing.rectangle(_PLOT, outline=_GRAY)
    if len(points):
        low, high = points.min(axis=0), points.max(axis=0)
        scaled = (points - low) / np.maximum(high - low, 1e-12)
        for (x, y), label in zip(scaled, labels, strict=True):
            place = (left + 8 + x * (right - left - 16), bottom - 8 - y * (bottom - top - 16))
            drawing.circle(place, 3, fill=_colour(label, classes))
    _draw_texts(figure, classes, ratio)
    stream = io.BytesIO()
    figure.save(stream, "PNG")
    return stream.getvalue()


def _draw_texts(figure: Image.Image, classes: Sequence[str], ratio: np.ndarray) -> None:
    left, top, right, bottom = _PLOT
    drawing = ImageDraw.Draw(figure)
    for number, value in enumerate(ratio[:2]):
        text = f"component {number + 1}: {100 * value:.1f} % of the variance"
        position = (left, bottom + 24) if number == 0 else (left, top - 12)
        draw_text(figure, position, text, 14, right - left, _INK)
    for row, name in enumerate(classes[:_MAX_CLASSES]):
        y = top + 20 + 26 * row
        drawing.circle((right + 24, y - 5), 5, fill=_colour(name, classes))
        draw_text(figure, (right + 38, y), name, 14, _SIZE[0] - right - 50, _INK)
    if len(classes) > _MAX_CLASSES:
        more = f"and {len(classes) - _MAX_CLASSES:,} more"
        draw_text(figure, (right + 38, top + 20 + 26 * _MAX_CLASSES), more, 14, _SIZE[0] - right - 50, _GRAY)


def _sample(folder: Folder, parts: int, plan_sha256: str) -> tuple[np.ndarray, list[str | None]]:
    """Coordinates (n, 2) and labels of photos that are evenly spread over the parts."""
    points, labels = [], []
    numbers = np.unique(np.linspace(0, parts - 1, min(parts, _MAX_PARTS)).astype(int))
    for number in numbers:
        table = read_part(folder, int(number), plan_sha256, ["label", "pca"])
        rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), _MAX_POINTS // len(numbers))).astype(int))
        for row in table.take(rows).to_pylist():
            if row["pca"]:
                points.append([*row["pca"], 0.0][:2])
                labels.append(row["label"])
    return np.array(points, np.float64).reshape(-1, 2), labels


def _colour(label: str | None, classes: Sequence[str]) -> tuple[int, int, int]:
    # A class without a number has the last colour.
    number = classes.index(label) if label in classes[:_MAX_CLASSES] else -1
    return _COLOURS[number % len(_COLOURS)]
