"""Composing and writing synthetic photos, in threads."""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from model.dataset.pipeline import in_threads
from model.files.new_files import write_new
from model.synthesis.background_sources import Backgrounds
from model.synthesis.composition import Box, Variation, compose_photo
from model.synthesis.cutouts import Cutout, decode_cutout

FOLDER = "synthetic"
"""Folder of the synthetic photos, in the folder of the images."""

_NAMES = re.compile(rf"{FOLDER}/[^/]+/\d{{6,}}\.jpg")
_HEIGHTS, _WIDTHS = (240, 361), (320, 481)
_VARIATION = Variation(pole=0.0)
# Larger objects would not fit into the scene, smaller ones have no content.
_MAX_FRACTION = 0.65
_MIN_HEIGHT = 12


@dataclasses.dataclass(frozen=True)
class SyntheticPhoto:
    """A synthetic photo that was written.

    Attributes:
        name: path in the folder of the images, with `/`.
        cutout: the object in it.
        background: name of the background.
        box: bounding box of the object, in pixels of the photo.
    """

    name: str
    cutout: Cutout
    background: str
    box: Box

    @staticmethod
    def name_of(label: str, index: int) -> str:
        """Path of a photo of a class."""
        return f"{FOLDER}/{label}/{index:06d}.jpg"

    @staticmethod
    def may_be_named(name: str) -> bool:
        """Whether a path is one that `name_of` gives, also in another case, which is the same on some file systems."""
        return _NAMES.fullmatch(name.casefold()) is not None


def write_photos(
    directory: Path,
    jobs: Iterable[tuple[str, int]],
    cutouts: Mapping[str, Sequence[Cutout]],
    backgrounds: Backgrounds,
    seed: int,
    margin: float | None,
    crop_heights: np.ndarray,
) -> Iterator[SyntheticPhoto]:
    """Compose and write photos, in the order of `jobs`. A photo depends on the seed, its class and its number only.

    Args:
        directory: folder of the images.
        jobs: class and number of each photo.
        margin: photos are cut to their object with this margin; None keeps the whole scene.
        crop_heights: heights in pixels that objects of cut photos get, one at random; empty for heights of a scene.

    Raises:
        OSError: a photo cannot be written.
        DatasetError: an input has changed.
    """

    def write(job: tuple[str, int]) -> SyntheticPhoto:
        label, index = job
        rng = np.random.default_rng([seed, *hashlib.sha256(label.encode(errors="surrogatepass")).digest()[:8], index])
        cutout = cutouts[label][int(rng.integers(len(cutouts[label])))]
        size = int(rng.integers(*_HEIGHTS)), int(rng.integers(*_WIDTHS))
        background, name = backgrounds.draw(size, rng)
        variation = dataclasses.replace(_VARIATION, margin=margin)
        if margin is not None and len(crop_heights):
            height = max(_MIN_HEIGHT, float(rng.choice(crop_heights)))
            fraction = min(_MAX_FRACTION, height / size[0])
            variation = dataclasses.replace(variation, height_fraction=(fraction, fraction))
        photo = compose_photo(decode_cutout(cutout), background, rng, variation)
        path = directory / SyntheticPhoto.name_of(label, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path, photo.content)
        return SyntheticPhoto(SyntheticPhoto.name_of(label, index), cutout, name, photo.box)

    return in_threads(write, jobs)
