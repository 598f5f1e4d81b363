"""Synthetic backgrounds for cut-outs: streets, walls, foliage and skies.

A background is a float32 array of shape (height, width, 3), RGB, in about [0, 255].
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Size = tuple[int, int]
"""Height and width, in pixels."""


def draw_background(size: Size, rng: np.random.Generator) -> np.ndarray:
    """Draw one of the scenes of `SCENES`, with clutter in front of it.

    Args:
        size: height and width in pixels.
        rng: source of all random choices.

    Returns:
        float32 array (height, width, 3), RGB, in [0, 255].
    """
    scene = SCENES[int(rng.integers(len(SCENES)))](size, rng)
    return np.clip(_add_clutter(scene, rng), 0, 255)


def fractal_noise(size: Size, rng: np.random.Generator, coarsest: float = 4, octaves: int = 4) -> np.ndarray:
    """Fractal noise: smooth random hills, each octave with twice the detail and half the height.

    Args:
        size: height and width in pixels.
        coarsest: number of hills along the width in the first octave.
        octaves: number of octaves.

    Returns:
        float32 array (height, width), about uniform in [0, 1].
    """
    total = np.zeros((1, 1), np.float32)
    for octave in range(octaves):
        columns = max(2, min(size[1], int(coarsest * 2**octave)))
        rows = max(2, min(size[0], columns * size[0] // size[1]))
        total = _enlarge(total, (rows, columns)) + rng.random((rows, columns), np.float32) * 0.5**octave
    mean, reach = 1 - 0.5**octaves, 2 - 0.5 ** (octaves - 1)
    return np.clip((_enlarge(total, size) - mean) / reach * 1.4 + 0.5, 0, 1)


def _enlarge(field: np.ndarray, size: Size) -> np.ndarray:
    return np.asarray(Image.fromarray(field).resize(size[::-1], Image.Resampling.BICUBIC))


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Blend two colours by a fraction in [0, 1] per pixel."""
    return first + (second - first) * share[..., None]


def _colour(rng: np.random.Generator, low: tuple[int, int, int], high: tuple[int, int, int]) -> np.ndarray:
    """Random colour between two, with one fraction for all channels and a small variation per channel."""
    start, end = np.array(low, np.float32), np.array(high, np.float32)
    colour = start + (end - start) * rng.random() + rng.normal(0, 6, 3)
    return np.clip(colour, 0, 255).astype(np.float32)


def _sky(size: Size, rng: np.random.Generator) -> np.ndarray:
    zenith = _colour(rng, (70, 120, 190), (150, 165, 185))
    horizon = _colour(rng, (190, 205, 220), (235, 225, 205))
    down = np.linspace(0, 1, size[0], dtype=np.float32)[:, None] * np.ones(size, np.float32)
    clouds = np.clip(fractal_noise(size, rng, rng.uniform(2, 5)) * 3 - rng.uniform(1.0, 2.2), 0, 1)
    return _mix(_mix(zenith, horizon, down), np.float32(238) + rng.normal(0, 5, 3).astype(np.float32), clouds * 0.9)


def _asphalt(size: Size, rng: np.random.Generator) -> np.ndarray:
    gray = _colour(rng, (70, 70, 74), (150, 146, 140))
    grain = rng.normal(0, rng.uniform(5, 14), size).astype(np.float32)
    patches = (fractal_noise(size, rng, 3) - 0.5) * 50
    surface = Image.fromarray(np.clip(gray + (grain + patches)[..., None], 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(surface)
    for _ in range(int(rng.integers(0, 3))):
        paint = tuple(int(channel) for channel in _colour(rng, (190, 190, 185), (225, 215, 170)))
        start, end = rng.uniform(0, size[1], 2)
        draw.line((start, 0, end, size[0]), fill=paint, width=int(rng.integers(4, 16)))
    return np.asarray(surface, np.float32)


def _brick(size: Size, rng: np.random.Generator) -> np.ndarray:
    height, width = size
    tall = int(rng.integers(12, 30))
    long = int(tall * rng.uniform(2.0, 3.2))
    mortar = tuple(int(channel) for channel in _colour(rng, (150, 145, 138), (205, 200, 190)))
    brick = _colour(rng, (112, 58, 45), (190, 150, 120))
    wall = Image.new("RGB", (width, height), mortar)
    draw = ImageDraw.Draw(wall)
    for row, top in enumerate(range(-int(rng.integers(tall)), height, tall)):
        for left in range(-(row % 2) * long // 2, width, long):
            shade = np.clip(brick * rng.uniform(0.8, 1.15) + rng.normal(0, 6, 3), 0, 255).astype(int)
            draw.rectangle((left + 2, top + 2, left + long - 2, top + tall - 1), fill=tuple(shade.tolist()))
    return np.asarray(wall, np.float32) * (0.75 + 0.5 * fractal_noise(size, rng, 4, 6))[..., None]


def _foliage(size: Size, rng: np.random.Generator) -> np.ndarray:
    height, width = size
    dark = _colour(rng, (18, 36, 14), (40, 58, 30))
    light = _colour(rng, (70, 110, 40), (150, 150, 60))
    leaves = Image.fromarray(_mix(dark, light, fractal_noise(size, rng, 6) * 0.5).astype(np.uint8))
    draw = ImageDraw.Draw(leaves)
    count = int(rng.integers(200, 420))
    centres = rng.uniform(0, 1, (count, 2)) * (width, height)
    radii = rng.uniform(3, 13, (count, 2))
    shares = np.sort(rng.uniform(0, 1, count))
    for (x, y), (across, up), share in zip(centres, radii, shares, strict=True):
        shade = np.clip(dark + (light - dark) * share + rng.normal(0, 9, 3), 0, 255).astype(int)
        draw.ellipse((x - across, y - up, x + across, y + up), fill=tuple(shade.tolist()))
    return np.asarray(leaves.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 2.5))), np.float32)


