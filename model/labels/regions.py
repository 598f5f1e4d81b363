"""Labelled photos: tasks, their annotations by people, and the regions marked in them."""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from model.labels.photo_names import without_signature
from model.results import Split


class Rectangle(NamedTuple):
    """A rectangle in pixels, upright in its own frame.

    Attributes:
        x, y: its corner about which it is rotated.
        width, height: 0 or more.
        rotation: degrees, clockwise as seen in the photo.
    """

    x: float
    y: float
    width: float
    height: float
    rotation: float = 0.0

    def corners(self) -> np.ndarray:
        """Its corners: float64 (4, 2), x and y in pixels, clockwise from (x, y)."""
        angle = math.radians(self.rotation)
        along = np.array((math.cos(angle), math.sin(angle))) * self.width
        down = np.array((-math.sin(angle), math.cos(angle))) * self.height
        first = np.array((self.x, self.y))
        return np.array((first, first + along, first + along + down, first + down))

    def outer(self) -> "Rectangle":
        """The smallest rectangle around it that is not rotated."""
        corners = self.corners()
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return Rectangle(float(left), float(top), float(right - left), float(bottom - top))

    def widened(self, margin: float) -> "Rectangle":
        """The rectangle with a margin on each side, as a fraction of its width and its height."""
        angle = math.radians(self.rotation)
        along, down = margin * self.width, margin * self.height
        x = self.x - along * math.cos(angle) + down * math.sin(angle)
        y = self.y - along * math.sin(angle) - down * math.cos(angle)
        return Rectangle(x, y, self.width + 2 * along, self.height + 2 * down, self.rotation)


@dataclasses.dataclass(frozen=True)
class Box:
    """A box relative to its photo, so that it applies to the photo in any size.

    Attributes:
        x, y, width, height: fractions of the width and the height of the photo; a box drawn from right to left or
            from bottom to top has a negative width or height.
        rotation: degrees, clockwise, in the proportions of the photo.
        about_centre: whether it is rotated about its centre; else about (x, y).
    """

    x: float
    y: float
    width: float
    height: float
    rotation: float = 0.0
    about_centre: bool = False

    def rectangle(self, photo_width: int, photo_height: int) -> Rectangle:
        """The box in a photo of this size, in pixels."""
        width, height = self.width * photo_width, self.height * photo_height
        angle = math.radians(self.rotation)
        along, down = min(0.0, width), min(0.0, height)
        x, y = self.x * photo_width, self.y * photo_height
        if self.about_centre:
            x, y = x + width / 2, y + height / 2
            along, down = -abs(width) / 2, -abs(height) / 2
        corner_x = x + along * math.cos(angle) - down * math.sin(angle)
        corner_y = y + along * math.sin(angle) + down * math.cos(angle)
        return Rectangle(corner_x, corner_y, abs(width), abs(height), self.rotation)


@dataclasses.dataclass(frozen=True)
class Region:
    """A label of a part of a photo, or of the whole photo.

    Attributes:
        name: identifier of the region in its annotation.
        labels: its labels, usually one.
        box: the part of the photo; None for the whole photo.
        photo_size: width and height in pixels of the photo that the annotator saw, upright as its EXIF says; None if
            not recorded.
    """

    name: str
    labels: tuple[str, ...]
    box: Box | None
    photo_size: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Annotation:
    """The regions that one person marked in a photo.

    Attributes:
        name: identifier of the annotation.
        annotator: identifier of the person; empty if unknown.
        regions: the regions of the control that was read.
        updated: time of the last change as the source writes it; empty if unknown.
    """

    name: str
    annotator: str
    regions: tuple[Region, ...]
    updated: str = ""


@dataclasses.dataclass(frozen=True)
class Task:
    """A photo and its annotations.

    Attributes:
        name: identifier of the task.
        address: address or file name of the photo, as the source writes it.
        annotations: complete annotations, none if there are none.
        updated: time of the last change as the source writes it; empty if unknown.
        group: photos of the same group belong to one split, such as copies of a photo that a tool has changed.
        split: the split that the source states; None if it states none.
    """

    name: str
    address: str
    annotations: tuple[Annotation, ...]
    updated: str = ""
    group: str = ""
    split: Split | None = None

    @property
    def photo(self) -> str:
        """The address without user, password and signature, which names the photo in files."""
        return without_signature(self.address)


@dataclasses.dataclass(frozen=True)
class Labels:
    """All tasks of a source.

    Attributes:
        tasks: in the order of the source.
        left_out: what was read and is no label of an image, such as `brush strokes` -> number.
        unusable: task, region and reason of each region without a box or a label that can be used.
        warnings: sentences about the source.
    """

    tasks: tuple[Task, ...]
    left_out: Mapping[str, int]
    unusable: tuple[tuple[str, str, str], ...] = ()
    warnings: tuple[str, ...] = ()
