"""Photos for benchmarks: the demo dataset's traffic signs at a requested size."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from model.synthesis.backgrounds import draw_background
from model.synthesis.composition import Variation, compose_photo
from model.synthesis.traffic_signs import SIGNS, draw_sign

CLASSES = tuple(SIGNS)


def draw_photo(sign: str, seed: int, height: int, width: int, variation: Variation | None = None) -> bytes:
    """Draw a JPEG of a traffic sign; the same bytes for the same arguments."""
    rng = np.random.default_rng([seed, CLASSES.index(sign), height, width])
    background = draw_background((height, width), rng)
    return compose_photo(draw_sign(sign, rng), background, rng, variation or Variation()).content


def write_photos(directory: Path, seeds: Iterable[int], height: int = 400, width: int = 500) -> None:
    """Write a folder for each class with a photo for each seed, `directory/class/seed.jpg`."""
    for sign in CLASSES:
        (directory / sign).mkdir(parents=True, exist_ok=True)

    def write(job: tuple[str, int]) -> None:
        sign, seed = job
        (directory / sign / f"{seed:04d}.jpg").write_bytes(draw_photo(sign, seed, height, width))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(write, [(sign, seed) for seed in seeds for sign in CLASSES]))
