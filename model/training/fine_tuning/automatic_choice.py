"""The choice of fine_tune = auto: whether fine-tuning is worth its time, and of which part of the backbone."""

import dataclasses
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from model import durable
from model.dataset.pipeline import BATCH_SIZE
from model.features.extractor import Extract
from model.reading import UnreadableError, read_json
from model.records import record_from
from model.results import InputSpec
from model.training.deadline import Deadline

# With fewer, hardly any improvement is significant (`model.evaluation.paired`), so none would be kept.
MIN_VAL_IMAGES = 20
# With fewer, fine-tuning adds less than the measurement by cross-validation is worth. From MIN_IMAGES_FOR_ALL on,
# the whole backbone was as good as its last block on two datasets, better on one (docs/benchmarks.md, "quality").
MIN_PER_CLASS = 15
MIN_IMAGES_FOR_ALL = 100
# Relative to the duration of the frozen backbone for an image by ONNX Runtime: a training step in Keras on a CPU,
FORWARD_BY_KERAS = 2.0
STEP_OF_TOP = 1.0
STEP_OF_ALL = 4.0
# and the minimum speed-up on a GPU.
GPU_SPEEDUP = 10.0
# Compiling the steps before fine-tuning, and converting the network after it.
COMPILING_SECONDS = 30.0
CONVERTING_SECONDS = 30.0
# A safety factor on the estimates.
MARGIN = 1.5
MINUTES_WITHOUT_LIMIT = 60.0
_MAX_CHOICE_BYTES = 1024**2

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Circumstances:
    """The facts that the choice depends on.

    Attributes:
        images: number of images in all splits.
        train_images, val_images, classes: their numbers.
        views: number of views of each training image, including the image itself.
        epochs: the maximum of fine-tuning.
        seconds_per_image: duration of the frozen backbone by ONNX Runtime in this process.
        gpu: whether Keras uses a GPU.
        seconds_left: time until the time limit; infinite without one.
    """

    images: int
    train_images: int
    val_images: int
    classes: int
    views: int
    epochs: int
    seconds_per_image: float
    gpu: bool
    seconds_left: float


@dataclasses.dataclass(frozen=True)
class Choice:
    """The chosen value of fine_tune, and a sentence with the reason."""

    fine_tune: str
    reason: str


def choose_fine_tuning(given: Circumstances) -> Choice:
    """Choose none for few images, the last block for more, the whole backbone for many.

    The choice fits into the remaining time, or into an hour without a time limit.
    """
    too_few = choice_for_few_images(given.train_images, given.val_images, given.classes)
    if too_few is not None:
        return too_few
    per_class = given.train_images / given.classes
    budget = given.seconds_left if math.isfinite(given.seconds_left) else 60 * MINUTES_WITHOUT_LIMIT
    times = {part: MARGIN * estimated_seconds(given, part) for part in ("top", "all")}
    in_words = {part: f"may take {seconds / 60:.1f} of {budget / 60:.1f} minutes" for part, seconds in times.items()}
    images = f"{given.train_images:,} training images, {per_class:.0f} per class"
    many = given.train_images >= MIN_IMAGES_FOR_ALL
    if many and times["all"] <= budget:
        return Choice("all", f"{images}, are enough for the whole backbone, which {in_words['all']}")
    if times["top"] > budget:
        return Choice("none", f"even its last block {in_words['top']}")
    why_not_all = f"the whole backbone {in_words['all']}" if many else "are too few for the whole backbone"
    return Choice("top", f"{images}: {why_not_all}; the last block {in_words['top']}")


def choice_for_few_images(train_images: int, val_images: int, classes: int) -> Choice | None:
    """Choose none for few images, whatever the hardware; None if there are enough."""
    if val_images < MIN_VAL_IMAGES:
        return Choice("none", f"{val_images} validation images are too few to distinguish an improvement from chance")
    per_class = train_images / classes
    if per_class < MIN_PER_CLASS:
        return Choice("none", f"{per_class:.0f} training images per class are too few to train more than a head")
    return None


def estimated_seconds(given: Circumstances, part: str) -> float:
    """The maximum duration of fine-tuning `top` or `all`, including the steps after it."""
    forward = given.seconds_per_image / (GPU_SPEEDUP if given.gpu else 1)
    seen = given.views * given.train_images + given.val_images
    step, stored = (STEP_OF_ALL, 0.0) if part == "all" else (STEP_OF_TOP, FORWARD_BY_KERAS)
    epoch = step * given.train_images + (step / 2) * given.val_images
    return (
        COMPILING_SECONDS
        + stored * forward * seen
        + given.epochs * epoch * forward
        + seconds_to_finish(given.images, given.seconds_per_image)
    )


def seconds_to_finish(images: int, seconds_per_image: float) -> float:
    """The duration of the steps after fine-tuning: converting the backbone and extracting all features."""
    return CONVERTING_SECONDS + images * seconds_per_image


def leaving_time(deadline: Deadline, seconds: float) -> Deadline:
    """Deadline of fine-tuning that leaves `seconds` for later steps, but at most half of the remaining time."""
    left = deadline.seconds_left()
    return deadline if math.isinf(left) else Deadline(deadline.moment - min(seconds, left / 2))


def measured_seconds_per_image(extract: Extract, spec: InputSpec) -> float:
    """The duration of the frozen backbone per image, measured on a batch."""
    images = np.zeros((BATCH_SIZE, *spec.shape), np.uint8)
    extract(images)
    started = time.perf_counter()
    extract(images)
    return (time.perf_counter() - started) / BATCH_SIZE


def saved_choice(path: Path, choose: Callable[[], Choice]) -> Choice:
    """The choice saved in a file, or a new one that is saved there: a resumed training keeps its choice."""
    try:
        return record_from(Choice, read_json(path, _MAX_CHOICE_BYTES))
    except FileNotFoundError:
        pass
    except UnreadableError as error:
        log.warning("%s: expected the choice of fine-tuning, received: %s. It is made again.", path, error)
    choice = choose()
    durable.write_json(path, dataclasses.asdict(choice))
    return choice
