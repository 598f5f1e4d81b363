"""Synthetic traffic signs: the cut-outs of the demo dataset.

A cut-out is an RGBA Pillow image of `CUTOUT_SIZE` x `CUTOUT_SIZE` pixels, transparent around the sign.
It is drawn several times larger than in a photo, so that downscaling smooths its edges.
Coordinates inside a cut-out run from 0 to 1, right and down.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CUTOUT_SIZE = 512

Colour = tuple[int, int, int]
Point = tuple[float, float]

RED: Colour = (186, 24, 34)
BLUE: Colour = (10, 78, 164)
YELLOW: Colour = (246, 186, 12)
WHITE: Colour = (243, 243, 239)
BLACK: Colour = (22, 22, 24)
METAL: Colour = (128, 132, 136)

# Width of the metal edge around the printed face.
_RIM = 0.012


class Canvas:
    """Square RGBA image with unit coordinates, whose colours vary slightly from sign to sign."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.image = Image.new("RGBA", (CUTOUT_SIZE, CUTOUT_SIZE))
        self._draw = ImageDraw.Draw(self.image)
        self._rng = rng
        self._fading = rng.uniform(0.0, 0.3)

    def paint(self, colour: Colour) -> Colour:
        """Colour on this sign: faded towards gray, with a small variation."""
        gray = sum(colour) / 3
        faded = [channel + self._fading * (gray + 25 - channel) for channel in colour]
        red, green, blue = (int(np.clip(channel + self._rng.normal(0, 7), 0, 255)) for channel in faded)
        return red, green, blue

    def disc(self, radius: float, colour: Colour) -> None:
        """Draw a filled circle around the centre."""
        low, high = (0.5 - radius) * CUTOUT_SIZE, (0.5 + radius) * CUTOUT_SIZE
        self._draw.ellipse((low, low, high, high), fill=colour)

    def bar(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Draw a filled rectangle."""
        box = (left * CUTOUT_SIZE, top * CUTOUT_SIZE, right * CUTOUT_SIZE, bottom * CUTOUT_SIZE)
        self._draw.rectangle(box, fill=colour)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draw a filled circle around a point."""
        box = ((x - radius) * CUTOUT_SIZE, (y - radius) * CUTOUT_SIZE)
        self._draw.ellipse((*box, box[0] + 2 * radius * CUTOUT_SIZE, box[1] + 2 * radius * CUTOUT_SIZE), fill=colour)

    def polygon(self, points: Sequence[Point], colour: Colour, rounding: float = 0.0) -> None:
        """Draw a filled polygon, extended by `rounding` on all sides so that its corners are round."""
        pixels = [(x * CUTOUT_SIZE, y * CUTOUT_SIZE) for x, y in points]
        self._draw.polygon(pixels, fill=colour)
        if rounding > 0:
            width = round(2 * rounding * CUTOUT_SIZE)
            self._draw.line([*pixels, pixels[0]], fill=colour, width=width)
            for x, y in points:
                self.dot(x, y, rounding, colour)

    def text(self, text: str, height: float, colour: Colour, weight: float = 0.014) -> None:
        """Draw text around the centre; `height` is that of a capital letter, `weight` makes the strokes thicker."""
        # A capital of the bundled font is about 0.7 of its nominal size.
        font = ImageFont.load_default(height * CUTOUT_SIZE / 0.7)
        stroke = round(weight * CUTOUT_SIZE)
        box = self._draw.textbbox((0, 0), text, font=font, stroke_width=stroke)
        corner = ((CUTOUT_SIZE - box[0] - box[2]) / 2, (CUTOUT_SIZE - box[1] - box[3]) / 2)
        self._draw.text(corner, text, font=font, fill=colour, stroke_width=stroke, stroke_fill=colour)


def draw_sign(name: str, rng: np.random.Generator) -> Image.Image:
    """Draw a cut-out of the sign of class `name`, one of `SIGNS`, with random variations.

    Raises:
        KeyError: unknown class.
    """
    canvas = Canvas(rng)
    SIGNS[name](canvas, rng)
    return canvas.image


def _regular_polygon(corners: int, radius: float, turn: float, centre: Point = (0.5, 0.5)) -> list[Point]:
    angles = [math.radians(turn + 360 * corner / corners) for corner in range(corners)]
    return [(centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)) for angle in angles]


