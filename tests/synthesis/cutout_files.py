"""Cut-outs and photos for tests of the synthesis."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from model.dataset.lists import write_lists
from model.tables import read_csv

COLOURS = {"red": (200, 30, 30), "blue": (30, 60, 200), "green": (20, 160, 60)}


def draw_disc(colour: tuple[int, int, int], side: int = 64) -> Image.Image:
    """A disc on transparent ground."""
    image = Image.new("RGBA", (side, side))
    ImageDraw.Draw(image).ellipse((4, 4, side - 5, side - 5), fill=(*colour, 255))
    return image


def write_cutouts(folder: Path, labels: tuple[str, ...] = ("red", "blue")) -> Path:
    """A folder with two cut-outs of each class."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        for number in range(2):
            draw_disc(COLOURS.get(label, (90, 90, 90)), 60 + 10 * number).save(folder / label / f"disc{number}.png")
    return folder


def photo_bytes(colour: tuple[int, int, int], seed: int) -> bytes:
    """A photo of a disc of a colour on noise: a PNG file."""
    rng = np.random.default_rng(seed)
    photo = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((48, 48))
    photo.paste(draw_disc(colour, 40), (4, 4), draw_disc(colour, 40))
    stream = io.BytesIO()
    photo.save(stream, "PNG")
    return stream.getvalue()


def write_real(folder: Path, counts: dict[str, tuple[int, int, int]] | None = None) -> Path:
    """A dataset with lists of real photos; `counts` is the number of train, val and test photos of each class."""
    counts = counts or {"blue": (6, 2, 2), "red": (3, 2, 2)}
    lists: dict = {"train": [], "val": [], "test": []}
    seed = 0
    for label, (name, numbers) in enumerate(counts.items()):
        (folder / "images" / name).mkdir(parents=True)
        for split, number in zip(lists, numbers, strict=True):
            for _ in range(number):
                seed += 1
                (folder / "images" / name / f"{seed}.png").write_bytes(photo_bytes(COLOURS[name], seed))
                lists[split].append((f"{name}/{seed}.png", label))
    write_lists(folder / "dataset_files", tuple(counts), lists)
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    """Path -> bytes of all files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def origins_of(folder: Path) -> list[dict[str, str]]:
    """Rows of `origin.csv`."""
    return list(read_csv(folder / "origin.csv"))
