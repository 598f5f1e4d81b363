"""Cutting labelled parts out of photos."""

import dataclasses
import hashlib
import io
import math
import re

import numpy as np
from PIL import Image

from model.labels.regions import Box, Rectangle, Region

# Photos of other proportions are not the ones that were annotated.
_MAX_PROPORTION_CHANGE = 0.01
_STEM_CHARACTERS = 60
_KEY_CHARACTERS = 12


@dataclasses.dataclass(frozen=True)
class CropOptions:
    """How labelled parts are cut out.

    Attributes:
        margin: added on each side, as a fraction of the width and height of the box; 0 or more.
        min_side: minimum width and height in pixels of a box, and of its part inside the photo, without its margin;
            smaller ones are left out.
        straighten: rotate the content of a rotated box upright; otherwise the upright box around it is cut out.
    """

    margin: float = 0.1
    min_side: int = 8
    straighten: bool = False


class UnusableRegionError(ValueError):
    """A region that gives no crop; the message says why."""


def cut(
    pixels: np.ndarray, box: Box, photo_size: tuple[int, int] | None, options: CropOptions
) -> tuple[np.ndarray, Rectangle]:
    """Cut a box out of its photo.

    Args:
        pixels: photo, uint8 RGB of shape (height, width, 3).
        photo_size: width and height of the photo that was annotated; None if not recorded.

    Returns:
        the crop, uint8 RGB of shape (height, width, 3), and the box without its margin, in pixels. A margin ends at
        the edge of the photo, and the part of a straightened box outside the photo is white.

    Raises:
        UnusableRegionError: the box is too small or outside the photo, or the photo is not the one annotated.
    """
    height, width = pixels.shape[:2]
    _check_proportions(photo_size, width, height)
    rectangle = box.rectangle(width, height)
    shown = f"{rectangle.width:.0f} x {rectangle.height:.0f} pixels"
    if min(rectangle.width, rectangle.height) < options.min_side:
        raise UnusableRegionError(f"expected a box of at least {options.min_side} pixels a side, received {shown}")
    inside = _clipped(rectangle.outer(), width, height)
    if min(inside.width, inside.height) < 1:
        raise UnusableRegionError(f"expected a box inside the photo of {width} x {height} pixels, received one outside")
    # Percentages of whole pixels are rounded: 7.999999999 is 8.
    if min(inside.width, inside.height) < options.min_side - 1e-6:
        raise UnusableRegionError(
            f"expected a box of at least {options.min_side} pixels a side inside the photo, received "
            f"{inside.width:.0f} x {inside.height:.0f} pixels"
        )
    widened = rectangle.widened(options.margin)
    if rectangle.rotation % 360 and options.straighten:
        return _straightened(pixels, widened), rectangle
    left, top, right, bottom = _whole_pixels(_clipped(widened.outer(), width, height))
    return pixels[top:bottom, left:right], rectangle


def encode_crop(crop: np.ndarray) -> bytes:
    """A crop as a PNG file: nothing is lost, and the same pixels give the same bytes."""
    stream = io.BytesIO()
    Image.fromarray(crop).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def crop_name(photo: str, content_hash: str, region: Region, label: str, options: CropOptions, suffix: str) -> str:
    """Name of the file of a crop; it changes when the photo, the box or an option does, and only then.

    Args:
        photo: address or path of the photo.
        content_hash: sha256 of the photo's file.
        suffix: ending of the name, with its dot.
    """
    box: tuple[object, ...] = ()
    if region.box is not None:
        is_rotated = bool(region.box.rotation % 360)
        box = (*dataclasses.astuple(region.box), options.margin, options.straighten and is_rotated)
    key = hashlib.sha256(repr((photo, content_hash, region.name, box, label)).encode()).hexdigest()
    return f"{file_stem(photo)}-{key[:_KEY_CHARACTERS]}{suffix}"


def file_stem(photo: str) -> str:
    """The last part of the address of a photo as the beginning of a file name, of ASCII letters, digits, _ and -."""
    last = re.split(r"[/\\=]", photo)[-1].rsplit(".", 1)[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "_", last).strip("_")[:_STEM_CHARACTERS] or "photo"


def _check_proportions(photo_size: tuple[int, int] | None, width: int, height: int) -> None:
    if photo_size is None:
        return
    seen_width, seen_height = photo_size
    ratio = (width / height) / (seen_width / seen_height)
    if abs(math.log(ratio)) > _MAX_PROPORTION_CHANGE + 1 / min(width, height, seen_width, seen_height):
        raise UnusableRegionError(
            f"expected the photo that was annotated, of {seen_width} x {seen_height} pixels, received one of "
            f"{width} x {height} in other proportions"
        )


def _clipped(rectangle: Rectangle, width: int, height: int) -> Rectangle:
    """The part of an upright rectangle inside a photo; of size 0 or less outside."""
    left, top = max(0.0, rectangle.x), max(0.0, rectangle.y)
    right = min(float(width), rectangle.x + rectangle.width)
    bottom = min(float(height), rectangle.y + rectangle.height)
    return Rectangle(left, top, right - left, bottom - top)


def _whole_pixels(rectangle: Rectangle) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of all pixels that a rectangle touches."""
    # Percentages of whole pixels are rounded: 12.000000001 is 12.
    left, top = math.floor(rectangle.x + 1e-6), math.floor(rectangle.y + 1e-6)
    right = math.ceil(rectangle.x + rectangle.width - 1e-6)
    bottom = math.ceil(rectangle.y + rectangle.height - 1e-6)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _straightened(pixels: np.ndarray, rectangle: Rectangle) -> np.ndarray:
    """The content of a turned rectangle, upright."""
    angle = math.radians(rectangle.rotation)
    size = max(1, round(rectangle.width)), max(1, round(rectangle.height))
    across, down = rectangle.width / size[0], rectangle.height / size[1]
    cosine, sine = math.cos(angle), math.sin(angle)
    # From a pixel of the crop to its place in the photo.
    affine = (cosine * across, -sine * down, rectangle.x, sine * across, cosine * down, rectangle.y)
    turned = Image.fromarray(pixels).transform(
        size, Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC, fillcolor=(255, 255, 255)
    )
    return np.asarray(turned)