def _stop(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.polygon(_regular_polygon(8, 0.47 + _RIM, 22.5), METAL)
    canvas.polygon(_regular_polygon(8, 0.47, 22.5), canvas.paint(WHITE))
    canvas.polygon(_regular_polygon(8, rng.uniform(0.435, 0.45), 22.5), canvas.paint(RED))
    canvas.text("STOP", rng.uniform(0.2, 0.25), canvas.paint(WHITE), rng.uniform(0.006, 0.012))


def _triangle(canvas: Canvas, rng: np.random.Generator, turn: float, centre: Point) -> None:
    corners = _regular_polygon(3, 0.44, turn, centre)
    canvas.polygon(corners, METAL, 0.045 + _RIM)
    canvas.polygon(corners, canvas.paint(RED), 0.045)
    canvas.polygon(_regular_polygon(3, rng.uniform(0.285, 0.335), turn, centre), canvas.paint(WHITE), 0.02)


def _yield(canvas: Canvas, rng: np.random.Generator) -> None:
    _triangle(canvas, rng, 90, (0.5, 0.4))


def _danger(canvas: Canvas, rng: np.random.Generator) -> None:
    _triangle(canvas, rng, -90, (0.5, 0.6))
    black = canvas.paint(BLACK)
    width = rng.uniform(0.03, 0.042)
    stem = [(0.5 - width, 0.42), (0.5 + width, 0.42), (0.5 + width / 2, 0.62), (0.5 - width / 2, 0.62)]
    canvas.polygon(stem, black, 0.008)
    canvas.dot(0.5, 0.7, width * 1.05, black)


def _no_entry(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.disc(0.47 + _RIM, METAL)
    canvas.disc(0.47, canvas.paint(WHITE))
    canvas.disc(rng.uniform(0.44, 0.46), canvas.paint(RED))
    half = rng.uniform(0.065, 0.09)
    canvas.bar(0.17, 0.5 - half, 0.83, 0.5 + half, canvas.paint(WHITE))


def _speed_limit(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.disc(0.47 + _RIM, METAL)
    canvas.disc(0.47, canvas.paint(RED))
    canvas.disc(rng.uniform(0.355, 0.39), canvas.paint(WHITE))
    number = str(rng.choice(("20", "30", "50", "60", "70", "80")))
    canvas.text(number, rng.uniform(0.33, 0.4), canvas.paint(BLACK), rng.uniform(0.008, 0.018))


def _end_of_limits(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.disc(0.47 + _RIM, METAL)
    canvas.disc(0.47, canvas.paint(BLACK))
    canvas.disc(rng.uniform(0.435, 0.455), canvas.paint(WHITE))
    black = canvas.paint(BLACK)
    half = rng.uniform(0.008, 0.013)
    for middle in np.arange(-2, 3) * rng.uniform(0.055, 0.07) + 0.5:
        # The stripes are at 45 degrees and end inside the disc.
        reach = math.sqrt(0.41**2 - 2 * (middle - 0.5) ** 2) / math.sqrt(2)
        low, high = middle - reach, middle + reach
        stripe = [(low, high), (high, low), (high + half, low + half), (low + half, high + half)]
        canvas.polygon(stripe, black, half / 2)


def _priority_road(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.polygon(_regular_polygon(4, 0.44, 0), METAL, 0.03 + _RIM)
    canvas.polygon(_regular_polygon(4, 0.44, 0), canvas.paint(WHITE), 0.03)
    canvas.polygon(_regular_polygon(4, rng.uniform(0.3, 0.34), 0), canvas.paint(YELLOW), 0.02)


def _turn_right(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.disc(0.47 + _RIM, METAL)
    canvas.disc(0.47, canvas.paint(WHITE))
    canvas.disc(rng.uniform(0.44, 0.46), canvas.paint(BLUE))
    white = canvas.paint(WHITE)
    half = rng.uniform(0.045, 0.06)
    canvas.bar(0.2, 0.5 - half, 0.62, 0.5 + half, white)
    canvas.polygon([(0.57, 0.3), (0.81, 0.5), (0.57, 0.7)], white)


SIGNS: dict[str, Callable[[Canvas, np.random.Generator], None]] = {
    "danger": _danger,
    "end_of_limits": _end_of_limits,
    "no_entry": _no_entry,
    "priority_road": _priority_road,
    "speed_limit": _speed_limit,
    "stop": _stop,
    "turn_right": _turn_right,
    "yield": _yield,
}
