"""The images that `Predictor.predict` takes: paths, encoded images, and images in memory."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeGuard

import numpy as np
from PIL import Image

ImageInput = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""A path, the bytes of an image file, a PIL image, or an array uint8 RGB of shape (height, width, 3)."""

ImageContent = bytes | Path | Image.Image | np.ndarray
"""An `ImageInput` whose path is a `Path`."""


def is_one_image(images: ImageInput | Iterable[ImageInput]) -> TypeGuard[ImageInput]:
    """Whether `images` is one image; an array of shape (n, height, width, 3) is several."""
    if isinstance(images, np.ndarray):
        return images.ndim != 4
    return isinstance(images, (str, os.PathLike, bytes, Image.Image))


def named_image(image: ImageInput, name: str) -> tuple[str, ImageContent]:
    """The image with its path as its name; `name` for an image without a path."""
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image), Path(image)
    return name, image


def named_images(images: Iterable[ImageInput]) -> Iterator[tuple[str, ImageContent]]:
    """The images, each with its path as its name; `image 0`, `image 1` and so on, by position, without a path."""
    return (named_image(image, f"image {position}") for position, image in enumerate(images))
