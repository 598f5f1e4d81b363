"""TensorBoard's event files, read back with its own reader."""

import io
from pathlib import Path

from PIL import Image

from model.tracking.tensorboard_log import PICTURES


def read(directory: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(directory), size_guidance={"images": 0, "tensors": 0, "scalars": 0}).Reload()


def curve(directory: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 5)) for event in read(directory).Scalars(tag)]


def logged_images(logs: Path, tag: str, folder: str = PICTURES) -> list[tuple[int, Image.Image]]:
    events = read(logs / folder).Images(tag)
    return [(event.step, Image.open(io.BytesIO(event.encoded_image_string))) for event in events]
