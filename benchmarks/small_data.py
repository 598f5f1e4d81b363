"""Reported accuracy of models trained on few photos against their accuracy on all others.

How: n photos per class are drawn at random and trained on with default options, once for each seed. The true accuracy
is that of the finished model on the held-out photos, which were not used in training. It is compared with the accuracy
reported by cross-validation, and with that reported by the same training without it, on 15 % of the photos as
validation images. An interval covers the truth if it contains it; the truth is itself measured on a finite number of
photos, so that even a perfect interval would cover it in somewhat less than 95 % of the cases. The error is the
absolute difference from the truth. Sets: those of `benchmarks.real_data`, and synthetic traffic signs.

Depends on: ../shared/datasets beside the checkout for the real photos; without it, only synthetic ones are measured.
"""

import dataclasses
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.quality import demo_photos
from benchmarks.real_data import DATASETS, LabelledPhotos, fit, lego_crops, plankton_photos
from benchmarks.tables import markdown_table
from model.config import TrainConfig
from model.evaluation.evaluate import evaluate_probabilities
from model.measurements import Measurement
from model.training.classifier import Predictions

PER_CLASS = (5, 10, 15)
SEEDS = range(12)
CLAIMS: tuple[Measurement, ...] = ("cross_validation", "val")
MIN_LEFT = 40
DRAWN_PER_CLASS = 35


@dataclasses.dataclass(frozen=True)
class Claim:
    """Accuracy as a training reported it, with its interval."""

    accuracy: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Trained:
    """Accuracies of one training: as each measurement reported it, and on the held-out photos."""

    claims: dict[Measurement, Claim]
    truth: float
    left: int


def main() -> None:
    """Print a row for each set and number of photos."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TOPGRAFT_CACHE"] = str(Path(directory) / "cache")
        sets = {"drawn traffic signs": demo_photos(Path(directory) / "signs", DRAWN_PER_CLASS)}
        if DATASETS.is_dir():
            sets["phytoplankton-mini"] = plankton_photos(Path(directory) / "plankton")
            sets["lego-signs, crops"] = lego_crops(Path(directory) / "lego")
        else:
            print(f"Synthetic photos only: {DATASETS}, with the real ones, does not exist.\n")
        rows = [_row(name, photos, per_class) for name, photos in sets.items() for per_class in PER_CLASS]
    header = ["photos per class", "held-out photos", "true accuracy", "estimate: cross-validation", "validation"]
    measures = ["mean error: cross-validation", "validation", "95 % interval covers: cross-validation", "validation"]
    print(markdown_table([*header, *measures, "its width: cross-validation", "validation"], filter(None, rows)))


def _row(name: str, photos: LabelledPhotos, per_class: int) -> list[str]:
    """Means over the seeds; empty if too few photos remain to measure the true accuracy."""
    if len(photos.names) - per_class * len(photos.classes) < MIN_LEFT:
        return []
    found = [_train(photos, per_class, seed) for seed in SEEDS]
    return [
        f"{name}, {per_class}",
        f"{statistics.median(trained.left for trained in found):.0f}",
        f"{statistics.mean(trained.truth for trained in found):.3f}",
        *(f"{statistics.mean(trained.claims[kind].accuracy for trained in found):.3f}" for kind in CLAIMS),
        *(f"{statistics.mean(_error(trained, kind) for trained in found):.3f}" for kind in CLAIMS),
        *(f"{sum(_covers(trained, kind) for trained in found)} of {len(found)}" for kind in CLAIMS),
        *(f"{statistics.mean(_width(trained.claims[kind]) for trained in found):.2f}" for kind in CLAIMS),
    ]


def _train(photos: LabelledPhotos, per_class: int, seed: int) -> Trained:
    chosen = _draw(photos.labels, per_class, seed)
    # Photos of a group with training photos would bias the accuracy upwards.
    drawn = {photos.groups[position] for position in chosen}
    rest = np.array([position for position, group in enumerate(photos.groups) if group not in drawn])
    answers = fit(photos, chosen, rest, TrainConfig(seed=seed)).predictions
    claims = {kind: _claim(answers[kind], photos.classes) for kind in CLAIMS}
    return Trained(claims, _claim(answers["test"], photos.classes).accuracy, len(rest))


def _draw(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    classes = range(labels.max() + 1)
    return np.concatenate([rng.choice(np.flatnonzero(labels == label), per_class, replace=False) for label in classes])


def _claim(answers: Predictions, classes: Sequence[str]) -> Claim:
    metrics = evaluate_probabilities(classes, answers.samples, answers.probabilities, folds=answers.folds).metrics
    return Claim(metrics["accuracy"], *metrics["accuracy_interval"])


def _error(trained: Trained, kind: Measurement) -> float:
    return abs(trained.claims[kind].accuracy - trained.truth)


def _covers(trained: Trained, kind: Measurement) -> bool:
    return trained.claims[kind].low <= trained.truth <= trained.claims[kind].high


def _width(claim: Claim) -> float:
    return claim.high - claim.low


if __name__ == "__main__":
    main()
