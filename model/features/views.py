"""The operations of augmentation, on pixels.

Every operation takes and returns an RGB image uint8 (height, width, 3) of the same size, and draws its random numbers
from the `numpy.random.Generator` it is given. Its number is that of `model.augmentation.OPERATIONS`;
with no strength (0; for `crop` 1) the image is returned unchanged.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageFilter

from model.augmentation import Operation, augmentation_text, parse_augmentation
from model.config import TrainConfig
from model.dataset.pipeline import Transform

# Rec. 601, as Pillow converts to gray.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Apply = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""From an image, the operation's number and a generator to the changed image."""


def flip_lr(image: np.ndarray, chance: float, rng: np.random.Generator) -> np.ndarray:
    """Swap left and right."""
    return np.ascontiguousarray(image[:, ::-1]) if rng.random() < chance else image


def flip_ud(image: np.ndarray, chance: float, rng: np.random.Generator) -> np.ndarray:
    """Swap top and bottom."""
    return np.ascontiguousarray(image[::-1]) if rng.random() < chance else image


def rotate(image: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Rotate around the centre; the corners are filled with the image mirrored at its border."""
    angle = rng.uniform(-degrees, degrees)
    height, width = image.shape[:2]
    border = int(np.ceil((np.hypot(height, width) - min(height, width)) / 2))
    mirrored = np.pad(image, ((border, border), (border, border), (0, 0)), "symmetric")
    turned = np.asarray(Image.fromarray(mirrored).rotate(angle, Image.Resampling.BICUBIC))
    return np.ascontiguousarray(turned[border : border + height, border : border + width])


def crop(image: np.ndarray, min_fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Enlarge a random part of the image, of the same aspect ratio, to the full size."""
    height, width = image.shape[:2]
    fraction = rng.uniform(min_fraction, 1)
    left, top = rng.random(2) * (1 - fraction) * (width, height)
    box = (left, top, left + fraction * width, top + fraction * height)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC, box))


def color(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, then contrast around the mean gray, then saturation, each by its own factor."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3).astype(np.float32)
    bright = image.astype(np.float32) * brightness
    mean = (bright @ _LUMA).mean()
    contrasted = mean + (bright - mean) * contrast
    gray = (contrasted @ _LUMA)[..., None]
    return _to_uint8(gray + (contrasted - gray) * saturation)


def blur(image: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(rng.uniform(0, radius))))


def noise(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add normal noise to each channel of each pixel."""
    scale = np.float32(255 * rng.uniform(0, deviation))
    return _to_uint8(image + scale * rng.standard_normal(image.shape, np.float32))


def cutout(image: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Cover a rectangle with the mean colour of the image (DeVries and Taylor, 2017)."""
    size = np.array(image.shape[:2])
    covered = np.rint(rng.uniform(0, fraction, 2) * size).astype(int)
    top, left = rng.integers(0, size - covered, endpoint=True)
    painted = image.copy()
    painted[top : top + covered[0], left : left + covered[1]] = np.rint(image.mean(axis=(0, 1)))
    return painted


OPERATIONS: Mapping[str, Apply] = {
    "flip_lr": flip_lr,
    "flip_ud": flip_ud,
    "rotate": rotate,
    "crop": crop,
    "color": color,
    "blur": blur,
    "noise": noise,
    "cutout": cutout,
}


def augment(image: np.ndarray, operations: Sequence[Operation], rng: np.random.Generator) -> np.ndarray:
    """Apply operations in their order to uint8 (height, width, 3)."""
    for operation in operations:
        image = OPERATIONS[operation.name](image, operation.number, rng)
    return image


@dataclasses.dataclass(frozen=True)
class View:
    """An augmented view of each image of a dataset; the same image has the same view each time.

    Attributes:
        operations: applied in their order.
        seed: random seed of the training.
        number: number of the view, from 1.
    """

    operations: tuple[Operation, ...]
    seed: int
    number: int

    @property
    def key(self) -> str:
        """A text that identifies the view."""
        return f"{augmentation_text(self.operations)} seed={self.seed} view={self.number}"

    def apply(self, image: np.ndarray, content_hash: str) -> np.ndarray:
        """The view of an image uint8 (height, width, 3) whose file has this sha256, in hexadecimal."""
        rng = np.random.default_rng((self.seed, self.number, int(content_hash, 16)))
        return augment(image, self.operations, rng)


def view_transform(view: View, content_hashes: Mapping[str, str]) -> Transform:
    """A transform to a view of each sample; `content_hashes` maps the name of a sample to the sha256 of its bytes."""
    return lambda image, sample: view.apply(image, content_hashes[sample.name])


def views_of(config: TrainConfig, images_per_class: float) -> tuple[View, ...]:
    """Augmented views of a training, without the original images."""
    # Features of a frozen backbone gain nothing from augmentation (docs/benchmarks.md, "options").
    is_frozen = config.fine_tune == "none" and config.weights != "none"
    operations = parse_augmentation(config.augmentation, math.inf if is_frozen else images_per_class)
    if not operations:
        return ()
    return tuple(View(operations, config.seed, number) for number in range(1, config.augmented_views + 1))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)