def _facade(size: Size, rng: np.random.Generator) -> np.ndarray:
    height, width = size
    plaster = _colour(rng, (120, 105, 90), (225, 210, 185))
    stains = 0.85 + 0.3 * fractal_noise(size, rng, 5, 5)
    wall = Image.fromarray(np.clip(plaster * stains[..., None], 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(wall)
    step_x, step_y = int(rng.integers(50, 110)), int(rng.integers(60, 120))
    frame = tuple(int(channel) for channel in _colour(rng, (60, 50, 45), (240, 240, 235)))
    for top in range(-int(rng.integers(step_y)), height, step_y):
        for left in range(-int(rng.integers(step_x)), width, step_x):
            glass = tuple(int(channel) for channel in _colour(rng, (30, 38, 50), (140, 165, 185)))
            box = (left, top, left + step_x * 0.5, top + step_y * 0.6)
            draw.rectangle(box, fill=glass, outline=frame, width=3)
            draw.line((left + step_x * 0.25, top, left + step_x * 0.25, top + step_y * 0.6), fill=frame, width=2)
    return np.asarray(wall, np.float32)


def _bokeh(size: Size, rng: np.random.Generator) -> np.ndarray:
    height, width = size
    first, second = _colour(rng, (30, 30, 36), (150, 150, 140)), _colour(rng, (60, 70, 60), (200, 190, 170))
    blur = Image.fromarray(_mix(first, second, fractal_noise(size, rng, 2, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(blur)
    for _ in range(int(rng.integers(10, 30))):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(6, 36)
        light = tuple(int(channel) for channel in rng.uniform(60, 250, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=light)
    return np.asarray(blur.filter(ImageFilter.GaussianBlur(rng.uniform(6, 14))), np.float32)


def _street(size: Size, rng: np.random.Generator) -> np.ndarray:
    """Sky above, houses or trees in the middle, the road below."""
    height, width = size
    horizon = int(height * rng.uniform(0.25, 0.55))
    kerb = int(height * rng.uniform(0.65, 0.85))
    scene = _sky(size, rng)
    hills = (fractal_noise((1, width), rng, 6)[0] - 0.5) * height * 0.35
    if rng.random() < 0.5:
        middle = _facade(size, rng)
        # Roofs are level: each house keeps the height at its left wall.
        hills = hills[np.arange(width) // (width // 4) * (width // 4)]
    else:
        middle = _foliage(size, rng)
    below_outline = np.arange(height)[:, None] > horizon + hills
    scene = np.where(below_outline[..., None], middle, scene)
    scene[kerb:] = _asphalt((height - kerb, width), rng)
    return scene


def _add_clutter(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add shapes in the colours of signs (posters, lamps, cars), so that colour alone does not identify a sign."""
    height, width = scene.shape[:2]
    clutter = Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(clutter)
    for _ in range(int(rng.integers(1, 6))):
        colour = _CLUTTER_COLOURS[int(rng.integers(len(_CLUTTER_COLOURS)))]
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        across, up = rng.uniform(0.02, 0.16, 2) * height
        shape = rng.integers(4)
        if shape == 0:
            draw.ellipse((x - across, y - across, x + across, y + across), fill=colour)
        elif shape == 1:
            draw.rectangle((x - across, y - up, x + across, y + up), fill=colour)
        elif shape == 2:
            corners = rng.uniform(-1, 1, (3, 2)) * across * 1.5 + (x, y)
            draw.polygon([tuple(corner) for corner in corners.tolist()], fill=colour)
        else:
            draw.line((x, 0, x + rng.normal(0, 20), height), fill=colour, width=int(rng.integers(2, 9)))
    softened = clutter.filter(ImageFilter.BoxBlur(rng.uniform(0.5, 2.5)))
    return np.asarray(softened, np.float32) * (0.9 + 0.2 * fractal_noise((height, width), rng, 3, 3))[..., None]


_CLUTTER_COLOURS = (
    (176, 34, 38),
    (196, 60, 50),
    (20, 80, 160),
    (70, 120, 190),
    (240, 190, 30),
    (235, 235, 230),
    (40, 40, 44),
    (110, 112, 116),
)

SCENES: tuple[Callable[[Size, np.random.Generator], np.ndarray], ...] = (
    _street,
    _street,
    _sky,
    _foliage,
    _brick,
    _asphalt,
    _facade,
    _bokeh,
)
