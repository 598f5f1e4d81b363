"""Synthetic photos: cut-outs pasted on backgrounds, and the demo dataset made that way.

The effects of a real photo are applied in this order: wear, shading, rotation and perspective of the
object; placement in the scene, with occlusion; light, lens and sensor; JPEG compression. All random
choices come from one `numpy.random.Generator`.
"""

import dataclasses
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from model.dataset.lists import write_lists
from model.errors import ConfigError
from model.files.new_files import write_replacement
from model.resources import available_processors
from model.results import Progress, Split, no_progress
from model.synthesis.backgrounds import draw_background, fractal_noise
from model.synthesis.traffic_signs import SIGNS, draw_sign

IMAGES_PER_CLASS = 60
VAL_FRACTION = 0.15
TEST_FRACTION = 0.15
MIN_IMAGES_PER_CLASS = 3

Range = tuple[float, float]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom edge in pixels; right and bottom are exclusive."""


@dataclasses.dataclass(frozen=True)
class ComposedPhoto:
    """A synthetic photo, and the place of its object.

    Attributes:
        content: bytes of a JPEG file.
        box: bounding box of the object in the photo, including what an occlusion covers.
    """

    content: bytes
    box: Box


@dataclasses.dataclass(frozen=True)
class Variation:
    """Variation of the photos: uniform ranges of the parameters, and probabilities of the effects.

    Attributes:
        height_fraction: height of the object divided by that of the photo.
        roll, pitch, yaw: rotation around the viewing, the horizontal and the vertical axis, in degrees.
        pole: probability that the object is on a pole.
        occlusion: probability of an occlusion of the object.
        exposure: factor on all pixels, from dusk to bright sun.
        blur: radius of the defocus blur, in pixels.
        motion: probability of motion blur.
        noise: standard deviation of the sensor noise, in gray levels of 255.
        jpeg_quality: quality of Pillow, 1 to 95.
        margin: the photo is cut to its object with this fraction of the width and height on each side; None keeps the
            whole scene.
    """

    height_fraction: Range = (0.25, 0.65)
    roll: Range = (-14, 14)
    pitch: Range = (-25, 25)
    yaw: Range = (-50, 50)
    pole: float = 0.7
    occlusion: float = 0.3
    exposure: Range = (0.4, 1.35)
    blur: Range = (0.0, 1.6)
    motion: float = 0.25
    noise: Range = (1.0, 12.0)
    jpeg_quality: Range = (18, 92)
    margin: float | None = None


def write_demo_dataset(
    directory: Path,
    images_per_class: int = IMAGES_PER_CLASS,
    seed: int = 0,
    progress: Progress = no_progress,
) -> None:
    """Write photos of traffic signs, eight classes, as an AI4OS dataset: `images/` and `dataset_files/`.

    Image i of a class depends only on `seed`, the class and i, so a larger dataset has the images of a smaller one.
    The same versions of NumPy and Pillow write the same bytes. The lists are written last: a dataset with lists is
    complete.

    Args:
        directory: created if it does not exist; existing files of the same names are replaced.
        images_per_class: 3 or more; 15 % of them, and at least one, go to each of `val` and `test`.
        seed: 0 or more.
        progress: called with the phase `synthesize` after each image.

    Raises:
        ConfigError: fewer than 3 images per class, or a negative seed.
    """
    if images_per_class < MIN_IMAGES_PER_CLASS or seed < 0:
        raise ConfigError(
            f"expected images_per_class of {MIN_IMAGES_PER_CLASS} or more and a seed of 0 or more, "
            f"received {images_per_class} and {seed}."
        )
    classes = tuple(SIGNS)
    for name in classes:
        (directory / "images" / name).mkdir(parents=True, exist_ok=True)
    jobs = [(label, index) for label in range(len(classes)) for index in range(images_per_class)]

    def write(job: tuple[int, int]) -> None:
        label, index = job
        photo = draw_demo_photo(classes[label], np.random.default_rng([seed, label, index]))
        write_replacement(directory / "images" / _image_name(classes[label], index), photo)

    with ThreadPoolExecutor(available_processors()) as threads:
        for done, _ in enumerate(threads.map(write, jobs), start=1):
            progress("synthesize", done, len(jobs))
    _write_lists(directory / "dataset_files", classes, images_per_class)


def draw_demo_photo(sign: str, rng: np.random.Generator) -> bytes:
    """Draw a photo of a traffic sign: JPEG bytes, 320 to 480 pixels wide and 240 to 360 high."""
    size = int(rng.integers(240, 361)), int(rng.integers(320, 481))
    return compose_photo(draw_sign(sign, rng), draw_background(size, rng), rng, Variation()).content


def compose_photo(
    cutout: Image.Image, background: np.ndarray, rng: np.random.Generator, variation: Variation
) -> ComposedPhoto:
    """Paste an object on a background and simulate a photo of it.

    Args:
        cutout: RGBA image, transparent around the object, larger than the object in the photo.
        background: float32 array (height, width, 3), RGB, in [0, 255].
        rng: source of all random choices.
        variation: ranges of the parameters.

    Returns:
        The photo, and the place of the object in it.
    """
    height, width = background.shape[:2]
    target = rng.uniform(*variation.height_fraction) * height
    placed = _place(_wear(_shrink(cutout, target), rng), target, (height, width), rng, variation)
    box = _box_of(placed)
    if rng.random() < variation.occlusion:
        placed = _occlude(placed, rng)
    scene = _paste(placed, background, rng, variation)
    photo = _photograph(scene, rng, variation)
    if variation.margin is not None:
        photo, box = _cut_to(photo, box, variation.margin)
    return ComposedPhoto(_encode(photo, rng, variation), box)


def _shrink(cutout: Image.Image, target: float) -> Image.Image:
    """Reduce a cut-out close to `target` pixels, because the perspective transform does not smooth."""
    height = max(8, round(target * 1.5))
    width = max(8, round(height * cutout.width / cutout.height))
    return cutout.resize((width, height), Image.Resampling.LANCZOS)


def _wear(cutout: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add dirt, and light from one side."""
    pixels = np.asarray(cutout, np.float32)
    size = pixels.shape[:2]
    dirt = np.clip((fractal_noise((64, 64), rng, 4) - rng.uniform(0.45, 0.8)) * 4, 0, 1) * rng.uniform(0, 0.55)
    light = _ramp((64, 64), rng.uniform(0, 360)) * rng.uniform(0, 0.5) + rng.uniform(0.6, 0.9)
    shade = Image.fromarray((light * (1 - dirt)).astype(np.float32))
    factor = np.asarray(shade.resize(size[::-1], Image.Resampling.BICUBIC))[..., None]
    worn = np.concatenate([np.clip(pixels[..., :3] * factor, 0, 255), pixels[..., 3:]], axis=-1)
    return Image.fromarray(worn.astype(np.uint8), "RGBA")


