"""Detection of out-of-distribution photos: how well they are distinguished from photos of the known classes.

How: features of EfficientNet-Lite0; a head is trained with default options on three fifths of the known photos; one
fifth is for validation, and the last fifth is classified together with photos of unknown objects. AUROC is the
probability that an unknown photo gets a higher score than a known one: 0.5 is chance, 1 is perfect. Scores: 1 minus the
largest probability (Hendrycks and Gimpel, 2017); the energy, minus the log of the sum of the exponentials of the
logits (Liu et al., 2020); the Mahalanobis distance to the nearest class mean, with the covariance shared by the
classes and shrunk by the method of Ledoit and Wolf (2004) (Lee et al., 2018); the distance to the k-th nearest training
image, on whole features of length 1 (Sun et al., 2022), and on the features stored in a bundle. Each number is the mean
over the classes, each treated as unknown once, or over three random divisions of the photos.

The second table reports what users see: with thresholds from the validation photos, the fractions of known and of
unknown photos marked as unknown. The third is the cost of the distances with 5,000 training images.

Depends on: ../shared/datasets beside the checkout; without it, only synthetic photos are measured. Features are kept in
the cache of trainings, which saves a minute in a second run.
"""

import dataclasses
import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.special import logsumexp, softmax
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from benchmarks.quality import demo_photos
from benchmarks.real_data import DATASETS, LabelledPhotos, plankton_photos
from benchmarks.tables import markdown_table
from model.backbones import find_backbone
from model.config import TrainConfig
from model.evaluation.calibration import confidence_threshold, distance_threshold, fit_temperature
from model.features.cache import FeatureCache
from model.features.extractor import FeatureExtractor
from model.files.checksums import file_sha256
from model.networks.converted_backbone import converted_backbone
from model.results import InputSpec, Sample, no_progress
from model.serving.reference_features import (
    NEIGHBOUR,
    ReferenceFeatures,
    build_reference_features,
    neighbour_distances,
)
from model.training.head import HeadOptions, LabelledFeatures, train_head

BACKBONE = find_backbone("EfficientNetLite0")
DRAWN_PER_CLASS = 30
NOISE_IMAGES = 60
DIVISIONS = 3
FRACTIONS = (0.95, 0.99)
SPEED_IMAGES = 5_000
SPEED_FEATURES = 1280
SPEED_CALLS = 200


