"""Pictures to check an import by eye: photos with their boxes, and a sheet with crops of each class."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from model.labels.regions import Rectangle
from model.serving.text_rendering import draw_text, text_width

SHEET = "contact-sheet.jpg"
"""File in a dataset with the sheet."""

_LONGEST_SIDE = 1024
_TEXT_SIZE = 16
_TILE = 96
_GAP = 4
SHEET_COLUMNS = 12
"""Images of a class in the sheet."""

_MAX_SHEET_ROWS = 100
_QUALITY = 85
# Legible on bright and dark photos; neighbours in the list differ for the colour-blind (Okabe and Ito 2008).
_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))


def draw_boxes(pixels: np.ndarray, boxes: Sequence[tuple[Rectangle, str]], classes: Sequence[str]) -> bytes:
    """A photo with its boxes and their classes, at most 1,024 pixels wide and high: a JPEG file.

    Args:
        pixels: photo, uint8 RGB of shape (height, width, 3).
        boxes: box in pixels of the photo and class of each; a box of size 0 labels the whole photo.
        classes: all classes, which give the colours.
    """
    photo = Image.fromarray(pixels)
    scale = min(1.0, _LONGEST_SIDE / max(photo.size))
    photo = photo.resize((max(1, round(photo.width * scale)), max(1, round(photo.height * scale))))
    draw = ImageDraw.Draw(photo)
    for rectangle, label in boxes:
        colour = _COLOURS[list(classes).index(label) % len(_COLOURS)]
        corners = [(float(x * scale), float(y * scale)) for x, y in rectangle.corners()]
        draw.polygon(corners, outline=colour, width=3)
        x, y = min(corners, key=lambda corner: corner[1])
        place = min(max(0.0, x), photo.width - 40.0), max(_TEXT_SIZE + 0.0, y - 6)
        width = min(text_width(label, _TEXT_SIZE), photo.width - place[0])
        draw.rectangle((place[0] - 3, place[1] - _TEXT_SIZE, place[0] + width + 3, place[1] + 5), colour)
        draw_text(photo, place, label, _TEXT_SIZE, photo.width - place[0])
    return _jpeg(photo)


def draw_sheet(crops: Mapping[str, Sequence[bytes]]) -> bytes:
    """A row for each class with its first crops: a JPEG file. Classes after the first 100 are left out.

    Args:
        crops: class -> image files.
    """
    rows = list(crops.items())[:_MAX_SHEET_ROWS]
    pitch, row_pitch = _TILE + _GAP, _TILE + _TEXT_SIZE + 3 * _GAP
    sheet = Image.new("RGB", (_GAP + pitch * SHEET_COLUMNS, _GAP + row_pitch * max(1, len(rows))), "white")
    for row, (label, files) in enumerate(rows):
        top = _GAP + row * row_pitch
        draw_text(sheet, (_GAP, top + _TEXT_SIZE), label, _TEXT_SIZE, sheet.width - 2 * _GAP)
        for column, content in enumerate(files[:SHEET_COLUMNS]):
            tile = Image.open(io.BytesIO(content)).convert("RGB")
            tile.thumbnail((_TILE, _TILE))
            sheet.paste(tile, (_GAP + column * pitch, top + _TEXT_SIZE + 2 * _GAP))
    return _jpeg(sheet)


def _jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
