"""Photos of three colours, and models that know them."""

from pathlib import Path

import numpy as np
from PIL import Image

from model.bundle import Bundle, open_bundle, write_manifest
from tests.support.small_model import CLASSES, write_small_model


def write_colours(folder: Path, images: int, classes: tuple[str, ...] = CLASSES, seed: int = 0) -> Path:
    """A folder per class, of PNG files of noise around red, green and blue; a fourth class is gray."""
    rng = np.random.default_rng(seed)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(images):
            pixels = rng.integers(0, 90, (24, 32, 3))
            pixels[..., label if label < 3 else slice(None)] += 100
            Image.fromarray(np.kron(pixels, np.ones((2, 2, 1), int)).astype(np.uint8)).save(
                folder / name / f"{number}.png"
            )
    return folder


def write_colour_model(models: Path, name: str, **options: object) -> Bundle:
    """A model of `tests.support.small_model`, with its options."""
    write_small_model(models / name, **options)
    return open_bundle(models / name)


def rewrite(bundle: Bundle, files: dict[str, str] | None = None, **changed: object) -> Bundle:
    """The model with further files, and with these changes of its manifest."""
    import dataclasses

    for path, text in (files or {}).items():
        (bundle.directory / path).parent.mkdir(exist_ok=True)
        (bundle.directory / path).write_text(text, encoding="utf-8")
    write_manifest(bundle.directory, dataclasses.replace(bundle.manifest, **changed))
    return open_bundle(bundle.directory)