@dataclasses.dataclass(frozen=True)
class Photos:
    """Features float32 (n, features) of photos, and their classes int (n,)."""

    features: np.ndarray
    labels: np.ndarray

    def select(self, chosen: np.ndarray) -> "Photos":
        """Select photos by position or mask."""
        return Photos(self.features[chosen], self.labels[chosen])


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Training and validation photos of the known classes, a head, and the reference features."""

    train: Photos
    val: Photos
    logits: Callable[[np.ndarray], np.ndarray]
    reference: ReferenceFeatures


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as directory:
        sets = _features(Path(directory))
    experiments = _experiments(sets)
    print(markdown_table([f"AUROC, k = {NEIGHBOUR}", *SCORES], [_auroc_row(*item) for item in experiments.items()]))
    print()
    header = ["marked unknown, of known / unknown photos", "by confidence"]
    header += [
        f"{way}, {fraction:.0%} of validation within" for fraction in FRACTIONS for way in ("by features", "by both")
    ]
    print(markdown_table(header, [_rates_row(*item) for item in experiments.items()]))
    print()
    print(markdown_table([f"{SPEED_IMAGES:,} training images, {SPEED_FEATURES} features", ""], _speed()))


def _features(directory: Path) -> dict[str, Photos]:
    """Features of each set of photos."""
    sources = {"signs": demo_photos(directory / "signs", DRAWN_PER_CLASS), "noise": _noise(directory / "noise")}
    if DATASETS.is_dir():
        sources["plankton"] = plankton_photos(directory / "plankton")
    extract = FeatureExtractor(converted_backbone(BACKBONE, BACKBONE.image_size), InputSpec.square(BACKBONE.image_size))
    cache = FeatureCache(BACKBONE, InputSpec.square(BACKBONE.image_size))
    features = {}
    for name, photos in sources.items():
        samples = [
            Sample(photos.directory / "images" / path, path, int(label))
            for path, label in zip(photos.names, photos.labels, strict=True)
        ]
        hashes = {sample.name: file_sha256(sample.path) for sample in samples}
        found = cache.extract(extract, samples, hashes, no_progress)
        features[name] = Photos(found, photos.labels)
    return features


def _noise(directory: Path) -> LabelledPhotos:
    """Noise images: independent pixels, clouds of many sizes, and one plain colour."""
    rng = np.random.default_rng(0)
    names = []
    (directory / "images" / "noise").mkdir(parents=True)
    for number in range(NOISE_IMAGES):
        cells = (240, 12, 1)[number % 3]
        pixels = rng.integers(0, 256, (cells, cells, 3), np.uint8)
        names.append(f"noise/{number}.png")
        Image.fromarray(pixels).resize((240, 240), Image.Resampling.BICUBIC).save(directory / "images" / names[-1])
    return LabelledPhotos(directory, tuple(names), ("noise",), tuple(names))


Experiment = list[tuple[Fitted, Photos, Photos]]


def _experiments(sets: dict[str, Photos]) -> dict[str, Experiment]:
    """Map titles to divisions of the photos: the fitted models, known test photos, unknown photos."""
    experiments = {"signs, one class excluded": list(_classes_held_out(sets["signs"]))}
    experiments |= {"signs known, noise": list(_set_against(sets["signs"], sets["noise"]))}
    if "plankton" in sets:
        experiments |= {
            "phytoplankton, one class excluded": list(_classes_held_out(sets["plankton"])),
            "signs known, phytoplankton": list(_set_against(sets["signs"], sets["plankton"])),
            "phytoplankton known, signs": list(_set_against(sets["plankton"], sets["signs"])),
            "phytoplankton known, noise": list(_set_against(sets["plankton"], sets["noise"])),
        }
    return experiments


def _classes_held_out(photos: Photos) -> Iterator[tuple[Fitted, Photos, Photos]]:
    for held_out in np.unique(photos.labels):
        known = photos.select(photos.labels != held_out)
        consecutive = Photos(known.features, np.unique(known.labels, return_inverse=True)[1])
        yield *_fitted(consecutive, seed=int(held_out)), photos.select(photos.labels == held_out)


def _set_against(known: Photos, unknown: Photos) -> Iterator[tuple[Fitted, Photos, Photos]]:
    for seed in range(DIVISIONS):
        yield *_fitted(known, seed), unknown


def _fitted(known: Photos, seed: int) -> tuple[Fitted, Photos]:
    """Fit to three fifths of some photos; return the result and the fifth for tests."""
    positions = np.arange(len(known.labels))
    rest, test = train_test_split(positions, test_size=0.2, stratify=known.labels, random_state=seed)
    train, val = train_test_split(rest, test_size=0.25, stratify=known.labels[rest], random_state=seed)
    splits = [known.select(train), known.select(val)]
    labelled = [LabelledFeatures(part.features, part.labels, np.ones(len(part.labels))) for part in splits]
    classes = int(known.labels.max()) + 1
    head = train_head(labelled[0], labelled[1], classes, HeadOptions.from_config(TrainConfig()))
    temperature = fit_temperature(head.logits(splits[1].features), splits[1].labels)
    reference = build_reference_features(splits[0].features, splits[0].labels, [""] * len(train))

    def logits(features: np.ndarray) -> np.ndarray:
        return head.logits(features) / temperature

    return Fitted(splits[0], splits[1], logits, reference), known.select(test)


def _by_probability(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    return 1 - softmax(fitted.logits(features), axis=-1).max(axis=1)


def _by_energy(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    return -np.asarray(logsumexp(fitted.logits(features), axis=1))


def _by_mahalanobis(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    train = fitted.train
    means = np.stack([train.features[train.labels == label].mean(axis=0) for label in np.unique(train.labels)])
    centred = train.features - means[train.labels]
    shrinkage = ledoit_wolf_shrinkage(centred, assume_centered=True)
    # The inverse of shared + share * centred.T @ centred by Woodbury's identity: photos are fewer than features.
    shared, share = shrinkage * float((centred**2).mean()), (1 - shrinkage) / len(centred)
    inside = shared / share * np.eye(len(centred)) + centred @ centred.T
    offsets = (features[None] - means[:, None]).reshape(-1, features.shape[1])
    along = offsets @ centred.T
    squares = ((offsets**2).sum(axis=1) - (along * np.linalg.solve(inside, along.T).T).sum(axis=1)) / shared
    return squares.reshape(len(means), -1).min(axis=0)


def _by_whole_features(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    whole = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in (features, fitted.train.features)]
    return neighbour_distances(np.sqrt(np.maximum(2 - 2 * whole[0] @ whole[1].T, 0)))


def _by_reference(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    return neighbour_distances(fitted.reference.distances(features))


SCORES: dict[str, Callable[[Fitted, np.ndarray], np.ndarray]] = {
    "probability": _by_probability,
    "energy": _by_energy,
    "Mahalanobis": _by_mahalanobis,
    "k-nearest, whole features": _by_whole_features,
    "k-nearest, as stored": _by_reference,
}


def _auroc_row(title: str, experiment: Experiment) -> list[str]:
    return [title, *(f"{statistics.mean(_auroc(score, experiment)):.3f}" for score in SCORES.values())]


def _auroc(score: Callable[[Fitted, np.ndarray], np.ndarray], experiment: Experiment) -> list[float]:
    return [
        float(
            roc_auc_score(
                np.repeat([0, 1], [len(known.labels), len(unknown.labels)]),
                np.concatenate([score(fitted, known.features), score(fitted, unknown.features)]),
            )
        )
        for fitted, known, unknown in experiment
    ]


def _rates_row(title: str, experiment: Experiment) -> list[str]:
    cells = [_rates(experiment, _unsure)]
    for fraction in FRACTIONS:
        cells += [_rates(experiment, functools.partial(_far, fraction=fraction))]
        cells += [_rates(experiment, functools.partial(_unsure_or_far, fraction=fraction))]
    return [title, *cells]


def _rates(experiment: Experiment, is_unknown: Callable[[Fitted, np.ndarray], np.ndarray]) -> str:
    known, unknown = (
        statistics.mean(float(is_unknown(fitted, photos.features).mean()) for fitted, photos in asked)
        for asked in ([(one, known) for one, known, _ in experiment], [(one, other) for one, _, other in experiment])
    )
    return f"{known:.0%} / {unknown:.0%}"


def _unsure(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    threshold = confidence_threshold(softmax(fitted.logits(fitted.val.features), axis=-1), fitted.val.labels)
    return softmax(fitted.logits(features), axis=-1).max(axis=1) < threshold


def _unsure_or_far(fitted: Fitted, features: np.ndarray, fraction: float) -> np.ndarray:
    return _unsure(fitted, features) | _far(fitted, features, fraction)


def _far(fitted: Fitted, features: np.ndarray, fraction: float) -> np.ndarray:
    threshold = distance_threshold(_by_reference(fitted, fitted.val.features), fraction)
    return _by_reference(fitted, features) > threshold


def _speed() -> Sequence[Sequence[str]]:
    rng = np.random.default_rng(0)
    features = np.abs(rng.normal(size=(SPEED_IMAGES, SPEED_FEATURES))).astype(np.float32)
    reference = build_reference_features(features, np.zeros(SPEED_IMAGES, int), [""] * SPEED_IMAGES)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "features.npz"
        reference.save(path)
        megabytes = path.stat().st_size / 1e6
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
