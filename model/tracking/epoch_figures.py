"""Pictures of how a network does on its validation images, small and quickly drawn."""

import collections
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.special import softmax

from model.dataset.images import read_image
from model.errors import ImageError
from model.evaluation.charts import BLUE, ORANGE, shorten
from model.results import InputSpec, Sample

MOST_ERRORS = 16
TILE = 112
_ERRORS_IN_A_ROW = 4
_GAP = 6
_CAPTION = 32
_LONGEST_NAME = 16
_KEPT_THUMBNAILS = 256

_MATRIX_SIDE = 480
_LARGEST_CELL, _SMALLEST_CELL = 48, 2
# Below, neither names nor counts can be read.
_CELL_FOR_TEXT = 14
_EMPTY = "#F5F7F9"


class Thumbnails:
    """Small pictures of samples; the last few hundred are kept."""

    def __init__(self, resize: str) -> None:
        self._resize = resize
        self._kept: collections.OrderedDict[tuple[str, int], np.ndarray] = collections.OrderedDict()

    def read(self, sample: Sample, side: int) -> np.ndarray:
        """The image as uint8 (side, side, 3); gray where it can no longer be read."""
        try:
            return read_image(sample.path, InputSpec.square(side, self._resize))
        except ImageError:
            return np.full((side, side, 3), 128, np.uint8)

    def remember(self, sample: Sample, side: int) -> np.ndarray:
        """As `read`, for images that are likely to be wanted again."""
        key = (sample.name, side)
        if key not in self._kept:
            self._kept[key] = self.read(sample, side)
            if len(self._kept) > _KEPT_THUMBNAILS:
                self._kept.popitem(last=False)
        return self._kept[key]


def draw_confusion_matrix(answers: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Image.Image:
    """True classes down, answers across; blue is right, orange wrong, darker is a larger share of the true class.

    Args:
        answers, labels: int (n,).
    """
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (labels, answers), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = int(np.clip(_MATRIX_SIDE // len(classes), _SMALLEST_CELL, _LARGEST_CELL))
    readable = cell >= _CELL_FOR_TEXT
    font = ImageFont.load_default(min(13, max(9, cell // 2)))
    names = [shorten(name, _LONGEST_NAME) for name in classes]
    margin = 10 + round(max(font.getlength(name) for name in names)) if readable else 4
    picture = Image.new("RGB", (margin + cell * len(classes) + 4, margin + cell * len(classes) + 4), "white")
    draw = ImageDraw.Draw(picture)
    for true, answered in np.ndindex(counts.shape):
        left, top = margin + answered * cell, margin + true * cell
        colour = _shade(BLUE if true == answered else ORANGE, shares[true, answered])
        draw.rectangle((left, top, left + cell - 1, top + cell - 1), colour, "white" if readable else None)
        if readable and counts[true, answered]:
            ink = "white" if shares[true, answered] > 0.5 else "black"
            draw.text((left + cell / 2, top + cell / 2), str(counts[true, answered]), ink, font, "mm")
    if readable:
        _write_names(picture, names, font, margin, cell)
    return picture


def draw_surest_errors(
    logits: np.ndarray, samples: Sequence[Sample], classes: Sequence[str], thumbnails: Thumbnails
) -> Image.Image:
    """The images answered wrong with the highest confidence, the surest first: the true class, and what was said.

    Args:
        logits: float (n, classes), of the n samples.
    """
    probabilities = softmax(logits, axis=-1)
    answers, confidence = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    wrong = [row for row in np.argsort(-confidence, kind="stable") if answers[row] != samples[row].label][:MOST_ERRORS]
    rows = max(1, -(-len(wrong) // _ERRORS_IN_A_ROW))
    pitch, row_pitch = TILE + _GAP, TILE + _CAPTION + _GAP
    sheet = Image.new("RGB", (_GAP + pitch * _ERRORS_IN_A_ROW, _GAP + row_pitch * rows), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    if not wrong:
        draw.text((_GAP, _GAP), "All validation images are answered right.", "black", font)
    for position, row in enumerate(wrong):
        left, top = _GAP + pitch * (position % _ERRORS_IN_A_ROW), _GAP + row_pitch * (position // _ERRORS_IN_A_ROW)
        sheet.paste(Image.fromarray(thumbnails.remember(samples[row], TILE)), (left, top))
        true, said = (shorten(classes[label], _LONGEST_NAME) for label in (samples[row].label, answers[row]))
        draw.text((left, top + TILE + 2), true, BLUE, font)
        draw.text((left, top + TILE + 16), f"{confidence[row]:.0%} {said}", ORANGE, font)
    return sheet


def _write_names(
    picture: Image.Image,
    names: Sequence[str],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    margin: int,
    cell: int,
) -> None:
    """True classes at the left; answers above, turned."""
    side = len(names) * cell
    down, across = Image.new("RGB", (margin, side), "white"), Image.new("RGB", (margin, side), "white")
    for place, anchor, column in ((margin - 5, "rm", down), (5, "lm", across)):
        draw = ImageDraw.Draw(column)
        for row, name in enumerate(names):
            draw.text((place, (row + 0.5) * cell), name, "black", font, anchor)
    picture.paste(down, (0, margin))
    # Turned to read upwards, the first name comes out at the left.
    picture.paste(across.transpose(Image.Transpose.ROTATE_90), (margin, 0))
    draw = ImageDraw.Draw(picture)
    draw.text((4, margin - 4), "true", BLUE, font, "ls")
    draw.text((margin - 4, 4), "answered", BLUE, font, "ra")


def _shade(colour: str, share: float) -> tuple[int, ...]:
    """Between almost white and the colour."""
    if share == 0:
        return tuple(bytes.fromhex(_EMPTY[1:]))
    strength = 0.2 + 0.8 * share
    return tuple(round(255 + strength * (channel - 255)) for channel in bytes.fromhex(colour[1:]))