def _place(
    cutout: Image.Image, target: float, size: tuple[int, int], rng: np.random.Generator, variation: Variation
) -> Image.Image:
    """Place the object in perspective, about `target` pixels high, at a random position of an image of `size`."""
    height, width = size
    turns = [np.radians(rng.uniform(*turn)) for turn in (variation.roll, variation.pitch, variation.yaw)]
    corners = _project(turns, cutout.width / cutout.height) * target / 2
    reach = np.abs(corners).max(axis=0)
    margin = np.minimum(reach * 0.9, (width * 0.45, height * 0.45))
    centre = rng.uniform(margin, (width, height) - margin)
    corners_inside = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float64) * cutout.size
    coefficients = tuple(_homography(corners + centre, corners_inside))
    return cutout.transform((width, height), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)


def _project(turns: Sequence[float], aspect: float, distance: float = 3.5) -> np.ndarray:
    """Project the corners of a rectangle of half height 1 after three rotations.

    Args:
        turns: roll, pitch and yaw, in radians.
        aspect: width divided by height of the rectangle.
        distance: distance of the camera, in half heights.

    Returns:
        float array (4, 2), clockwise from top left, relative to the centre.
    """
    rectangle = np.array([(-aspect, -1, 0), (aspect, -1, 0), (aspect, 1, 0), (-aspect, 1, 0)], np.float64)
    roll, pitch, yaw = turns
    around_z = np.array([(np.cos(roll), -np.sin(roll), 0), (np.sin(roll), np.cos(roll), 0), (0, 0, 1)])
    around_x = np.array([(1, 0, 0), (0, np.cos(pitch), -np.sin(pitch)), (0, np.sin(pitch), np.cos(pitch))])
    around_y = np.array([(np.cos(yaw), 0, np.sin(yaw)), (0, 1, 0), (-np.sin(yaw), 0, np.cos(yaw))])
    turned = rectangle @ (around_y @ around_x @ around_z).T
    return turned[:, :2] * distance / (distance + turned[:, 2:])


