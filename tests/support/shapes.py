"""Photos of drawn shapes, to train on in seconds."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("circle", "square", "triangle")


def draw_shape(shape: str, rng: np.random.Generator) -> Image.Image:
    """A shape of random colour, place and size on a noisy background."""
    noise = rng.integers(0, 90, (96, 128, 3), np.uint8)
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    radius = int(rng.integers(18, 40))
    x, y = (int(rng.integers(radius, limit - radius)) for limit in image.size)
    colour = tuple(int(value) for value in rng.integers(150, 256, 3))
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        draw.ellipse(box, colour)
    elif shape == "square":
        draw.rectangle(box, colour)
    else:
        draw.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], colour)
    return image


def write_shapes(directory: Path, images_per_class: int, seed: int = 0) -> Path:
    """A folder per class, of JPEG files."""
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        (directory / name).mkdir(parents=True)
        for number in range(images_per_class):
            draw_shape(name, rng).save(directory / name / f"{number:03}.jpg", quality=90)
    return directory
