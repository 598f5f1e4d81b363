"""Small datasets of images with tables of their labels."""

from pathlib import Path

import pytest

from model.dataset.layouts import find_layout
from model.dataset.listing import LayoutOptions, Listing
from model.errors import DatasetError
from tests.support.photos import encoded, random_image

IMAGE = encoded(random_image(1))
NAMES = ("a1", "a2", "b1", "b2")
LABELS = {"a1": "ash", "a2": "ash", "b1": "birch", "b2": "birch"}
FLAT = tuple(f"images/{name}.jpg" for name in NAMES)
FOLDERS = ("ash/a1.jpg", "ash/a2.jpg", "birch/b1.jpg", "birch/b2.jpg")


def write(root: Path, *images: str, **tables: str) -> Path:
    """Write images, and tables by their names with `_` for `.` and `__` for `/`."""
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(IMAGE)
    for name, text in tables.items():
        path = root / ".".join(name.replace("__", "/").rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def table(header: str, row: str) -> str:
    """A table with the header and a row for each image: a format string of its name, label and number."""
    rows = [row.format(name=name, label=LABELS[name], number=int(name.startswith("b"))) for name in NAMES]
    return "\n".join([header, *rows] if header else rows) + "\n"


def labelled(listing: Listing) -> dict[str, str]:
    """Stem of each image -> its class."""
    samples = [sample for split in listing.splits.values() for sample in split]
    return {Path(sample.name).stem: listing.classes[sample.label] for sample in samples}


def counts(listing: Listing) -> tuple[int, ...]:
    """Number of images in train, val and test."""
    return tuple(len(samples) for samples in listing.splits.values())


def refusal(root: Path, **options: object) -> str:
    """Message of the error for a dataset with these options of its layout."""
    with pytest.raises(DatasetError) as caught:
        find_layout(root, LayoutOptions(**options))
    return caught.value.message
