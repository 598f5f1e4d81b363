"""Accuracy with photos of more than 8 bits per channel: the intensity range found on the training photos, and others.

How: the photos of phytoplankton-mini as 8-bit gray, and the same in TIFFs as other cameras and programs write them.
EfficientNet-Lite0's features are cross-validated by Topgraft's own head with one L2 strength, in 5 folds for each seed,
with `intensity = auto` and with `full`. The second table does so for three of the kinds with ranges by other rules:
other fractions of the values left out at either end of a photo or of all photos together, and without leaving out
extreme photos. All rules measure values without hot pixels; see `model.dataset.intensity.value_distribution`.

Depends on: ../shared/datasets beside the checkout.
"""

import dataclasses
import functools
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.real_data import DATASETS, FOLDS, LabelledPhotos, plankton_photos
from benchmarks.tables import markdown_table
from model.backbones import find_backbone
from model.config import TrainConfig
from model.dataset.images import decode_photo
from model.dataset.intensity.range import extent, range_of
from model.dataset.intensity.value_distribution import TAIL, ValueDistribution
from model.dataset.training_data import TrainingData
from model.features.extractor import FeatureExtractor, extract_features
from model.intensity import FULL, Intensity, IntensityRange
from model.networks.converted_backbone import converted_backbone
from model.results import InputSpec, Sample, no_progress
from model.training.cross_validation import FoldPlan, cross_validate
from model.training.head_candidates import HeadOptions, LabelledFeatures

SEEDS = (0, 1, 2)
L2 = 1e-4
BACKBONE = find_backbone("EfficientNetLite0")

