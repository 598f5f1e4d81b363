"""Chart of a map of photos as inline SVG: a colour and a shape for each class, and a ring for errors."""

import dataclasses
from collections.abc import Sequence

from markupsafe import escape

from model.evaluation.charts import Svg

# Okabe and Ito (2008) without yellow, which is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7A8288")
"""Colours of the classes, in label order and then again."""

_WIDTH, _HEIGHT, _MARGIN = 960, 600, 14
# Circle, square, triangle and diamond of the same area, around (0, 0).
_SYMBOLS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "M-3.5-3.5h7v7h-7z",
    "M0-5L4.8 3.4H-4.8z",
    "M0-5L5 0L0 5L-5 0z",
)
SHAPES = len(_SYMBOLS)
"""Number of shapes: classes have all colours of the first shape, then of the second, and so on."""


@dataclasses.dataclass(frozen=True)
class MapPoint:
    """One photo: its place in [0, 1] x [0, 1], its class, whether its prediction is incorrect, text and thumbnail."""

    x: float
    y: float
    label: int
    is_error: bool
    text: str
    thumbnail: str = ""


def map_chart(points: Sequence[MapPoint]) -> Svg:
    """The map; errors are drawn last, above the others."""
    shapes = "".join(f'<path id="shape{number}" d="{path}"/>' for number, path in enumerate(_SYMBOLS))
    drawn = "".join(_point(point) for point in sorted(points, key=lambda point: point.is_error))
    return Svg(
        f'<svg class="map" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Map of the photos">'
        f"<defs>{shapes}</defs>{drawn}</svg>"
    )


def legend(classes: Sequence[str]) -> list[tuple[str, Svg]]:
    """Names of the classes with their symbols."""
    return [
        (name, Svg(f'<svg class="symbol" viewBox="-6 -6 12 12" aria-hidden="true">{_symbol(label)}</svg>'))
        for label, name in enumerate(classes)
    ]


def _point(point: MapPoint) -> str:
    x = _MARGIN + point.x * (_WIDTH - 2 * _MARGIN)
    y = _MARGIN + point.y * (_HEIGHT - 2 * _MARGIN)
    ring = '<circle r="7" fill="none" class="ring"/>' if point.is_error else ""
    shown = f' data-t="{point.thumbnail}"' if point.thumbnail else ""
    return (
        f'<g transform="translate({x:.0f} {y:.0f})"{shown}><title>{escape(point.text)}</title>'
        f"{_symbol(point.label)}{ring}</g>"
    )


def _symbol(label: int) -> str:
    colour = COLOURS[label % len(COLOURS)]
    shape = label // len(COLOURS) % SHAPES
    return f'<use href="#shape{shape}" fill="{colour}"/>'
