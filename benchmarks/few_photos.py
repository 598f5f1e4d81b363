"""Accuracy and calibration of models trained on few photos per class, beside logistic regression on the same features.

How: n photos per class are drawn at random and trained on with default options, once for each draw; all photos of other
groups are predicted. Logistic regression is that of scikit-learn on the features of the same backbone, divided by one
number, with the strength C of nine from 0.0001 to 10,000 by cross-validation on the same photos. The accuracy claimed
is that which the training reports, by cross-validation. Calibration is the expected calibration error on the predicted
photos. Differences are paired by draw; their intervals are those of Student's t over the draws.

Sets: those of `benchmarks.real_data`, drawn traffic signs, the handwritten digits that scikit-learn ships, and drawn
numbers of two digits, which are a hundred classes.

Depends on: ../shared/datasets beside the checkout for the real photos; without it, the other sets are measured.
"""

import dataclasses
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import t as student
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegressionCV

from benchmarks.quality import demo_photos
from benchmarks.real_data import DATASETS, LabelledPhotos, fit, lego_crops, plankton_photos
from benchmarks.tables import markdown_table, verdict
from model.config import TrainConfig
from model.evaluation.evaluate import evaluate_probabilities
from model.results import Sample
from model.training.classifier import Classifier

PER_CLASS = (2, 3, 5, 10, 20)
# Of sets with many classes, which take as long as all the others together.
MANY_CLASSES, PER_CLASS_OF_MANY = 50, (2, 5)
DRAWS = int(os.environ.get("BENCHMARK_DRAWS", "5"))
STRENGTHS = np.logspace(-4, 4, 9)
MIN_LEFT = 40
# Of the photos that are not drawn, at most these are predicted.
MAX_PREDICTED = 400
DIGITS_PER_CLASS = 60
NUMBERS_PER_CLASS = 14


@dataclasses.dataclass(frozen=True)
class Measured:
    """Accuracy, macro-F1 and calibration error of one model on the predicted photos; the accuracy that it claims."""

    accuracy: float
    macro_f1: float
    calibration_error: float
    claim: float | None = None
    claim_covers: bool = False


