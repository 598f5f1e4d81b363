"""Accuracy on real crops of LEGO signs, trained on real crops and on real and synthetic ones.

How: the rectangles of lego-signs as images, as in `benchmarks.real_data`. For each of ten seeds, 40 % of the crops are
held out, all of a photo together, and 5, 10 or all of the others of each class are trained on: once as they are, and
twice with 30 synthetic crops of each class besides, written by `topgraft synthesize` on drawn scenes. Their cut-outs
are the four of the dataset, taken on photos in neither part, without their poles, which the rectangles leave out; or
the training crops themselves, cut out as a triangle or an ellipse. A head on the features of a frozen
EfficientNet-Lite0, with the default options; its validation crops are drawn from the real ones, by photo, and it is
refitted. The gain is that in accuracy on the held-out crops, paired by seed; its 95 % interval is Student's t over the
ten seeds, whose held-out crops overlap: with new photos it would be somewhat wider.

Depends on: ../shared/datasets beside the checkout; without it, nothing is measured.
"""

import dataclasses
import hashlib
import math
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import stats

from benchmarks.real_data import BACKBONE, DATASETS, LEGO, LabelledPhotos, lego_crops
from benchmarks.tables import markdown_table
from model import durable
from model.backbones import find_backbone
from model.config import TrainConfig
from model.dataset.layouts import find_layout
from model.dataset.lists import write_lists
from model.dataset.origins import synthetic_images
from model.dataset.splits import split_rows
from model.features.extractor import extract_features
from model.intensity import FULL
from model.results import InputSpec, Sample, Split, no_progress
from model.synthesis.synthesize import SynthesisOptions, synthesize
from model.training.backbone import pretrained_backbone
from model.training.head import refit_head, train_head
from model.training.head_candidates import HeadOptions, LabelledFeatures
from model.workspace import Workspace

PER_CLASS = (5, 10, None)
SEEDS = range(10)
SYNTHETIC_PER_CLASS = 30
TEST_FRACTION = 0.4
KINDS = ("cut-outs of the dataset", "cut-outs of the training crops")
_SCALE = 8


def main() -> None:
    """Print a row for each number of crops."""
    if not DATASETS.is_dir():
        print(f"Skipped: there is no {DATASETS}, where the photos would be.")
        return
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TOPGRAFT_CACHE"] = str(Path(directory) / "cache")
        crops = lego_crops(Path(directory) / "lego")
        _write_heads(Path(directory) / "heads")
        measurement = _Measurement()
        rows = [_row(crops, per_class, Path(directory), measurement) for per_class in PER_CLASS]
    header = ["real crops per class", "held out", "accuracy: real", *(f"with {kind}" for kind in KINDS)]
    print(markdown_table([*header, *(f"gain in points (95 % interval): {kind}" for kind in KINDS)], rows))


def _row(crops: LabelledPhotos, per_class: int | None, directory: Path, measurement: "_Measurement") -> list[str]:
    real, held_out = [], []
    mixed: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for seed in SEEDS:
        train, test = _divide(crops, per_class, seed)
        place = Path(tempfile.mkdtemp(dir=directory))
        dataset = _write_dataset(place / "real", crops, train, test)
        _write_cutouts(place / "crops", crops, train)
        real.append(measurement.accuracy(dataset, seed))
        held_out.append(len(test))
        for kind, cutouts in zip(KINDS, (directory / "heads", place / "crops"), strict=True):
            made = place / kind.replace(" ", "-")
            options = SynthesisOptions(SYNTHETIC_PER_CLASS, seed, margin=0.0)
            config = TrainConfig(dataset=str(dataset), seed=seed)
            synthesize(str(cutouts), "procedural", made, options, Workspace(place), config)
            mixed[kind].append(measurement.accuracy(made, seed))
    return [
        "all" if per_class is None else f"{per_class}",
        f"{statistics.median(held_out):.0f}",
        f"{statistics.mean(real):.3f}",
        *(f"{statistics.mean(mixed[kind]):.3f}" for kind in KINDS),
        *(_gain(real, mixed[kind]) for kind in KINDS),
    ]


def _divide(crops: LabelledPhotos, per_class: int | None, seed: int) -> tuple[list[int], list[int]]:
    """Positions of the crops for training, and of those held out, of other photos."""
    labels = crops.labels.tolist()
    rows = split_rows(crops.names, labels, crops.groups, {"test": TEST_FRACTION}, seed)
    train, rng = np.array(rows["train"]), np.random.default_rng(seed)
    if per_class is not None:
        of_class = [train[crops.labels[train] == label] for label in range(len(crops.classes))]
        train = np.concatenate([rng.choice(rows_of, per_class, replace=False) for rows_of in of_class])
    return sorted(train.tolist()), rows["test"]


