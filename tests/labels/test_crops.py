"""Boxes in pixels, and what is cut out of a photo."""

import math

import numpy as np
import pytest

from model.labels.crops import CropOptions, UnusableRegionError, cut
from model.labels.regions import Box, Rectangle

SIZE = (320, 240)
NO_MARGIN = CropOptions(margin=0.0)


def photo(width: int = 320, height: int = 240) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def painted(rectangle: Rectangle, width: int = 320, height: int = 240) -> np.ndarray:
    """A photo that is white inside a rectangle, by the position of each pixel's centre in its frame."""
    angle = math.radians(rectangle.rotation)
    ys, xs = np.mgrid[:height, :width] + 0.5
    along = (xs - rectangle.x) * math.cos(angle) + (ys - rectangle.y) * math.sin(angle)
    down = -(xs - rectangle.x) * math.sin(angle) + (ys - rectangle.y) * math.cos(angle)
    inside = (along >= 0) & (along <= rectangle.width) & (down >= 0) & (down <= rectangle.height)
    return np.repeat(np.where(inside, 255, 0).astype(np.uint8)[..., None], 3, axis=2)


def test_a_box_in_percent_becomes_whole_pixels() -> None:
    pixels = photo()
    pixels[60:120, 80:160] = 255
    crop, rectangle = cut(pixels, Box(0.25, 0.25, 0.25, 0.25), SIZE, NO_MARGIN)
    assert rectangle == (80, 60, 80, 60, 0)
    assert crop.shape == (60, 80, 3) and crop.min() == 255


@pytest.mark.parametrize("box", [Box(0.5, 0.5, -0.25, -0.25), Box(0.5, 0.25, -0.25, 0.25), Box(0.25, 0.5, 0.25, -0.25)])
def test_a_box_drawn_backwards_is_the_same_box(box: Box) -> None:
    assert box.rectangle(320, 240) == pytest.approx((80, 60, 80, 60, 0))


@pytest.mark.parametrize("rotation", [0, 15, 90, 165, 180, -30, 345])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_box_turns_clockwise_about_its_corner_in_pixels_not_in_percent(rotation: float, backwards: bool) -> None:
    angle = math.radians(rotation)
    corner = np.array((160.0, 120.0))
    along, down = np.array((math.cos(angle), math.sin(angle))), np.array((-math.sin(angle), math.cos(angle)))
    start = corner + 60 * along + 40 * down if backwards else corner
    sign = -1 if backwards else 1
    box = Box(start[0] / 320, start[1] / 240, sign * 60 / 320, sign * 40 / 240, rotation)
    rectangle = box.rectangle(320, 240)
    assert rectangle == pytest.approx((160, 120, 60, 40, rotation))
    expected = [corner, corner + 60 * along, corner + 60 * along + 40 * down, corner + 40 * down]
    assert rectangle.corners() == pytest.approx(np.array(expected))
    crop, _ = cut(painted(rectangle), box, SIZE, CropOptions(margin=0.0, straighten=True))
    if rotation % 360:
        assert crop.shape == (40, 60, 3)
        assert (crop[2:-2, 2:-2] > 200).mean() > 0.99


def test_a_turned_box_gives_the_upright_box_around_it() -> None:
    rectangle = Rectangle(100, 60, 80, 30, 30)
    box = Box(100 / 320, 60 / 240, 80 / 320, 30 / 240, 30)
    crop, _ = cut(painted(rectangle), box, SIZE, NO_MARGIN)
    outer = rectangle.outer()
    assert crop.shape[0] == pytest.approx(outer.height, abs=2) and crop.shape[1] == pytest.approx(outer.width, abs=2)
    assert crop.mean() / 255 == pytest.approx(80 * 30 / (outer.width * outer.height), abs=0.02)


def test_an_ellipse_turns_about_its_centre() -> None:
    box = Box(0.25, 0.25, 0.5, 0.25, 90, about_centre=True)
    outer = box.rectangle(320, 240).outer()
    assert outer == pytest.approx((160 - 30, 90 - 80, 60, 160, 0))


def test_a_margin_ends_at_the_edge_of_the_photo() -> None:
    crop, _ = cut(photo(), Box(0.0, 0.0, 0.25, 0.25), SIZE, CropOptions(margin=0.5))
    assert crop.shape == (90, 120, 3)


def test_a_margin_is_added_along_the_sides_of_a_turned_box() -> None:
    widened = Rectangle(100, 100, 40, 20, 90).widened(0.5)
    assert widened == pytest.approx((110, 80, 80, 40, 90))


def test_the_part_of_a_box_inside_the_photo_is_cut_out() -> None:
    crop, _ = cut(photo(), Box(-0.25, 0.5, 0.5, 1.0), SIZE, NO_MARGIN)
    assert crop.shape == (120, 80, 3)


def test_a_photo_in_another_size_but_the_same_proportions_is_the_photo() -> None:
    _, rectangle = cut(photo(640, 480), Box(0.25, 0.25, 0.25, 0.25), SIZE, NO_MARGIN)
    assert rectangle == (160, 120, 160, 120, 0)


@pytest.mark.parametrize(
    ("box", "size", "reason"),
    [
        (Box(0.1, 0.1, 0.01, 0.5), (320, 240), "at least 8 pixels a side, received 3 x 120 pixels"),
        (Box(1.2, 0.1, 0.3, 0.3), (320, 240), "inside the photo of 320 x 240 pixels, received one outside"),
        (Box(-0.29, 0.1, 0.3, 0.3), (320, 240), "at least 8 pixels a side inside the photo, received 3 x 72 pixels"),
        (Box(0.1, 0.1, 0.3, 0.3), (240, 320), "of 240 x 320 pixels, received one of 320 x 240"),
    ],
)
def test_a_box_without_an_image_is_reported(box: Box, size: tuple[int, int], reason: str) -> None:
    with pytest.raises(UnusableRegionError, match=reason):
        cut(photo(), box, size, NO_MARGIN)


def test_a_box_of_just_the_minimum_is_cut_out() -> None:
    for place in range(1, 300, 7):
        crop, _ = cut(photo(), Box(place / 320, place / 400, 8 / 320, 8 / 240), SIZE, NO_MARGIN)
        assert min(crop.shape[:2]) >= 8