def main() -> None:
    """Print a row for each set and number of photos."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TOPGRAFT_CACHE"] = str(Path(directory) / "cache")
        rows = []
        for name, photos in photo_sets(Path(directory)):
            for per_class in PER_CLASS_OF_MANY if len(photos.classes) >= MANY_CLASSES else PER_CLASS:
                row = _row(name, photos, per_class)
                if row:
                    print(*row, sep=" | ", file=sys.stderr, flush=True)
                    rows.append(row)
    header = [
        "photos per class",
        "predicted",
        "accuracy: topgraft",
        "logistic regression",
        "difference (95 % interval)",
    ]
    header += ["macro-F1: topgraft", "logistic regression", "calibration error: topgraft", "logistic regression"]
    print(markdown_table([*header, "mean error of the claim", "its interval covers"], rows))


def photo_sets(directory: Path) -> Iterator[tuple[str, LabelledPhotos]]:
    """The sets, each with its name; their files are written to a folder."""
    if DATASETS.is_dir():
        yield "phytoplankton-mini", plankton_photos(directory / "plankton")
        yield "lego-signs, crops", lego_crops(directory / "lego")
    else:
        print(f"Without real photos: {DATASETS} does not exist.\n")
    yield "drawn traffic signs", demo_photos(directory / "signs", max(PER_CLASS) + 10)
    yield "handwritten digits", _digits(directory / "digits")
    yield "drawn numbers", _numbers(directory / "numbers")


def _digits(directory: Path) -> LabelledPhotos:
    images, labels = load_digits(return_X_y=True)
    names, rng = [], np.random.default_rng(0)
    for label in range(10):
        for number, row in enumerate(rng.permutation(np.flatnonzero(labels == label))[:DIGITS_PER_CLASS]):
            pixels = (images[row].reshape(8, 8) * (255 / 16)).astype(np.uint8)
            names.append(_save(Image.fromarray(pixels).resize((96, 96)), directory, f"{label}/{number}.png"))
    return _labelled(directory, names)


def _numbers(directory: Path) -> LabelledPhotos:
    font, rng, names = ImageFont.load_default(60), np.random.default_rng(0), []
    for label in range(100):
        for number in range(NUMBERS_PER_CLASS):
            noise = Image.fromarray(rng.integers(60, 196, (8, 8, 3), np.uint8)).resize((128, 128))
            colour = tuple(rng.choice((0, 255), 3).tolist())
            ImageDraw.Draw(noise).text(
                (64 + rng.normal(0, 6), 64 + rng.normal(0, 6)), f"{label:02}", colour, font, "mm"
            )
            turned = noise.rotate(rng.normal(0, 12), Image.Resampling.BILINEAR)
            names.append(_save(turned, directory, f"{label:02}/{number}.png"))
    return _labelled(directory, names)


def _save(image: Image.Image, directory: Path, name: str) -> str:
    path = directory / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return name


def _labelled(directory: Path, names: Sequence[str]) -> LabelledPhotos:
    classes = tuple(sorted({name.split("/")[0] for name in names}))
    return LabelledPhotos(directory, tuple(names), classes, groups=tuple(names))


def _row(name: str, photos: LabelledPhotos, per_class: int) -> list[str]:
    """Means over the draws; empty if too few photos remain."""
    counts = np.bincount(photos.labels)
    if counts.min() < per_class or len(photos.names) - per_class * len(counts) < MIN_LEFT:
        return []
    found = [_draw(photos, per_class, seed) for seed in range(DRAWS)]
    ours, theirs, predicted = zip(*found, strict=True)
    differences = 100 * np.array([one.accuracy - other.accuracy for one, other in zip(ours, theirs, strict=True)])
    claims = [one.claim - one.accuracy for one in ours if one.claim is not None]
    return [
        f"{name}, {per_class}",
        f"{statistics.median(predicted):.0f}",
        *(_mean(side, "accuracy") for side in (ours, theirs)),
        _with_verdict(differences),
        *(_mean(side, "macro_f1") for side in (ours, theirs)),
        *(_mean(side, "calibration_error") for side in (ours, theirs)),
        f"{100 * statistics.mean(map(abs, claims)):.1f} points",
        f"{sum(one.claim_covers for one in ours)} of {len(ours)}",
    ]


def _mean(side: Sequence[Measured], metric: str) -> str:
    return f"{statistics.mean(getattr(one, metric) for one in side):.3f}"


def _with_verdict(differences: np.ndarray) -> str:
    text, highest = with_interval(differences)
    return f"{text}; {verdict('equal within noise, or above', highest >= 0)}"


def with_interval(differences: np.ndarray) -> tuple[str, float]:
    """Mean of differences in points with its 95 % interval, and the upper end of it."""
    mean = differences.mean()
    half = student.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / len(differences) ** 0.5
    return f"{mean:+.1f} points ({mean - half:+.1f} to {mean + half:+.1f})", mean + half


def _draw(photos: LabelledPhotos, per_class: int, seed: int) -> tuple[Measured, Measured, int]:
    chosen, rest = draw_photos(photos, per_class, seed)
    classifier = fit(photos, chosen, rest, TrainConfig(seed=seed))
    return _of_topgraft(classifier, photos), _of_logistic_regression(classifier, photos, seed), len(rest)


def draw_photos(photos: LabelledPhotos, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions int (n,) of photos to train on, and of photos of other groups to predict."""
    rng = np.random.default_rng(seed)
    by_class = (np.flatnonzero(photos.labels == label) for label in range(len(photos.classes)))
    chosen = np.concatenate([rng.choice(rows, per_class, replace=False) for rows in by_class])
    drawn = {photos.groups[position] for position in chosen}
    rest = np.array([position for position, group in enumerate(photos.groups) if group not in drawn])
    return chosen, np.sort(rng.permutation(rest)[:MAX_PREDICTED])


def _of_topgraft(classifier: Classifier, photos: LabelledPhotos) -> Measured:
    answers = classifier.predictions
    test = answers["test"]
    claimed = answers.get("cross_validation", answers["val"])
    claim = evaluate_probabilities(photos.classes, claimed.samples, claimed.probabilities, folds=claimed.folds).metrics
    measured = _measured(test.samples, test.probabilities, photos)
    low, high = claim["accuracy_interval"]
    covers = low <= measured.accuracy <= high
    return dataclasses.replace(measured, claim=claim["accuracy"], claim_covers=covers)


def _of_logistic_regression(classifier: Classifier, photos: LabelledPhotos, seed: int) -> Measured:
    """The regression on the photos that the classifier was trained on, on the same features."""
    known = classifier.photos
    labels = np.array([sample.label for sample in known.samples])
    test = np.array([split == "test" for split in known.splits])
    features = known.features - known.features[~test].mean(axis=0)
    features = features / np.sqrt((features[~test] ** 2).sum(axis=1).mean())
    folds = int(min(5, np.bincount(labels[~test]).min()))
    regression = LogisticRegressionCV(
        Cs=STRENGTHS, cv=folds, scoring="neg_log_loss", max_iter=1000, random_state=seed, l1_ratios=(0.0,)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regression.fit(features[~test], labels[~test])
    samples = [sample for sample, held_out in zip(known.samples, test, strict=True) if held_out]
    return _measured(samples, regression.predict_proba(features[test]).astype(np.float32), photos)


def _measured(samples: Sequence[Sample], probabilities: np.ndarray, photos: LabelledPhotos) -> Measured:
    metrics = evaluate_probabilities(photos.classes, tuple(samples), probabilities).metrics
    return Measured(metrics["accuracy"], metrics["macro_f1"], metrics["expected_calibration_error"])


if __name__ == "__main__":
    main()
