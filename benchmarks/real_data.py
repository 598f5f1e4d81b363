"""Accuracy on real photos with default options: 5-fold cross-validation, repeated with three seeds.

How: for each fold, a dataset with lists for training and test goes through `prepare_dataset` and `fit_classifier`, as
a user's dataset would, so the split into training and validation images, the choice of the L2 strength and the refit
are included. phytoplankton-mini: 105 microscope photos in 6 classes, stratified folds. lego-signs: the rectangles of
its Label Studio export as images, median width 27 pixels, 2 classes; folds are grouped by photo, and `group_pattern`
keeps each photo in one split. The baseline predicts the most frequent class.

Depends on: ../shared/datasets beside the checkout; without it, nothing is measured. The folds are fixed by their seeds,
so accuracy is the same on every machine up to rounding; the time is not.
"""

import dataclasses
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.tables import markdown_table, verdict
from model.backbones import AUTO
from model.config import TrainConfig
from model.dataset.images import read_image
from model.dataset.prepare import prepare_dataset
from model.errors import ImageError
from model.results import no_progress
from model.training.classifier import Classifier
from model.training.fit import fit_classifier
from model.tuning.search import choose_backbone

DATASETS = Path(__file__).resolve().parents[2] / "shared" / "datasets"
PLANKTON, LEGO = DATASETS / "phytoplankton-mini", DATASETS / "lego-signs"
FOLDS = 5
SEEDS = (0, 1, 2)
BACKBONE = "EfficientNetLite0"
CROP_GROUPS = r"/(.+)_\d+\.png$"


@dataclasses.dataclass(frozen=True)
class LabelledPhotos:
    """Photos in `directory/images/`, by relative path, and the groups that must stay in one fold."""

    directory: Path
    names: tuple[str, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    group_pattern: str = ""

    @property
    def labels(self) -> np.ndarray:
        """Index of each photo's class: int (n,)."""
        return np.array([self.classes.index(name.split("/")[0]) for name in self.names])


def main() -> None:
    """Print the table."""
    if not DATASETS.is_dir():
        print(f"Skipped: there is no {DATASETS}, where the photos would be.")
        return
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TOPGRAFT_CACHE"] = str(Path(directory) / "cache")
        rows = [
            _row("phytoplankton-mini", plankton_photos(Path(directory) / "plankton"), 0.88),
            _row("lego-signs, crops", lego_crops(Path(directory) / "lego"), 0.955),
        ]
    header = ["5-fold, mean (each seed)", "photos", "most frequent class", "accuracy", "goal", "macro-F1"]
    print(markdown_table([*header, "seconds a fold, first with features", "all folds"], rows))


@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """Accuracy and macro-F1 per seed; accuracy and seconds per fold."""

    accuracies: list[float]
    f1_scores: list[float]
    accuracies_of_folds: list[float]
    seconds: list[float]


def cross_validate(photos: LabelledPhotos, config: TrainConfig, seeds: Sequence[int] = SEEDS) -> CrossValidation:
    """Train on and predict each fold of each seed, with the options of `config`."""
    found = CrossValidation([], [], [], [])
    for seed in seeds:
        answers = np.full(len(photos.names), -1)
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for train, test in folds.split(photos.names, photos.labels, photos.groups):
            started = time.perf_counter()
            answers[test] = fit_and_answer(photos, train, test, config)
            found.seconds.append(time.perf_counter() - started)
            found.accuracies_of_folds.append(float((answers == photos.labels)[test].mean()))
        found.accuracies.append(float((answers == photos.labels).mean()))
        found.f1_scores.append(float(f1_score(photos.labels, answers, average="macro")))
    return found


def _row(name: str, photos: LabelledPhotos, goal: float) -> list[str]:
    found = cross_validate(photos, TrainConfig(backbone=BACKBONE))
    accuracies, f1_scores, seconds = found.accuracies, found.f1_scores, found.seconds
    [(_, most)] = Counter(photos.labels.tolist()).most_common(1)
    return [
        name,
        f"{len(photos.names)}",
        f"{most / len(photos.names):.3f}",
        _mean_and_each(accuracies),
        verdict(f"{goal}", statistics.mean(accuracies) >= goal),
        _mean_and_each(f1_scores),
        f"{seconds[0]:.1f}, then {statistics.median(seconds[1:]):.1f}",
        f"{sum(seconds):.0f} s",
    ]


def _mean_and_each(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})"


