"""A contact sheet of an augmentation: a row for each image, the image first, then augmented views of it."""

import contextlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.augmentation import Operation, augmentation_text
from model.dataset.reading import read_sample
from model.dataset.training_data import TrainingData
from model.errors import ImageError
from model.features.views import View
from model.results import InputSpec, Sample

IMAGES = 8
VIEWS = 7
_TILE = 128
_GAP = 4
_TITLE = 28
_FONT_SIZE = 13


def draw_contact_sheet(
    data: TrainingData, operations: tuple[Operation, ...], spec: InputSpec, seed: int
) -> Image.Image:
    """Draw the first seven views of eight training images of different classes, as they are used in a training.

    Other images take the place of those that can no longer be read.

    Args:
        spec: the input of the network.
    """
    chosen = _of_all_classes(data.samples("train"), spec)
    labels = ["image", *(f"view {number}" for number in range(1, VIEWS + 1))]
    pitch, row_pitch = _TILE + _GAP, _TILE + _TITLE
    sheet = Image.new("RGB", (_GAP + pitch * len(labels), 2 * _TITLE + row_pitch * len(chosen)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    draw.text((_GAP, _GAP), augmentation_text(operations), "black", font)
    for column, label in enumerate(labels):
        draw.text((_GAP + column * pitch, _TITLE + _GAP), label, "black", font)
    for row, (sample, image) in enumerate(chosen):
        top = 2 * _TITLE + row * row_pitch
        content_hash = data.content_hashes[sample.name]
        views = [View(operations, seed, number).apply(image, content_hash) for number in range(1, VIEWS + 1)]
        for column, pixels in enumerate((image, *views)):
            sheet.paste(_tile(pixels), (_GAP + column * pitch, top))
        draw.text((_GAP, top + _TILE + _GAP), f"{data.classes[sample.label]}: {sample.name}", "black", font)
    return sheet


def _of_all_classes(samples: Sequence[Sample], spec: InputSpec) -> list[tuple[Sample, np.ndarray]]:
    """Readable images: the first of each class, then the second of each, and so on; sorted by class."""
    seen: dict[int, int] = {}
    ranks = []
    for position, sample in enumerate(samples):
        seen[sample.label] = seen.get(sample.label, 0) + 1
        ranks.append((seen[sample.label], sample.label, position))
    chosen: list[tuple[int, int, np.ndarray]] = []
    for _, label, position in sorted(ranks):
        if len(chosen) == IMAGES:
            break
        with contextlib.suppress(ImageError):
            chosen.append((label, position, read_sample(samples[position], spec)))
    return [(samples[position], image) for _, position, image in sorted(chosen, key=lambda item: item[:2])]


def _tile(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels).resize((_TILE, _TILE), Image.Resampling.LANCZOS)
