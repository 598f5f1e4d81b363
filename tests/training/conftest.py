"""A small dataset of photos, and a workspace to train in."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from model.bundle import Bundle
from model.serving.predictor import load_predictor
from model.workspace import Workspace

CLASSES = ("circle", "square", "triangle")


def draw_shape(shape: str, rng: np.random.Generator) -> Image.Image:
    """A shape of random colour, place and size on a noisy background."""
    noise = rng.integers(0, 90, (96, 128, 3), np.uint8)
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    radius = int(rng.integers(18, 40))
    x, y = (int(rng.integers(radius, limit - radius)) for limit in image.size)
    colour = tuple(int(value) for value in rng.integers(150, 256, 3))
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        draw.ellipse(box, colour)
    elif shape == "square":
        draw.rectangle(box, colour)
    else:
        draw.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], colour)
    return image


def write_shapes(directory: Path, images_per_class: int, seed: int = 0) -> Path:
    """A folder per class, of JPEG files."""
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        (directory / name).mkdir(parents=True)
        for number in range(images_per_class):
            draw_shape(name, rng).save(directory / name / f"{number:03}.jpg", quality=90)
    return directory


@pytest.fixture(autouse=True)
def _forget_networks() -> Iterator[None]:
    """Free what Keras keeps of the networks of a test: a real training has a process of its own."""
    yield
    if "keras" in sys.modules:
        import keras

        keras.backend.clear_session()
        gc.collect()


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos for each of three classes."""
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes", 12)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    return Workspace(tmp_path)


def held_out_as_served(bundle: Bundle) -> np.ndarray:
    """What the service says of the validation and test images: distance and components of each, in their order."""
    folder = bundle.directory / "dataset_files"
    lines = [line for split in ("val", "test") for line in (folder / f"{split}.txt").read_text().splitlines()]
    photos = [path for path in Path(bundle.manifest.dataset["path"]).rglob("*") if path.is_file()]
    named = [next(path for path in photos if path.as_posix().endswith(line.rpartition(" ")[0])) for line in lines]
    answers = load_predictor(bundle).predict([(path.name, path.read_bytes()) for path in named])
    return np.array([(answer.distance, *answer.components) for answer in answers])
