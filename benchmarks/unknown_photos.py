"""Photos for the detection of unknown photos: sets with classes, and pictures of other things, as features."""

import dataclasses
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits, load_sample_images

from benchmarks.quality import demo_photos
from benchmarks.real_data import DATASETS, LabelledPhotos, lego_crops, plankton_photos
from model.backbones import find_backbone
from model.dataset.images import fit_photo, read_image
from model.features.extractor import FeatureExtractor
from model.networks.converted_backbone import converted_backbone
from model.results import InputSpec

BACKBONE = find_backbone("EfficientNetLite0")
_DRAWN_PER_CLASS = 100
_DIGITS = 1000
_CROPS = 60
_PATTERNS = 12
_SIDE = 240
_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Photos:
    """Features float32 (n, features) of photos, their classes and their groups, int (n,)."""

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    def select(self, chosen: np.ndarray) -> "Photos":
        """Select photos by position or mask."""
        return Photos(self.features[chosen], self.labels[chosen], self.groups[chosen])


def known_sets() -> dict[str, Photos]:
    """The sets whose classes a model learns; the real photos only where they are."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        sources = {}
        if DATASETS.is_dir():
            sources["phytoplankton"] = plankton_photos(folder / "plankton")
            sources["lego signs"] = lego_crops(folder / "lego")
        sources["demo signs"] = demo_photos(folder / "signs", _DRAWN_PER_CLASS)
        sets = {name: _read(photos) for name, photos in sources.items()}
    digits = load_digits()
    images = [_as_image(values) for values in digits.images[:_DIGITS] / 16]
    return sets | {"digits": Photos(_features(images), digits.target[:_DIGITS], np.arange(_DIGITS))}


def other_pictures() -> dict[str, np.ndarray]:
    """Features of pictures that show none of the classes of any set."""
    return {"photo crops": _features(list(_crops())), "patterns": _features(list(_patterns()))}


def _read(photos: LabelledPhotos) -> Photos:
    images = [read_image(photos.directory / "images" / name) for name in photos.names]
    return Photos(_features(images), photos.labels, np.unique(photos.groups, return_inverse=True)[1])


def _features(images: list[np.ndarray]) -> np.ndarray:
    spec = InputSpec.square(BACKBONE.image_size)
    extract = FeatureExtractor(converted_backbone(BACKBONE, BACKBONE.image_size), spec)
    batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    return np.concatenate([extract(np.stack([fit_photo(image, spec).pixels for image in batch])) for batch in batches])


def _as_image(values: np.ndarray) -> np.ndarray:
    """Grayscale in [0, 1] as uint8 RGB."""
    return np.repeat((255 * values).round().astype(np.uint8)[..., None], 3, axis=2)


def _crops() -> Iterator[np.ndarray]:
    """Crops of scikit-learn's two photos: a Chinese temple, and a flower."""
    rng = np.random.default_rng(0)
    for photo in load_sample_images().images:
        for _ in range(_CROPS // 2):
            side = int(rng.integers(100, 400))
            top, left = (int(rng.integers(0, length - side)) for length in photo.shape[:2])
            yield np.ascontiguousarray(photo[top : top + side, left : left + side])


def _patterns() -> Iterator[np.ndarray]:
    """Noise of three scales, plain colours, stripes, colour gradients, chessboards and text."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    for _ in range(_PATTERNS):
        for cells in (_SIDE, 12, 4):
            noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
            yield np.asarray(noise.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
        yield np.broadcast_to(rng.integers(0, 256, 3, np.uint8), (_SIDE, _SIDE, 3)).copy()
        angle, frequency = rng.uniform(0, np.pi), rng.uniform(0.05, 0.6)
        yield _as_image(0.5 + 0.5 * np.sin(frequency * (x * np.cos(angle) + y * np.sin(angle))))
        ramp = (x / _SIDE)[..., None] * rng.uniform(0, 1, 3) + (y / _SIDE)[..., None] * rng.uniform(0, 1, 3)
        yield (255 * np.minimum(ramp, 1)).astype(np.uint8)
        cell = int(rng.integers(8, 40))
        yield _as_image((x // cell + y // cell) % 2)
        page = Image.new("RGB", (_SIDE, _SIDE), "white")
        for top in range(4, _SIDE, 14):
            letters = "".join(rng.choice(list(string.ascii_lowercase + "    "), 38))
            ImageDraw.Draw(page).text((4, top), letters, (20, 20, 20))
        yield np.asarray(page)
