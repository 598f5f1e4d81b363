"""Cost of a training for each photo, from 1,000 to 50,000 photos: processor time and peak memory of the whole command.

How: `topgraft train` with default options on photos of 48 x 48 pixels in ten classes, each training in a process of its
own. The feature cache has drawn features for them, around a centre for each class: decoding and the network, whose cost
for a photo is constant, would take hours. What is left is the check, the search for duplicates, the head, the distances
and the report. The growth is that between the smallest training and each other one.

Depends on: the processors. Features of overlapping classes need more steps of the head than those of classes apart.
"""

import argparse
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.tables import markdown_table, verdict
from model.backbones import find_backbone
from model.config import TrainConfig
from model.features.cache import FeatureCache
from model.intensity import FULL
from model.results import InputSpec
from tests.support.processes import Cost, program, run_measured

IMAGES = (1_000, 5_000, 20_000, 50_000)
CLASSES = 10
FEATURES = 1280
MEGABYTES = 1_500
# Of the processor time for a photo, beside that of the smallest training.
MAX_GROWTH = 1.25
SPREAD = 8.0
_BLOCK = 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=int, nargs="*", default=IMAGES, help="numbers of photos")
    found = []
    for images in parser.parse_args().images:
        with tempfile.TemporaryDirectory() as directory:
            found.append((images, _train(Path(directory), images)))
    print(_table(found))


def _train(root: Path, images: int) -> Cost:
    os.environ["TOPGRAFT_CACHE"] = str(root / "cache")
    (root / "models").mkdir()
    command = [program("topgraft"), "train", "--workspace", str(root), "--json", "--dataset"]
    # The backbone is converted, and its template written, before anything is measured.
    _write_photos(root / "data" / "first", 4 * CLASSES)
    subprocess.run([*command, "first"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _write_photos(root / "data" / "photos", images)
    return run_measured([*command, "photos"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _write_photos(directory: Path, images: int) -> None:
    """Write drawn photos into a folder for each class, and drawn features of them into the feature cache."""
    rng = np.random.default_rng(images)
    centres = np.random.default_rng(0).normal(size=(CLASSES, FEATURES))
    config = TrainConfig()
    cache = FeatureCache(find_backbone(config.backbone), InputSpec.from_config(config, FULL))
    for label in range(CLASSES):
        (directory / str(label)).mkdir(parents=True)
    for start in range(0, images, _BLOCK):
        features = {}
        for number in range(start, min(images, start + _BLOCK)):
            label, path = number % CLASSES, directory / str(number % CLASSES) / f"{number:06}.jpg"
            few = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
            few.resize((48, 48), Image.Resampling.BILINEAR).save(path)
            values = np.maximum(centres[label] + SPREAD * rng.normal(size=FEATURES), 0)
            features[hashlib.sha256(path.read_bytes()).hexdigest()] = values
        if not cache._write(features):
            raise OSError(f"expected to write features to {cache.path}, received an error: see the log.")


def _table(found: Sequence[tuple[int, Cost]]) -> str:
    first_images, first = found[0]
    rows = []
    for images, cost in found:
        growth = (cost.processor / images) / (first.processor / first_images)
        rows.append(
            [
                f"{images:,}",
                f"{1000 * cost.processor / images:.1f} ms",
                f"{cost.processor:.0f} s",
                f"{cost.seconds:.0f} s",
                f"{cost.memory:.0f} MB",
                verdict(f"{MAX_GROWTH:g} times that of {first_images:,} photos", growth <= MAX_GROWTH),
                verdict(f"{MEGABYTES:,} MB", cost.memory < MEGABYTES),
            ]
        )
    header = ["photos, features in the cache", "processor time for a photo", "in total", "time", "peak memory"]
    return markdown_table([*header, "goal for a photo", "goal for memory"], rows)


if __name__ == "__main__":
    main()
