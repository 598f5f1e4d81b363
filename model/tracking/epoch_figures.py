"""Figures of the validation predictions after an epoch: confusion matrix and most confident errors."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.special import softmax

from model.dataset.images import read_image
from model.errors import ImageError
from model.evaluation.charts import BLUE, ORANGE, shorten
from model.evaluation.metrics import confusion_matrix
from model.results import InputSpec, Sample

MAX_ERRORS = 16
TILE = 112
_ERRORS_PER_ROW = 4
_GAP = 6
_CAPTION = 32
_MAX_NAME = 16
_CACHED_THUMBNAILS = 256

_MATRIX_SIDE = 480
_MAX_CELL, _MIN_CELL = 48, 2
# In smaller cells neither names nor counts are readable.
_CELL_FOR_TEXT = 14
_EMPTY = "#F5F7F9"


class Thumbnails:
    """Thumbnails of samples, with a cache of a few hundred."""

    def __init__(self, spec: InputSpec) -> None:
        """Args:
        spec: input of the network; its size is not used.
        """
        self._spec = spec
        self._cache: collections.OrderedDict[tuple[str, int], np.ndarray] = collections.OrderedDict()

    def read(self, sample: Sample, side: int) -> np.ndarray:
        """The image as uint8 (side, side, 3); gray if it can no longer be read."""
        try:
            return read_image(sample.path, dataclasses.replace(self._spec, height=side, width=side))
        except ImageError:
            return np.full((side, side, 3), 128, np.uint8)

    def read_cached(self, sample: Sample, side: int) -> np.ndarray:
        """Read an image through the cache; for images that are likely to be read again."""
        key = (sample.name, side)
        if key not in self._cache:
            self._cache[key] = self.read(sample, side)
            if len(self._cache) > _CACHED_THUMBNAILS:
                self._cache.popitem(last=False)
        return self._cache[key]


def draw_confusion_matrix(predicted: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Image.Image:
    """Confusion matrix: rows are true classes; blue is correct, orange incorrect, darker a larger fraction of the row.

    Args:
        predicted, labels: int (n,).
    """
    counts = confusion_matrix(labels, predicted, len(classes))
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = int(np.clip(_MATRIX_SIDE // len(classes), _MIN_CELL, _MAX_CELL))
    readable = cell >= _CELL_FOR_TEXT
    font = ImageFont.load_default(min(13, max(9, cell // 2)))
    names = [shorten(name, _MAX_NAME) for name in classes]
    margin = 10 + round(max(font.getlength(name) for name in names)) if readable else 4
    figure = Image.new("RGB", (margin + cell * len(classes) + 4, margin + cell * len(classes) + 4), "white")
    draw = ImageDraw.Draw(figure)
    for row, column in np.ndindex(counts.shape):
        left, top = margin + column * cell, margin + row * cell
        colour = _shade(BLUE if row == column else ORANGE, fractions[row, column])
        draw.rectangle((left, top, left + cell - 1, top + cell - 1), colour, "white" if readable else None)
        if readable and counts[row, column]:
            ink = "white" if fractions[row, column] > 0.5 else "black"
            draw.text((left + cell / 2, top + cell / 2), str(counts[row, column]), ink, font, "mm")
    if readable:
        _write_names(figure, names, font, margin, cell)
    return figure


def draw_confident_errors(
    logits: np.ndarray, samples: Sequence[Sample], classes: Sequence[str], thumbnails: Thumbnails
) -> Image.Image:
    """Most confident errors, the most confident first, each with its true and its predicted class.

    Args:
        logits: float (n, classes), of the n samples.
    """
    probabilities = softmax(logits, axis=-1)
    predicted, confidence = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    order = np.argsort(-confidence, kind="stable")
    errors = [index for index in order if predicted[index] != samples[index].label][:MAX_ERRORS]
    rows = max(1, -(-len(errors) // _ERRORS_PER_ROW))
    pitch, row_pitch = TILE + _GAP, TILE + _CAPTION + _GAP
    sheet = Image.new("RGB", (_GAP + pitch * _ERRORS_PER_ROW, _GAP + row_pitch * rows), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    if not errors:
        draw.text((_GAP, _GAP), "All validation images are predicted correctly.", "black", font)
    for position, index in enumerate(errors):
        left, top = _GAP + pitch * (position % _ERRORS_PER_ROW), _GAP + row_pitch * (position // _ERRORS_PER_ROW)
        sheet.paste(Image.fromarray(thumbnails.read_cached(samples[index], TILE)), (left, top))
        true, answer = (shorten(classes[label], _MAX_NAME) for label in (samples[index].label, predicted[index]))
        draw.text((left, top + TILE + 2), true, BLUE, font)
        draw.text((left, top + TILE + 16), f"{confidence[index]:.0%} {answer}", ORANGE, font)
    return sheet


def _write_names(
    figure: Image.Image,
    names: Sequence[str],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    margin: int,
    cell: int,
) -> None:
    """True classes at the left; predicted classes at the top, rotated."""
    side = len(names) * cell
    row_names, column_names = Image.new("RGB", (margin, side), "white"), Image.new("RGB", (margin, side), "white")
    for x, anchor, image in ((margin - 5, "rm", row_names), (5, "lm", column_names)):
        draw = ImageDraw.Draw(image)
        for row, name in enumerate(names):
            draw.text((x, (row + 0.5) * cell), name, "black", font, anchor)
    figure.paste(row_names, (0, margin))
    # Rotated to read upwards, the first name is at the left.
    figure.paste(column_names.transpose(Image.Transpose.ROTATE_90), (margin, 0))
    draw = ImageDraw.Draw(figure)
    draw.text((4, margin - 4), "true", BLUE, font, "ls")
    draw.text((margin - 4, 4), "predicted", BLUE, font, "ra")


def _shade(colour: str, fraction: float) -> tuple[int, ...]:
    """Shade between almost white and the colour."""
    if fraction == 0:
        return tuple(bytes.fromhex(_EMPTY[1:]))
    strength = 0.2 + 0.8 * fraction
    return tuple(round(255 + strength * (channel - 255)) for channel in bytes.fromhex(colour[1:]))
