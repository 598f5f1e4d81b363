"""Chart of the first two principal components: a marker for each photo of a sample, by class."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from model.scale.files import Folder
from model.scale.parts import read_part
from model.serving.text_rendering import draw_text

_SIZE, _PLOT = (1000, 640), (60, 40, 760, 600)
_INK, _GRAY = (27, 36, 48), (95, 104, 114)
# Okabe and Ito (2008), without yellow.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0))
_SHAPES = ("circle", "square", "triangle", "diamond")
_NO_CLASS = "no class"
_MAX_PARTS, _MAX_POINTS = 50, 5000
_MAX_CLASSES = 20


class _Marker(NamedTuple):
    """Marker of a class: one of `_SHAPES` or a ring, and its colour."""

    shape: str
    colour: tuple[int, int, int]


_UNLABELLED = _Marker("ring", _GRAY)
_MORE = _Marker("circle", (150, 156, 162))


def draw_components(folder: Folder, parts: int, plan_sha256: str, classes: Sequence[str], ratio: np.ndarray) -> bytes:
    """Draw a sample of the photos as a PNG.

    Args:
        folder: folder of the coordinates.
        parts: their number.
        plan_sha256: checksum that the parts have.
        classes: names of the classes; later ones than the first twenty share a gray marker.
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
            _draw_marker(drawing, place, 3, _marker(label, classes))
    _draw_texts(figure, ratio)
    _draw_legend(figure, classes, None in labels)
    stream = io.BytesIO()
    figure.save(stream, "PNG")
    return stream.getvalue()


def _draw_texts(figure: Image.Image, ratio: np.ndarray) -> None:
    left, top, right, bottom = _PLOT
    for number, value in enumerate(ratio[:2]):
        text = f"component {number + 1}: {100 * value:.1f} % of the variance"
        position = (left, bottom + 24) if number == 0 else (left, top - 12)
        draw_text(figure, position, text, 14, right - left, _INK)


def _draw_legend(figure: Image.Image, classes: Sequence[str], has_unlabelled: bool) -> None:
    _, top, right, _ = _PLOT
    drawing = ImageDraw.Draw(figure)
    entries = [(name, _marker(name, classes)) for name in classes[:_MAX_CLASSES]]
    if len(classes) > _MAX_CLASSES:
        entries.append((f"and {len(classes) - _MAX_CLASSES:,} more", _MORE))
    if has_unlabelled:
        entries.append((_NO_CLASS, _UNLABELLED))
    for row, (name, marker) in enumerate(entries):
        y = top + 20 + 25 * row
        _draw_marker(drawing, (right + 24, y - 5), 5, marker)
        draw_text(figure, (right + 38, y), name, 14, _SIZE[0] - right - 50, _INK)


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


def _marker(label: str | None, classes: Sequence[str]) -> _Marker:
    if label is None:
        return _UNLABELLED
    if label not in classes[:_MAX_CLASSES]:
        return _MORE
    shape, colour = divmod(classes.index(label), len(_COLOURS))
    return _Marker(_SHAPES[shape], _COLOURS[colour])


def _draw_marker(drawing: ImageDraw.ImageDraw, center: tuple[float, float], radius: float, marker: _Marker) -> None:
    x, y = center
    if marker.shape == "circle":
        drawing.circle(center, radius, fill=marker.colour)
    elif marker.shape == "ring":
        drawing.circle(center, radius, outline=marker.colour)
    elif marker.shape == "square":
        drawing.rectangle((x - radius, y - radius, x + radius, y + radius), fill=marker.colour)
    elif marker.shape == "triangle":
        drawing.polygon([(x, y - radius), (x + radius, y + radius), (x - radius, y + radius)], fill=marker.colour)
    else:
        tip = 1.3 * radius
        drawing.polygon([(x, y - tip), (x + tip, y), (x, y + tip), (x - tip, y)], fill=marker.colour)