Convert = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""From gray levels float64 (height, width) in [0, 255] to the values of a camera."""
Rule = Callable[[Sequence[ValueDistribution]], tuple[float, float]]


def _dim(gray: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return (200 + 2 * gray).astype(np.uint16)


def _with_hot_pixels(gray: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    values = _dim(gray, rng)
    values[rng.random(values.shape) < 0.001] = 65535
    values[rng.random(values.shape) < 0.001] = 0
    return values


def _sometimes_overexposed(gray: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.full(gray.shape, 65535, np.uint16) if rng.random() < 0.02 else _dim(gray, rng)


def _exposed_differently(gray: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (gray * 16 * rng.uniform(0.4, 1)).astype(np.uint16)


KINDS: Mapping[str, Convert] = {
    "8 bits": lambda gray, _: gray.astype(np.uint8),
    "12 bits in 16": lambda gray, _: (gray * 16).astype(np.uint16),
    "200 to 710 in 16 bits": _dim,
    "the same, 0.2 % hot and dead pixels": _with_hot_pixels,
    "the same, 2 % of the photos white": _sometimes_overexposed,
    "12 bits in 16, exposures of 40 to 100 %": _exposed_differently,
    "floats from 0 to 1": lambda gray, _: (gray / 255).astype(np.float32),
    "floats from 0 to 4,095": lambda gray, _: (gray / 255 * 4095).astype(np.float32),
    "floats from -1 to 1": lambda gray, _: (gray / 127.5 - 1).astype(np.float32),
}


def _between(tail: float) -> Rule:
    """The widest range of the photos, each without this fraction of its values at either end."""
    return lambda photos: (
        min(found.quantile(tail) for found in photos),
        max(found.quantile(1 - tail) for found in photos),
    )


def _pooled(tail: float) -> Rule:
    """The range of all values of all photos together, without this fraction at either end."""

    def rule(photos: Sequence[ValueDistribution]) -> tuple[float, float]:
        probabilities = (np.arange(1000) + 0.5) / 1000
        values = [found.quantile(probability) for found in photos for probability in probabilities]
        low, high = np.quantile(values, (tail, 1 - tail))
        return float(low), float(high)

    return rule


def _used(photos: Sequence[ValueDistribution]) -> tuple[float, float]:
    found = range_of(photos)
    if found is None:
        raise AssertionError("the photos have one and the same value")
    return found.low, found.high


RULES: Mapping[str, Rule] = {
    "auto": _used,
    "auto, not widened to a bit depth": extent,
    "each photo, all values": _between(0),
    "each photo, without 0.01 %": _between(0.0001),
    "each photo, without 0.1 %": _between(TAIL),
    "each photo, without 1 %": _between(0.01),
    "all photos together, without 0.1 %": _pooled(0.001),
    "all photos together, without 1 %": _pooled(0.01),
}
COMPARED_ON = (
    "12 bits in 16",
    "the same, 0.2 % hot and dead pixels",
    "the same, 2 % of the photos white",
)


def main() -> None:
    """Print the two tables."""
    if not DATASETS.is_dir():
        print(f"Skipped: there is no {DATASETS}, where the photos would be.")
        return
    with tempfile.TemporaryDirectory() as directory:
        original = plankton_photos(Path(directory) / "plankton")
        converted = {
            name: _convert(original, convert, Path(directory) / str(number))
            for number, (name, convert) in enumerate(KINDS.items())
        }
        rows = [
            [name, _accuracy(photos, _range(RULES["auto"], photos)), _accuracy(photos, FULL)]
            for name, photos in converted.items()
        ]
        print(markdown_table(["105 photos, 5-fold, mean (each seed)", "intensity = auto", "full"], rows))
        print()
        print(markdown_table(["range", *COMPARED_ON], _compare({name: converted[name] for name in COMPARED_ON})))


def _convert(photos: LabelledPhotos, convert: Convert, directory: Path) -> LabelledPhotos:
    """Write the photos as gray TIFFs with the values of a camera."""
    rng = np.random.default_rng(0)
    names = []
    for name in photos.names:
        with Image.open(photos.directory / "images" / name) as image:
            gray = np.asarray(image.convert("L"), np.float64)
        names.append(str(Path(name).with_suffix(".tif")))
        path = directory / "images" / names[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(convert(gray, rng)).save(path)
    return dataclasses.replace(photos, directory=directory, names=tuple(names), groups=tuple(names))


def _compare(kinds: Mapping[str, LabelledPhotos]) -> list[list[str]]:
    """A row for each rule: the accuracy on each kind, and the range."""
    rows = []
    for rule_name, rule in RULES.items():
        cells = []
        for photos in kinds.values():
            found = _range(rule, photos)
            low, high = (found.low, found.high) if isinstance(found, IntensityRange) else (0, 0)
            cells.append(f"{_accuracy(photos, found)}, {low:,.0f} to {high:,.0f}")
        rows.append([rule_name, *cells])
    return rows


@functools.cache
def _range(rule: Rule, photos: LabelledPhotos) -> Intensity:
    """Range of the photos by a rule; full for photos of 8 bits."""
    found = (decode_photo((photos.directory / "images" / name).read_bytes()).values for name in photos.names)
    deep = [values for values in found if values is not None]
    return IntensityRange(*rule(deep)) if deep else FULL


@functools.cache
def _accuracy(photos: LabelledPhotos, intensity: Intensity) -> str:
    """Mean accuracy of cross-validation, and that of each seed."""
    size, labels = BACKBONE.image_size, photos.labels
    extract = FeatureExtractor(converted_backbone(BACKBONE, size), InputSpec.square(size, intensity=intensity))
    samples = tuple(
        Sample(photos.directory / "images" / name, name, label)
        for name, label in zip(photos.names, labels.tolist(), strict=True)
    )
    features = extract_features(extract, samples, extract.spec, no_progress)
    rows = np.arange(len(samples))
    data = TrainingData(photos.classes, photos.names, labels, rows, {}, {"train": rows}, samples)
    images = LabelledFeatures(features, labels, np.ones(len(samples), np.float32))
    accuracies = []
    for seed in SEEDS:
        options = HeadOptions.from_config(TrainConfig(seed=seed, l2=L2))
        found = cross_validate(data, images, FoldPlan(FOLDS, seed), options)
        if found is None:
            raise AssertionError("cross-validation without a deadline has a result")
        accuracies.append(float((found.logits.argmax(axis=1) == labels).mean()))
    return f"{statistics.mean(accuracies):.3f} ({', '.join(f'{value:.3f}' for value in accuracies)})"


if __name__ == "__main__":
    main()