def _write_dataset(folder: Path, crops: LabelledPhotos, train: Sequence[int], test: Sequence[int]) -> Path:
    """A dataset of these crops, with their photos and sizes as `topgraft import-labels` records them."""
    folder.mkdir()
    (folder / "images").symlink_to(crops.directory / "images")
    labels = crops.labels.tolist()
    lists: dict[Split, Sequence[int]] = {"train": train, "test": test}
    write_lists(
        folder / "dataset_files",
        crops.classes,
        {split: [(crops.names[row], labels[row]) for row in rows] for split, rows in lists.items()},
    )
    origins = []
    for row in (*train, *test):
        with Image.open(crops.directory / "images" / crops.names[row]) as crop:
            origins.append((crops.names[row], crops.groups[row], crop.width, crop.height))
    durable.write_csv(folder / "origin.csv", ("image", "photo", "width", "height"), origins)
    return folder


def _write_heads(folder: Path) -> None:
    """The signs of the cut-outs of the dataset, without their poles."""
    for path in (LEGO / "cutouts").glob("*/*.png"):
        cutout = Image.open(path).convert("RGBA")
        cutout = cutout.crop(cutout.getbbox())
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        cutout.crop((0, 0, cutout.width, cutout.width)).save(folder / path.parent.name / path.name)


def _write_cutouts(folder: Path, crops: LabelledPhotos, train: Sequence[int]) -> None:
    """The training crops as cut-outs: a triangle of each sign of danger, an ellipse of each speed limit."""
    for row in train:
        crop = Image.open(crops.directory / "images" / crops.names[row]).convert("RGBA")
        mask = Image.new("L", (crop.width * _SCALE, crop.height * _SCALE))
        right, bottom = mask.width - 1, mask.height - 1
        if crops.names[row].startswith("DangerAhead"):
            ImageDraw.Draw(mask).polygon([(right / 2, 0), (right, bottom), (0, bottom)], 255)
        else:
            ImageDraw.Draw(mask).ellipse((0, 0, right, bottom), 255)
        crop.putalpha(mask.resize(crop.size, Image.Resampling.BOX))
        path = folder / crops.names[row]
        path.parent.mkdir(parents=True, exist_ok=True)
        if min(crop.size) >= 12:
            crop.save(path)


class _Measurement:
    """Heads on frozen features, which are computed once for each content of a file."""

    def __init__(self) -> None:
        backbone, self._config = find_backbone(BACKBONE), TrainConfig(backbone=BACKBONE)
        self._spec = InputSpec.from_config(self._config, FULL)
        self._extract = pretrained_backbone(backbone, self._spec).extract
        self._features: dict[bytes, np.ndarray] = {}

    def accuracy(self, dataset: Path, seed: int) -> float:
        """Accuracy on the test split of a dataset, of a head with the default options."""
        listing = find_layout(dataset)
        train, test = listing.splits["train"], listing.splits["test"]
        config, classes = dataclasses.replace(self._config, seed=seed), len(listing.classes)
        labels = [sample.label for sample in train]
        names = [sample.name for sample in train]
        photos = [listing.origins[name].get("photo") or name for name in names]
        synthetic = frozenset(synthetic_images(listing.origins))
        fractions: dict[Split, float] = {"val": config.val_fraction}
        rows = split_rows(names, labels, photos, fractions, seed, synthetic)
        splits: tuple[Split, ...] = ("train", "val")
        parts = [_labelled(self._labelled_features([train[row] for row in rows[split]])) for split in splits]
        options = HeadOptions.from_config(config)
        both = _labelled(self._labelled_features(train))
        head = refit_head(both, classes, train_head(parts[0], parts[1], classes, options), options)
        features, true = self._labelled_features(test)
        return float((head.logits(features).argmax(axis=1) == true).mean())

    def _labelled_features(self, samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
        """Features and labels."""
        digests = [hashlib.sha256(sample.path.read_bytes()).digest() for sample in samples]
        new = {digest: sample for digest, sample in zip(digests, samples, strict=True) if digest not in self._features}
        if new:
            found = extract_features(self._extract, list(new.values()), self._spec, no_progress)
            self._features |= dict(zip(new, found, strict=True))
        return np.stack([self._features[digest] for digest in digests]), np.array([one.label for one in samples])


def _labelled(pair: tuple[np.ndarray, np.ndarray]) -> LabelledFeatures:
    return LabelledFeatures(*pair, np.ones(len(pair[1]), np.float32))


def _gain(real: Sequence[float], mixed: Sequence[float]) -> str:
    differences = [100 * (new - base) for base, new in zip(real, mixed, strict=True)]
    mean, deviation = statistics.mean(differences), statistics.stdev(differences)
    reach = float(stats.t.ppf(0.975, len(differences) - 1)) * deviation / math.sqrt(len(differences))
    return f"{mean:+.1f} ({mean - reach:+.1f} to {mean + reach:+.1f})"


if __name__ == "__main__":
    main()