def _homography(source: np.ndarray, destination: np.ndarray) -> np.ndarray:
    """Eight coefficients for Pillow that map four points (4, 2) of the output to four points of the input."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, destination, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        values += [u, v]
    return np.linalg.solve(np.array(rows), np.array(values))


def _box_of(placed: Image.Image) -> Box:
    """The bounding box of what is not transparent; the whole image if there is nothing."""
    return placed.getbbox() or (0, 0, *placed.size)


def _cut_to(photo: np.ndarray, box: Box, margin: float) -> tuple[np.ndarray, Box]:
    """The part of a photo around a box, and the box in this part."""
    left, top, right, bottom = box
    across, down = round(margin * (right - left)), round(margin * (bottom - top))
    start_x, start_y = max(0, left - across), max(0, top - down)
    part = photo[start_y : bottom + down, start_x : right + across]
    return part, (left - start_x, top - start_y, right - start_x, bottom - start_y)


def _occlude(placed: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add leaves, a pole or a sticker in front of the object."""
    left, top, right, bottom = _box_of(placed)
    wide, high = right - left, bottom - top
    covered = placed.copy()
    draw = ImageDraw.Draw(covered)
    kind = rng.integers(3)
    if kind == 0:
        angle = rng.uniform(0, 2 * np.pi)
        around = np.array((left + wide / 2 * (1 + 0.8 * np.cos(angle)), top + high / 2 * (1 + 0.8 * np.sin(angle))))
        for x, y in around + rng.normal(0, 0.16, (int(rng.integers(12, 40)), 2)) * (wide, high):
            across, up = rng.uniform(0.03, 0.09, 2) * high
            green = int(rng.integers(50, 130))
            leaf = (green * 2 // 3, green, green // 3, 255)
            draw.ellipse((x - across, y - up, x + across, y + up), fill=leaf)
    elif kind == 1:
        x, lean = left + wide * rng.uniform(0.1, 0.9), rng.normal(0, 0.12) * high
        gray = int(rng.integers(50, 170))
        pole = (gray, gray, gray, 255)
        draw.line((x - lean, 0, x + lean, placed.height), fill=pole, width=max(2, int(high * rng.uniform(0.05, 0.16))))
    else:
        x, y = left + wide * rng.uniform(0.2, 0.7), top + high * rng.uniform(0.2, 0.7)
        across, up = rng.uniform(0.1, 0.24, 2) * (wide, high)
        sticker = (*(int(channel) for channel in rng.integers(30, 245, 3)), 255)
        draw.rectangle((x, y, x + across, y + up), fill=sticker)
    return covered


def _paste(placed: Image.Image, background: np.ndarray, rng: np.random.Generator, variation: Variation) -> np.ndarray:
    """Paste the object into the scene, possibly on a pole, with its shadow; float32 (height, width, 3)."""
    height = background.shape[0]
    scene = Image.fromarray(background.astype(np.uint8))
    left, _, right, bottom = _box_of(placed)
    if rng.random() < variation.pole:
        gray = int(rng.integers(70, 190))
        x, thickness = (left + right) / 2, max(2, int((right - left) * rng.uniform(0.05, 0.09)))
        top = bottom - (right - left) // 3
        pole = ImageDraw.Draw(scene)
        pole.rectangle((x - thickness, top, x + thickness, height), fill=(gray, gray, gray + 4))
        pole.rectangle((x, top, x + thickness, height), fill=(gray * 3 // 4,) * 3)
    alpha = placed.getchannel("A")
    shadow = Image.new("L", placed.size)
    shadow.paste(alpha, (int(rng.integers(-6, 7)), int(rng.integers(0, 8))))
    shadow = shadow.filter(ImageFilter.BoxBlur(3)).point(lambda value: value * 0.35)
    scene.paste((20, 20, 24), (0, 0), shadow)
    scene.paste(placed.convert("RGB"), (0, 0), alpha)
    return np.asarray(scene, np.float32)


def _photograph(scene: np.ndarray, rng: np.random.Generator, variation: Variation) -> np.ndarray:
    """Apply the effects of light, lens and sensor; uint8 (height, width, 3)."""
    height, width = scene.shape[:2]
    if rng.random() < variation.motion:
        scene = _move(scene, rng)
    blurred = Image.fromarray(scene.astype(np.uint8)).filter(ImageFilter.BoxBlur(rng.uniform(*variation.blur)))
    fall_off = (_ramp((height, width), rng.uniform(0, 360)) - 0.5) * rng.uniform(0, 0.6)
    light = (rng.uniform(*variation.exposure) * (1 + fall_off)).astype(np.float32)
    tint = (1 + rng.normal(0, 0.06, 3)).astype(np.float32)
    haze = np.float32(rng.uniform(0, 0.3) if rng.random() < 0.3 else 0)
    photo = np.asarray(blurred, np.float32) * light[..., None] * tint
    photo = photo * (1 - haze) + haze * np.float32(200)
    grain = rng.standard_normal((height, width, 1), np.float32) * np.float32(rng.uniform(*variation.noise))
    return np.clip(photo + grain, 0, 255).astype(np.uint8)


def _move(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Motion blur: mean of shifted copies of the scene."""
    moments = int(rng.integers(3, 7))
    angle = rng.uniform(0, np.pi)
    steps = [(round(np.sin(angle) * moment), round(np.cos(angle) * moment)) for moment in range(moments)]
    return sum((np.roll(scene, step, (0, 1)) for step in steps), np.zeros_like(scene)) / np.float32(moments)


def _ramp(size: tuple[int, int], degrees: float) -> np.ndarray:
    """Linear ramp in a random direction, in about [0, 1]; (height, width)."""
    down, across = np.linspace(-0.5, 0.5, size[0])[:, None], np.linspace(-0.5, 0.5, size[1])[None, :]
    return 0.5 + (down * np.sin(np.radians(degrees)) + across * np.cos(np.radians(degrees))) / np.sqrt(2)


def _encode(photo: np.ndarray, rng: np.random.Generator, variation: Variation) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=round(rng.uniform(*variation.jpeg_quality)))
    return stream.getvalue()


def _image_name(sign: str, index: int) -> str:
    return f"{sign}/{index:03d}.jpg"


def _write_lists(directory: Path, classes: tuple[str, ...], images_per_class: int) -> None:
    """Write the lists: photos are independent, so the first ones of each class are train and the last ones test."""
    val = max(1, round(images_per_class * VAL_FRACTION))
    test = max(1, round(images_per_class * TEST_FRACTION))
    train = images_per_class - val - test
    splits: dict[Split, range] = {
        "train": range(train),
        "val": range(train, train + val),
        "test": range(train + val, images_per_class),
    }
    images = {
        split: [(_image_name(name, index), label) for label, name in enumerate(classes) for index in indices]
        for split, indices in splits.items()
    }
    write_lists(directory, classes, images)
