"""Photos that tests draw: grey, of two colours, or noise of which no two are alike."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("blue", "red")
IMAGES_PER_CLASS = 8


def photo(brightness: int = 200, form: str = "JPEG", size: tuple[int, int] = (32, 24)) -> bytes:
    """A gray image of (width, height) `size`."""
    stream = io.BytesIO()
    Image.new("RGB", size, (brightness,) * 3).save(stream, form)
    return stream.getvalue()


def zip_of(**files: bytes) -> bytes:
    """A zip of files by their names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def random_image(seed: int, size: tuple[int, int] = (60, 80)) -> Image.Image:
    """An image unlike that of any other seed: coarse coloured noise, (height, width) in pixels."""
    coarse = np.random.default_rng(seed).integers(30, 220, (15, 20, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)


def encoded(image: Image.Image, file_format: str = "JPEG", **options: object) -> bytes:
    """The bytes of a file with the image."""
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def write_image(path: Path, color: str, seed: int) -> None:
    """A JPEG of 64 x 48 pixels, noise around a colour: no two are near duplicates."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(0, 120, (6, 8, 3)), np.ones((8, 8, 1)))
    pixels = blocks + (np.array([120, 0, 0]) if color == "red" else np.array([0, 0, 120]))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)


def write_photos(folder: Path) -> Path:
    """A folder per class, with eight images each."""
    for label, color in enumerate(CLASSES):
        for index in range(IMAGES_PER_CLASS):
            write_image(folder / color / f"{index}.jpg", color, seed=100 * label + index)
    return folder
