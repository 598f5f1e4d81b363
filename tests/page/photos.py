"""Photos of six classes, whose names are as unusual as users' folder names can be."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

# Class names are the user's, and can be any: each a folder's.
CLASSES = {
    "red": (150, 0, 0),
    "深蓝色": (0, 0, 150),
    "أزرق مخضر": (0, 140, 120),
    "🦠 emoji": (140, 130, 0),
    "a_very_long_name_" + "without_any_blank_" * 6: (60, 60, 60),
    "<img src=x onerror=\"document.title='owned'\">": (120, 0, 130),
}
PHOTOS_PER_CLASS = 8


def photo(colours: tuple[tuple[int, int, int], ...], seed: int) -> bytes:
    """A JPEG of 128 x 96 pixels, noise around the colours, which stand side by side."""
    rng = np.random.default_rng(seed)
    noise = np.kron(rng.integers(0, 100, (6, 8, 3)), np.ones((16, 16, 1)))
    columns = np.array(colours)[np.arange(128) * len(colours) // 128]
    stream = io.BytesIO()
    Image.fromarray((noise + columns).clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def write_photos(folder: Path) -> Path:
    """A folder per class."""
    for label, (name, colour) in enumerate(CLASSES.items()):
        (folder / name).mkdir(parents=True)
        for index in range(PHOTOS_PER_CLASS):
            (folder / name / f"{index}.jpg").write_bytes(photo((colour,), seed=100 * label + index))
    return folder
