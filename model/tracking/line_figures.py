"""Line charts and the map of the photos as images, for TensorBoard and notebooks, which show no SVG."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from model.evaluation.charts import GRAY, Series, shorten
from model.evaluation.photo_map_chart import COLOURS, SHAPES, MapPoint

_WIDTH, _HEIGHT, _MARGIN = 520, 340, 46
_MAP_WIDTH, _MAP_HEIGHT, _EDGE = 960, 600, 14
_RADIUS, _RING = 4, 8
_DASH, _MAX_NAME = 6, 20


class _Limits(NamedTuple):
    low: float
    high: float

    def place(self, value: float) -> float:
        """Where a value is between the limits, in [0, 1]."""
        return (value - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> list[float]:
        """Five values from the lower to the upper limit."""
        return [self.low + (self.high - self.low) * step / 4 for step in range(5)]


def draw_line_chart(series: Sequence[Series], x_label: str, title: str, percent_x: bool = False) -> Image.Image:
    """Fractions by another number, as `model.evaluation.charts` draws them; each with the same axes.

    Args:
        series: the lines; those with a name are in the legend.
        percent_x: whether the numbers on the horizontal axis are fractions, too.
    """
    sheet = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    points = [point for one in series for point in one.points]
    across = _limits([x for x, _ in points])
    up = _Limits(min(0.9, math.floor(10 * min((y for _, y in points), default=0)) / 10), 1.0)
    width, height = _WIDTH - 1.5 * _MARGIN, _HEIGHT - 2 * _MARGIN

    def place(x: float, y: float) -> tuple[float, float]:
        return _MARGIN + across.place(x) * width, _HEIGHT - _MARGIN - up.place(y) * height

    draw.text((_MARGIN, 6), title, "black", font)
    for value in up.ticks:
        draw.line((*place(across.low, value), *place(across.high, value)), GRAY)
        draw.text((_MARGIN - 6, place(across.low, value)[1]), f"{value:.0%}", "black", font, anchor="rm")
    for value in across.ticks:
        shown = f"{value:.0%}" if percent_x else f"{value:,.0f}"
        draw.text((place(value, up.low)[0], _HEIGHT - _MARGIN + 4), shown, "black", font, anchor="ma")
    draw.text((_MARGIN + width / 2, _HEIGHT - 20), x_label, "black", font, anchor="ma")
    for one in series:
        _draw_series(draw, [place(*point) for point in one.points], one)
    for number, one in enumerate(one for one in series if one.name):
        draw.text((_MARGIN + 8, _HEIGHT - _MARGIN - 18 - 16 * number), one.name, one.colour, font)
    return sheet


def draw_photo_map(points: Sequence[MapPoint], classes: Sequence[str]) -> Image.Image:
    """The map of the report: a colour and a shape for each class, and a ring around errors."""
    sheet = Image.new("RGB", (_MAP_WIDTH, _MAP_HEIGHT + 16 * -(-len(classes) // 6)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    # Errors are drawn last, above the others.
    for point in sorted(points, key=lambda point: point.is_error):
        x = _EDGE + point.x * (_MAP_WIDTH - 2 * _EDGE)
        y = _EDGE + point.y * (_MAP_HEIGHT - 2 * _EDGE)
        _draw_symbol(draw, x, y, point.label)
        if point.is_error:
            draw.ellipse((x - _RING, y - _RING, x + _RING, y + _RING), outline="black", width=2)
    for label, name in enumerate(classes):
        x, y = _EDGE + label % 6 * (_MAP_WIDTH - _EDGE) // 6, _MAP_HEIGHT + 16 * (label // 6) + 6
        _draw_symbol(draw, x, y, label)
        draw.text((x + 10, y), shorten(name, _MAX_NAME), "black", font, anchor="lm")
    return sheet


def _limits(values: Sequence[float]) -> _Limits:
    low, high = min(values, default=0), max(values, default=1)
    return _Limits(low, high if high > low else low + 1)


def _draw_series(draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], series: Series) -> None:
    if not series.dashed:
        draw.line(list(points), series.colour, 2)
        for x, y in points if len(points) < 20 else ():
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=series.colour)
        return
    for (x, y), (next_x, next_y) in itertools.pairwise(points):
        steps = max(1, round(((next_x - x) ** 2 + (next_y - y) ** 2) ** 0.5 / _DASH))
        for step in range(0, steps, 2):
            ends = [(x + (next_x - x) * part / steps, y + (next_y - y) * part / steps) for part in (step, step + 1)]
            draw.line([coordinate for end in ends for coordinate in end], series.colour, 1)


def _draw_symbol(draw: ImageDraw.ImageDraw, x: float, y: float, label: int) -> None:
    colour, shape = COLOURS[label % len(COLOURS)], label // len(COLOURS) % SHAPES
    box = (x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS)
    if shape == 0:
        draw.ellipse(box, fill=colour)
    elif shape == 1:
        draw.rectangle(box, fill=colour)
    else:
        draw.regular_polygon((x, y, _RADIUS + 2), 3 if shape == 2 else 4, 0 if shape == 2 else 45, fill=colour)
