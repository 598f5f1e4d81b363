"""Detection of out-of-distribution photos: which statistic is best, and the rates of the marks of shipped models.

How: features of EfficientNet-Lite0. n photos of each class are drawn at random, whole groups of them, and the others
are the known test photos; several draws for each n. Sets: phytoplankton, lego signs (crops, grouped by photo),
traffic signs of the demo, and scikit-learn's handwritten digits. Far pictures: the photos of the other sets, crops of
scikit-learn's two photos, and patterns (noise, plain colours, stripes, gradients, chessboards, text). Near photos: a
class that is left out of the training.

The first table has the AUROC of each statistic: the probability that an unknown photo gets a higher score than a known
one; 0.5 is chance, 1 is perfect. The second has the rates of the shipped code, with the threshold that a training
would fit: false alarms among known photos, and finds. The third has complete trainings with default options: the
photos that each mark takes, and the accuracy of the others, whose target is 95 %. The last is the cost of a prediction.

Depends on: ../shared/datasets beside the checkout; without it, only synthetic photos and digits are measured.
"""

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.out_of_distribution import STATISTICS
from benchmarks.quality import demo_photos
from benchmarks.real_data import DATASETS, LabelledPhotos, fit, lego_crops, plankton_photos
from benchmarks.tables import markdown_table
from benchmarks.unknown_photos import Photos, known_sets, other_pictures
from model.config import TrainConfig
from model.evaluation.marks import count_marks, judge_all
from model.evaluation.unknown import distance_threshold, out_of_fold_distances, reference_distances
from model.results import labels_of
from model.serving.reference_features import build_reference_features, neighbour_distances
from model.training.head import train_head
from model.training.head_candidates import Head, HeadOptions, LabelledFeatures

COMPARED = (5, 20)
COMPARED_DRAWS = 2
PER_CLASS = (2, 3, 5, 10, 20, None)
DRAWS = 6
LEFT_OUT = 2
MAX_TEST = 400
MAX_OF_A_SET = 60
TRAINED = (10,)
TRAININGS = 2
SPEED_IMAGES = 5_000
SPEED_FEATURES = 1280
SPEED_CALLS = 200


def main() -> None:
    """Print the tables."""
    sets, others = known_sets(), other_pictures()
    far = {name: _far(sets, others, name) for name in sets}
    compared = [(name, count) for name in sets for count in COMPARED]
    columns = [_auroc_column(sets[name], far[name], count) for name, count in compared]
    header = ["AUROC, far pictures / near classes", *(f"{name}, {count} of a class" for name, count in compared)]
    print(markdown_table(header, zip(STATISTICS, *columns, strict=True)))
    print()
    header = ["shipped code, photos of a class", "training photos", "false alarms: mean (range of the draws)"]
    rates = [_rates_row(name, sets[name], far[name], count) for name in sets for count in PER_CLASS]
    print(markdown_table([*header, "finds: far pictures", "near classes"], rates))
    print()
    header = [
        "complete trainings, photos of a class",
        "unknown",
        "uncertain",
        "as stated",
        "accuracy: all",
        "the others",
    ]
    print(markdown_table(header, list(_training_rows())))
    print()
    print(markdown_table([f"{SPEED_IMAGES:,} training images, {SPEED_FEATURES} features", ""], _speed()))


def _far(sets: Mapping[str, Photos], others: Mapping[str, np.ndarray], known: str) -> np.ndarray:
    """Features of far pictures, at most `MAX_OF_A_SET` of each kind."""
    found = [photos.features for name, photos in sets.items() if name != known] + list(others.values())
    rng = np.random.default_rng(0)
    return np.concatenate([part[rng.permutation(len(part))[:MAX_OF_A_SET]] for part in found])


