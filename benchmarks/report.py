"""The report of a training: time, memory and size for 10,000 predictions, and the precision of its label check.

How: a report with all sections is made of 10,000 random predictions of 200 classes with 1,280 features each; the photos
are those of the demo dataset under many names. It runs in a process of its own, and so does one of 60,000 predictions,
whose features and probabilities take 360 MB. For the label check, the labels of 5 % of the photos of a set are replaced
by random other ones, five times. Heads on features of EfficientNet-Lite0 predict each photo by five folds. Precision:
fraction of the flagged photos whose label was replaced; recall: fraction of the replaced labels that are flagged. The
floor is what cleanlab reaches with the same fraction of wrong labels and a linear head.

Depends on: ../shared/datasets beside the checkout; without it, only synthetic photos and digits are measured.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import softmax

from benchmarks.quality import demo_photos
from benchmarks.tables import markdown_table, verdict
from benchmarks.unknown_photos import Photos, known_sets
from model.bundle import Manifest
from model.config import TrainConfig
from model.dataset.rereading import PhotoReader
from model.dataset.training_data import TrainingData
from model.evaluation.evaluate import evaluate_probabilities
from model.evaluation.label_issues import suspected_labels
from model.evaluation.learning_curve import LearningCurve
from model.evaluation.photo_features import PhotoFeatures
from model.evaluation.photo_study import study_photos
from model.evaluation.report.content import ReportContent
from model.evaluation.report.render import with_thumbnails, write_report
from model.results import Sample, Split
from model.serving.reference_features import build_reference_features
from model.training.cross_validation import settled_out_of_fold
from model.training.head import train_head
from model.training.head_candidates import HeadOptions, LabelledFeatures
from tests.support.processes import MEGABYTE, Cost, in_fresh_process, peak_megabytes

PREDICTIONS, CLASSES, FEATURES = 10_000, 200, 1280
# Without a goal: whether the memory grows with more than the features and the probabilities.
MORE_PREDICTIONS = 60_000
_DRAWN_AT_ONCE = 1000
MAX_SECONDS, MAX_MEMORY, MAX_SIZE = 60, 1_000_000_000, 5_000_000
WRONG, DRAWS = 0.05, 5
# Precision and recall of cleanlab with the same fraction of wrong labels and a linear head, where they are known.
FLOORS = {"phytoplankton": (0.49, 0.84), "demo signs": (0.57, 0.77)}
_DRAWN_PER_CLASS = 10


def main() -> None:
    """Print the tables."""
    print("\n\n".join([*_large_report(), *_label_check()]))


def _large_report() -> Iterator[str]:
    measured = [in_fresh_process(measure_report, count) for count in (PREDICTIONS, MORE_PREDICTIONS)]
    yield markdown_table(
        (f"report with all sections, {CLASSES} classes", "seconds", "processor seconds", "memory", "size"),
        [
            (
                f"{count:,} predictions",
                f"{cost.seconds:.0f}",
                f"{cost.processor:.0f}",
                f"{cost.memory:.0f} MB",
                f"{size / 1e6:.1f} MB",
            )
            for count, (cost, size) in zip((PREDICTIONS, MORE_PREDICTIONS), measured, strict=True)
        ],
    )
    cost, size = measured[0]
    seconds, cpu, memory = cost.seconds, cost.processor, cost.memory * MEGABYTE
    yield "\n".join(
        (
            f"- {verdict(f'at most {MAX_SECONDS} seconds', seconds <= MAX_SECONDS)}",
            f"- {verdict(f'at most {MAX_SECONDS} processor seconds', cpu <= MAX_SECONDS)}",
            f"- {verdict('at most 1 GB of memory', memory <= MAX_MEMORY)}",
            f"- {verdict('a file of at most 5 MB', size <= MAX_SIZE)}",
        )
    )


def measure_report(predictions: int) -> tuple[Cost, int]:
    """Cost of a report, and its size in bytes; the memory is that of the whole process."""
    with tempfile.TemporaryDirectory() as directory:
        photos = _photos(Path(directory), predictions)
        started, cpu = time.perf_counter(), time.process_time()
        path = Path(directory) / "report.html"
        write_report(path, with_thumbnails(_content(photos), PhotoReader()))
        cost = Cost(time.perf_counter() - started, time.process_time() - cpu, peak_megabytes())
        return cost, path.stat().st_size


def _photos(folder: Path, predictions: int) -> PhotoFeatures:
    drawn = demo_photos(folder / "demo", _DRAWN_PER_CLASS)
    rng = np.random.default_rng(0)
    labels = np.arange(predictions) % CLASSES
    centres = rng.standard_gamma(1.0, (CLASSES, FEATURES), np.float32)
    features = np.empty((predictions, FEATURES), np.float32)
    for start in range(0, predictions, _DRAWN_AT_ONCE):
        rows = slice(start, start + _DRAWN_AT_ONCE)
        noise = rng.standard_gamma(1.0, features[rows].shape, np.float32)
        features[rows] = centres[labels[rows]] + noise
    logits = rng.standard_normal((predictions, CLASSES), np.float32)
    logits[np.arange(predictions), labels] += 5
    samples = tuple(
        Sample(drawn.directory / "images" / drawn.names[row % len(drawn.names)], f"class {label}/{row:05}.jpg", label)
        for row, label in enumerate(labels.tolist())
    )
    splits: tuple[Split, ...] = tuple("test" if row % 5 == 0 else "train" for row in range(predictions))
    train = [row for row, split in enumerate(splits) if split == "train"]
    reference = build_reference_features(features[train], labels[train], [samples[row].name for row in train])
    classes = tuple(f"class {label}" for label in range(CLASSES))
    return PhotoFeatures(classes, samples, splits, features, softmax(logits, axis=1), reference)


def _content(photos: PhotoFeatures) -> ReportContent:
    evaluation = evaluate_probabilities(photos.classes, photos.samples, photos.probabilities)
    correct = (photos.probabilities.argmax(axis=1) == photos.labels).astype(float)
    curve = LearningCurve(
        photos.classes, (1000, 2000, 4000, 8000), photos.labels, np.array([correct] * 4), "test photos"
    )
    manifest = Manifest(
        name="large",
        created="2026-01-01T00:00:00Z",
        versions={},
        classes=photos.classes,
        backbone="EfficientNetLite0",
        image_size=224,
        resize="squash",
        scaling="lite",
        train_config=dataclasses.asdict(TrainConfig()),
        dataset={"counts": {"test": dict.fromkeys(photos.classes, len(photos.samples) // CLASSES)}},
        metrics={},
        temperature=1.0,
        thresholds={"confidence": 0.5},
        engine="onnx",
        parity={},
        files={},
    )
    return ReportContent(manifest, {"test": evaluation}, study=study_photos(photos, evaluation, curve))


def _label_check() -> Iterator[str]:
    rows = []
    for name, photos in known_sets().items():
        found = [_measured(photos, draw) for draw in range(DRAWS)]
        precision, recall = (statistics.mean(values) for values in zip(*found, strict=True))
        untouched = _flagged(photos).mean()
        measured = (f"{precision:.2f}", f"{recall:.2f}", f"{untouched:.1%}")
        rows.append((name, str(len(photos.labels)), *measured, label_floor(name, precision, recall)))
    header = ("5 % wrong labels", "photos", "precision", "recall", "flagged with the labels as they are", "floor")
    yield markdown_table(header, rows)


def label_floor(name: str, precision: float, recall: float) -> str:
    """Whether the precision and recall of a set reach those of cleanlab; empty for a set without them."""
    if name not in FLOORS:
        return ""
    measured = {"precision": precision, "recall": recall}
    goals = zip(measured.items(), FLOORS[name], strict=True)
    return ", ".join(verdict(f"{what} {floor:.2f}", value >= floor) for (what, value), floor in goals)


def _measured(photos: Photos, draw: int) -> tuple[float, float]:
    """Precision and recall of the check, with some labels replaced."""
    rng = np.random.default_rng(draw)
    labels, classes = photos.labels.copy(), int(photos.labels.max()) + 1
    replaced = rng.choice(len(labels), max(1, round(WRONG * len(labels))), replace=False)
    labels[replaced] = (labels[replaced] + rng.integers(1, classes, len(replaced))) % classes
    flagged = _flagged(dataclasses.replace(photos, labels=labels))
    hits = flagged[replaced].sum()
    return float(hits / max(flagged.sum(), 1)), float(hits / len(replaced))


def _flagged(photos: Photos) -> np.ndarray:
    """Whether each label is suspected, by heads with the settings that a training would choose."""
    options, images = HeadOptions.from_config(TrainConfig()), len(photos.labels)
    classes = tuple(map(str, range(int(photos.labels.max()) + 1)))
    names = tuple(map(str, range(images)))
    source = tuple(Sample(Path(), name, 0) for name in names)
    rows = np.random.default_rng(0).permutation(images)
    train, val = rows[images // 5 :], rows[: images // 5]
    splits: dict[Split, np.ndarray] = {"train": train, "val": val, "test": rows[:0]}
    data = TrainingData(classes, names, photos.labels, photos.groups, {}, splits, source)

    def select(rows: np.ndarray) -> LabelledFeatures:
        return LabelledFeatures(photos.features[rows], photos.labels[rows], np.ones(len(rows), np.float32))

    head = train_head(select(train), select(val), len(classes), options)
    logits = settled_out_of_fold(data, select(np.arange(images)), head, options, seed=0)
    return suspected_labels(softmax(logits, axis=1), photos.labels)


if __name__ == "__main__":
    main()
