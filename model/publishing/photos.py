"""Photos to compare two forms of a model on: those of its own test split where they still are, else drawn ones."""

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from model.bundle import DATASET_FILES, Bundle
from model.dataset.images import decode_image, read_content
from model.dataset.lists import parse_line
from model.dataset.synthetic import draw_demo_photo
from model.dataset.traffic_signs import SIGNS
from model.errors import ImageError

PHOTOS = 8
# The first that is there: where no photos were held back, those of validation are next best.
_LISTS = ("test", "val", "train")


@dataclasses.dataclass(frozen=True)
class Photos:
    """Encoded photos, and where they are from, in words that fit after "on"."""

    content: tuple[bytes, ...]
    origin: str

    def decode(self, bundle: Bundle) -> np.ndarray:
        """As the network's input: uint8 (n, size, size, 3)."""
        size = (bundle.manifest.image_size, bundle.manifest.image_size)
        return np.stack([decode_image(photo, size, bundle.manifest.resize) for photo in self.content])


def find_photos(bundle: Bundle, count: int = PHOTOS) -> Photos:
    """Photos of the dataset that the model was trained on, or drawn ones where none can be read any more."""
    for split in _LISTS:
        found = tuple(itertools.islice(_photos_of(bundle, split), count))
        if found:
            return Photos(found, f"{len(found)} {split} photos of its dataset")
    return Photos(draw_photos(count), f"{count} drawn photos, for those of its dataset cannot be read here")


def draw_photos(count: int) -> tuple[bytes, ...]:
    """Photos of drawn traffic signs in a scene, as JPEG bytes; always the same."""
    signs = itertools.islice(itertools.cycle(SIGNS), count)
    return tuple(draw_demo_photo(sign, np.random.default_rng([0, number])) for number, sign in enumerate(signs))


def _photos_of(bundle: Bundle, split: str) -> Iterator[bytes]:
    listed = bundle.directory / DATASET_FILES / f"{split}.txt"
    place = str(bundle.manifest.dataset.get("path", ""))
    if not listed.is_file() or not place or not Path(place).is_dir():
        return
    images = str(bundle.manifest.train_config.get("images_directory") or "images")
    for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
        parsed = parse_line(line)
        if parsed is None:
            continue
        for folder in (Path(place) / images, Path(place)):
            with contextlib.suppress(ImageError):
                content = read_content(folder / parsed[0])
                decode_image(content, (1, 1))
                yield content
                break