def _draw(photos: Photos, per_class: int | None, seed: int) -> tuple[Photos, Photos]:
    """Training photos, `per_class` of each class but at most two thirds; and test photos of other groups."""
    rng = np.random.default_rng(seed)
    rank = rng.permutation(int(photos.groups.max()) + 1)[photos.groups]
    order = np.argsort(rank, kind="stable")
    chosen: list[int] = []
    for label in np.unique(photos.labels):
        rows = order[photos.labels[order] == label]
        chosen += rows[: min(per_class or len(rows), 2 * len(rows) // 3)].tolist()
    test = np.flatnonzero(~np.isin(photos.groups, photos.groups[chosen]))
    return photos.select(np.array(chosen)), photos.select(rng.permutation(test)[:MAX_TEST])


def _without_class(photos: Photos, label: int) -> Photos:
    """The photos of the other classes, with consecutive labels."""
    rest = photos.select(photos.labels != label)
    return Photos(rest.features, np.unique(rest.labels, return_inverse=True)[1], rest.groups)


def _near(photos: Photos, train: Photos, test: Photos, seed: int) -> Iterator[tuple[Photos, Photos, np.ndarray]]:
    """Training photos without one class, test photos without it, and the features of this class."""
    classes = np.unique(photos.labels)
    if len(classes) < 3:
        return
    for label in np.random.default_rng(seed).permutation(classes)[:LEFT_OUT]:
        left_out = photos.features[photos.labels == label][:MAX_TEST]
        yield _without_class(train, label), _without_class(test, label), left_out


def _auroc_column(photos: Photos, far: np.ndarray, per_class: int) -> list[str]:
    """A cell for each statistic: mean AUROC for far pictures, and for near classes if there are three or more."""
    found: dict[str, list[list[float]]] = {statistic: [[], []] for statistic in STATISTICS}
    for seed in range(COMPARED_DRAWS):
        train, test = _draw(photos, per_class, seed)
        for near, (one, known, unknown) in [
            (0, (train, test, far)),
            *((1, parts) for parts in _near(photos, train, test, seed)),
        ]:
            head = _head(one, seed)
            for statistic, fit_score in STATISTICS.items():
                score = fit_score(one.features, one.labels, head)
                found[statistic][near].append(_auroc(score(known.features), score(unknown)))
    return [" / ".join(f"{statistics.mean(values):.3f}" for values in parts if values) for parts in found.values()]


def _auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    labels = np.repeat([0, 1], [len(known), len(unknown)])
    return float(roc_auc_score(labels, np.concatenate([known, unknown])))


def _head(train: Photos, seed: int) -> Head:
    """A head trained with default options; a fifth of each class is for validation."""
    order = np.random.default_rng(seed).permutation(len(train.labels))
    seen = np.array([(train.labels[order[:place]] == train.labels[row]).sum() for place, row in enumerate(order)])
    is_val = np.zeros(len(train.labels), bool)
    is_val[order] = seen % 5 == 0
    parts = [
        LabelledFeatures(train.features[rows], train.labels[rows], np.ones(rows.sum())) for rows in (~is_val, is_val)
    ]
    return train_head(parts[0], parts[1], int(train.labels.max()) + 1, HeadOptions.from_config(TrainConfig()))


def _rates_row(name: str, photos: Photos, far: np.ndarray, per_class: int | None) -> list[str]:
    alarms, finds, near, images, off = [], [], [], [], 0
    for seed in range(DRAWS):
        train, test = _draw(photos, per_class, seed)
        images.append(len(train.labels))
        rates = _rates(train, test, far)
        if rates is None:
            off += 1
            continue
        alarms.append(rates[0])
        finds.append(rates[1])
        if per_class in COMPARED:
            parts = _near(photos, train, test, seed)
            near += [found[1] for one, known, unknown in parts if (found := _rates(one, known, unknown))]
    title = f"{name}, {per_class or 'two thirds of all'}"
    if not alarms:
        return [title, f"{statistics.median(images):.0f}", "off: too few photos", "", ""]
    return [
        title,
        f"{statistics.median(images):.0f}",
        f"{100 * statistics.mean(alarms):.1f} % ({100 * min(alarms):.1f} to {100 * max(alarms):.1f})"
        + (f", off in {off} of {DRAWS} draws" if off else ""),
        f"{100 * statistics.mean(finds):.0f} %",
        f"{100 * statistics.mean(near):.0f} %" if near else "",
    ]


def _rates(train: Photos, known: Photos, unknown: np.ndarray) -> tuple[float, float] | None:
    """Fractions of known and of unknown photos above the threshold of the shipped code; None if it is off."""
    distances = out_of_fold_distances(train.features, train.labels, train.groups)
    threshold = distance_threshold(distances[~np.isnan(distances)])
    if threshold is None:
        return None
    reference = build_reference_features(train.features, train.labels, [""] * len(train.labels))
    above = [reference_distances(reference, asked) > threshold for asked in (known.features, unknown)]
    return float(above[0].mean()), float(above[1].mean())


def _training_rows() -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TOPGRAFT_CACHE"] = str(Path(directory) / "cache")
        sets = {"demo signs": demo_photos(Path(directory) / "signs", 60)}
        if DATASETS.is_dir():
            sets["phytoplankton"] = plankton_photos(Path(directory) / "plankton")
            sets["lego signs"] = lego_crops(Path(directory) / "lego")
        for (name, photos), count in itertools.product(sets.items(), TRAINED):
            yield _training_row(f"{name}, {count}", photos, count)


def _training_row(title: str, photos: LabelledPhotos, per_class: int) -> list[str]:
    """Means over trainings of the fractions of held-out known photos that each mark takes."""
    counts, accuracies, stated = [], [], []
    groups = np.unique(photos.groups, return_inverse=True)[1]
    positions = np.arange(len(photos.names), dtype=np.float32)[:, None]
    for seed in range(TRAININGS):
        train, test = _draw(Photos(positions, photos.labels, groups), per_class, seed)
        rows = [part.features[:, 0].astype(int) for part in (train, test)]
        trained = fit(photos, rows[0], rows[1], TrainConfig())
        found = trained.predictions["test"]
        correct = found.probabilities.argmax(axis=1) == labels_of(found.samples)
        judged = judge_all(found.probabilities, found.distances, photos.classes, trained.thresholds)
        counts.append(count_marks(judged, correct) | {"images": len(correct)})
        accuracies.append(float(correct.mean()))
        uncertain = trained.thresholds["uncertain"]
        stated.append("off" if "off" in uncertain else f"{100 * (1 - uncertain['coverage']):.0f} %")
    accepted = [found["accepted_accuracy"] for found in counts if found["accepted_accuracy"] is not None]
    return [
        title,
        _percentages([found["unknown"] / found["images"] for found in counts]),
        _percentages([found["uncertain"] / found["images"] for found in counts]),
        ", ".join(stated),
        _percentages(accuracies),
        _percentages(accepted),
    ]


def _percentages(values: Sequence[float]) -> str:
    return ", ".join(f"{100 * value:.0f} %" for value in values)


def _speed() -> Sequence[Sequence[str]]:
    rng = np.random.default_rng(0)
    features = np.abs(rng.normal(size=(SPEED_IMAGES, SPEED_FEATURES))).astype(np.float32)
    reference = build_reference_features(features, np.arange(SPEED_IMAGES) % 10, [""] * SPEED_IMAGES)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "features.npz"
        reference.save(path)
        megabytes = path.stat().st_size / 1e6
    reference.distances(features[:1])
    milliseconds = []
    for call in range(SPEED_CALLS):
        started = time.perf_counter()
        neighbour_distances(reference.distances(features[call : call + 1]))
        milliseconds.append((time.perf_counter() - started) * 1e3)
    return [
        ["distances of one photo, median", f"{statistics.median(milliseconds):.2f} ms"],
        ["95th percentile", f"{np.quantile(milliseconds, 0.95):.2f} ms"],
        ["file size with random (incompressible) features", f"{megabytes:.1f} MB"],
    ]


if __name__ == "__main__":
    main()