def fit_and_answer(photos: LabelledPhotos, train: np.ndarray, test: np.ndarray, config: TrainConfig) -> np.ndarray:
    """Train on one part and predict the labels of the other: int (len(test),)."""
    answers = fit(photos, train, test, config).predictions["test"]
    label_of = {
        sample.name: label for sample, label in zip(answers.samples, answers.probabilities.argmax(axis=1), strict=True)
    }
    return np.array([label_of[photos.names[position]] for position in test])


def fit(photos: LabelledPhotos, train: np.ndarray, test: np.ndarray, config: TrainConfig) -> Classifier:
    """Train on the photos at some positions, with a test split of the photos at others."""
    dataset = Path(tempfile.mkdtemp(dir=photos.directory))
    (dataset / "dataset_files").mkdir()
    (dataset / "images").symlink_to(photos.directory / "images")
    _write_lines(dataset / "dataset_files" / "classes.txt", photos.classes)
    for split, positions in (("train", train), ("test", test)):
        lines = [f"{photos.names[position]} {photos.labels[position]}" for position in positions]
        _write_lines(dataset / "dataset_files" / f"{split}.txt", lines)
    config = dataclasses.replace(config, group_pattern=photos.group_pattern)
    data = prepare_dataset(dataset, config, dataset).training_data
    if config.backbone == AUTO:
        config = choose_backbone(data, config, dataset / "choice", no_progress).config
    return fit_classifier(data, config, dataset, no_progress)


def plankton_photos(directory: Path) -> LabelledPhotos:
    """Copy the photos of phytoplankton-mini to a new folder."""
    directory.mkdir()
    (directory / "images").symlink_to(PLANKTON / "images")
    names = tuple(sorted(str(path.relative_to(PLANKTON / "images")) for path in (PLANKTON / "images").glob("*/*.jpg")))
    classes = (PLANKTON / "dataset_files" / "classes.txt").read_text(encoding="utf-8").split()
    return LabelledPhotos(directory, names, tuple(classes), groups=names)


def lego_crops(directory: Path) -> LabelledPhotos:
    """Crop the annotated rectangles to images; those of an unreadable photo are omitted."""
    names, groups = [], []
    for task in json.loads((LEGO / "annotations.json").read_text(encoding="utf-8")):
        photo = LEGO / "images" / task["data"]["image"].rpartition("/")[2]
        try:
            pixels = read_image(photo)
        except ImageError:
            continue
        rectangles = [result["value"] for annotation in task["annotations"] for result in annotation["result"]]
        for number, rectangle in enumerate(rectangles):
            name = f"{rectangle['rectanglelabels'][0]}/{photo.stem}_{number}.png"
            (directory / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_cut(pixels, rectangle)).save(directory / "images" / name)
            names.append(name)
            groups.append(photo.stem)
    classes = tuple(sorted({name.split("/")[0] for name in names}))
    return LabelledPhotos(directory, tuple(names), classes, tuple(groups), CROP_GROUPS)


def _cut(pixels: np.ndarray, rectangle: dict[str, float]) -> np.ndarray:
    """Crop uint8 (height, width, 3) to a rectangle in percent; at least one pixel."""
    height, width = pixels.shape[:2]
    left, top = round(rectangle["x"] / 100 * width), round(rectangle["y"] / 100 * height)
    right = max(left + 1, round((rectangle["x"] + rectangle["width"]) / 100 * width))
    bottom = max(top + 1, round((rectangle["y"] + rectangle["height"]) / 100 * height))
    return pixels[top:bottom, left:right]


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
