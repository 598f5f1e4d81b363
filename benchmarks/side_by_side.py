"""Accuracy with few photos on the features of two networks side by side, beside each of them, and that of auto.

How: n photos per class are drawn at random and trained on with default options and each backbone, once for each draw;
the same photos of other groups are predicted. Differences from the default backbone are paired by draw; their
intervals are those of Student's t over the draws. `auto` chooses between the default backbone and both side by side.

Sets, draws and dependencies: those of `benchmarks.few_photos`.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.few_photos import DRAWS, MIN_LEFT, draw_photos, photo_sets, with_interval
from benchmarks.real_data import LabelledPhotos, fit_and_answer
from benchmarks.tables import markdown_table
from model.backbones import AUTO, BACKBONES, DEFAULT
from model.config import TrainConfig
from model.features.extractor import FeatureExtractor
from model.networks.converted_backbone import converted_backbone
from model.results import InputSpec

PAIR = "EfficientNetLite0And2"
TRIED = (*BACKBONES[PAIR].parts, PAIR, AUTO)
PER_CLASS = (2, 5)
# A hundred classes take as long as all other sets together.
MAX_CLASSES = 50


def main() -> None:
    """Print a row for each set and number of photos, and the size of each backbone."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TOPGRAFT_CACHE"] = str(Path(directory) / "cache")
        rows = []
        for name, photos in photo_sets(Path(directory)):
            for per_class in PER_CLASS if len(photos.classes) <= MAX_CLASSES else ():
                if len(photos.names) - per_class * len(photos.classes) >= MIN_LEFT:
                    rows.append(_row(f"{name}, {per_class}", photos, per_class))
                    print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
        sizes = [_size_of(name) for name in TRIED if name != AUTO]
    header = ["photos per class", *TRIED, *(f"{name} - {DEFAULT}" for name in TRIED[1:])]
    print(markdown_table(header, rows))
    print()
    print(markdown_table(["backbone", "features", "size"], sizes))


def _row(name: str, photos: LabelledPhotos, per_class: int) -> list[str]:
    accuracies = np.array([_draw(photos, per_class, seed) for seed in range(DRAWS)])
    differences = 100 * (accuracies[:, 1:] - accuracies[:, :1])
    return [
        name,
        *(f"{mean:.3f}" for mean in accuracies.mean(axis=0)),
        *(with_interval(of_one)[0] for of_one in differences.T),
    ]


def _draw(photos: LabelledPhotos, per_class: int, seed: int) -> list[float]:
    """Accuracy with each backbone on the same photos."""
    chosen, rest = draw_photos(photos, per_class, seed)
    answers = (fit_and_answer(photos, chosen, rest, TrainConfig(backbone=name, seed=seed)) for name in TRIED)
    return [statistics.mean((labels == photos.labels[rest]).tolist()) for labels in answers]


def _size_of(name: str) -> list[str]:
    size = BACKBONES[name].image_size
    graph = converted_backbone(BACKBONES[name], size)
    features = FeatureExtractor(graph, InputSpec.square(size))(np.zeros((1, size, size, 3), np.uint8)).shape[1]
    return [name, f"{features:,}", f"{len(graph) / 1e6:.1f} MB"]


if __name__ == "__main__":
    main()
