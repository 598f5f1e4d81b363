"""False-alarm rate and detection rate of drift, and the cost of monitoring.

How: EfficientNet-Lite0 on photos of the eight signs of the demo dataset; 30 of each class are the reference. From the
others, each repetition draws at random 100 held-out photos, and 50 or 100 photos to check, unchanged or changed; a
check reports `drift` if p < 0.01 after Holm's correction. The costs are those of the code in a worker: counting a
request with one photo, which delays the response; writing to the disk, by a thread every three seconds if there are
new counts; and a check, by a process of its own every ten minutes.

Depends on: nothing; ../shared/datasets beside the checkout adds a row. `--quick` runs a tenth of the repetitions.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from api.usage import CountedRequest
from benchmarks.photos import CLASSES, write_photos
from benchmarks.real_data import DATASETS, PLANKTON
from benchmarks.tables import markdown_table
from model.backbones import find_backbone
from model.bundle import FEATURE_SCALE, Bundle, FileRecord, Manifest
from model.dataset.images import read_image
from model.evaluation.unknown import describe_held_out
from model.features.extractor import Extract, FeatureExtractor
from model.networks.converted_backbone import converted_backbone
from model.results import InputSpec, Prediction
from model.serving.reference_features import ReferenceFeatures, build_reference_features
from model.usage.drift import Drift, judge_drift
from model.usage.record import Record
from model.usage.recorder import Recorder
from model.usage.store import UsageStore, model_version
from model.workspace import Workspace

BACKBONE = find_backbone("EfficientNetLite0")
PHOTOS_PER_CLASS = 90
REFERENCE_PER_CLASS = 30
HELD_OUT = 100
CHECKED = (50, 100)
CHECKS = 500
NOISE_IMAGES = 100
NUMBERS = 13
REQUESTS = 2000
WRITES = 20
_BATCH = 8

Change = Callable[[Image.Image], Image.Image]
CHANGES: dict[str, Change] = {
    "half as bright": lambda photo: photo.point(lambda value: value // 2),
    "four fifths as bright": lambda photo: photo.point(lambda value: value * 4 // 5),
    "blurred by 1 pixel of 224": lambda photo: photo.filter(ImageFilter.GaussianBlur(1)),
    "without colour": lambda photo: photo.convert("L").convert("RGB"),
}


def main(arguments: list[str]) -> None:
    """Print the tables."""
    part = 10 if "--quick" in arguments else 1
    with tempfile.TemporaryDirectory() as directory:
        sets = _photo_sets(Path(directory))
    header = [
        "photos sent to the service",
        *(f"{count} photos: checks that report drift" for count in CHECKED),
        "median effect",
    ]
    print(markdown_table(header, [_row(title, *item, CHECKS // part) for title, item in sets.items()]))
    print()
    print(markdown_table(["cost of monitoring", ""], _costs(REQUESTS // part, WRITES // part)))


def _photo_sets(directory: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Map titles to the rows of the known photos, from which some are held out, and the rows of the photos to check."""
    extract = FeatureExtractor(converted_backbone(BACKBONE, BACKBONE.image_size), InputSpec.square(BACKBONE.image_size))
    write_photos(directory, range(PHOTOS_PER_CLASS))
    by_class = [[_read(path) for path in sorted((directory / name).glob("*.jpg"))] for name in CLASSES]
    reference = _reference(extract, [photos[:REFERENCE_PER_CLASS] for photos in by_class])
    others = [photos[REFERENCE_PER_CLASS:] for photos in by_class]
    all_others = [photo for photos in others for photo in photos]

    def rows(photos: list[Image.Image]) -> np.ndarray:
        return np.round(FEATURE_SCALE * describe_held_out(reference, _features(extract, photos))).astype(int)

    known = rows(all_others)
    found = {"unchanged": (known, known)}
    found |= {title: (known, rows([change(photo) for photo in all_others])) for title, change in CHANGES.items()}
    of_half = [photo for photos in others[: len(others) // 2] for photo in photos]
    found["four of the eight classes only"] = known, rows(of_half)
    found["one class only"] = known, rows(others[0])
    if DATASETS.is_dir():
        plankton = [path for path in sorted(PLANKTON.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
        found["phytoplankton"] = known, rows([_read(path) for path in plankton])
    found["noise"] = known, rows(list(_noise()))
    return found


def _reference(extract: Extract, by_class: list[list[Image.Image]]) -> ReferenceFeatures:
    labels = np.repeat(np.arange(len(by_class)), REFERENCE_PER_CLASS)
    features = _features(extract, [photo for photos in by_class for photo in photos])
    return build_reference_features(features, labels, [str(number) for number in range(len(labels))])


def _read(path: Path) -> Image.Image:
    return Image.fromarray(read_image(path, InputSpec.square(BACKBONE.image_size)))


def _noise() -> Iterator[Image.Image]:
    rng = np.random.default_rng(0)
    for _ in range(NOISE_IMAGES):
        yield Image.fromarray(rng.integers(0, 256, (BACKBONE.image_size, BACKBONE.image_size, 3), np.uint8))


def _features(extract: Extract, photos: list[Image.Image]) -> np.ndarray:
    batches = (
        np.stack([np.asarray(photo) for photo in photos[start : start + _BATCH]])
        for start in range(0, len(photos), _BATCH)
    )
    return np.concatenate([extract(batch) for batch in batches])


def _row(title: str, known: np.ndarray, checked: np.ndarray, repeats: int) -> list[str]:
    same = known is checked
    enough = [count for count in CHECKED if count <= len(checked)]
    seen = {count: [_check(known, checked, count, same, seed) for seed in range(repeats)] for count in enough}
    fractions = {count: sum(drift.verdict == "drift" for drift in drifts) / repeats for count, drifts in seen.items()}
    effect = statistics.median(drift.effect or 0.0 for drift in seen[enough[-1]])
    return [
        title,
        *(f"{100 * fractions[count]:.1f} %" if count in fractions else "" for count in CHECKED),
        f"{effect:.2f}",
    ]


def _check(known: np.ndarray, checked: np.ndarray, count: int, same: bool, seed: int) -> Drift:
    """Check drift of randomly drawn photos; if both arrays are the same set, no photo is drawn twice."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(known))
    rest = order[HELD_OUT:] if same else rng.permutation(len(checked))
    return judge_drift(known[order[:HELD_OUT]], list(map(tuple, checked[rest[:count]].tolist())))


def _costs(requests: int, writes: int) -> list[list[str]]:
    rng = np.random.default_rng(0)
    predictions = [_prediction(row) for row in rng.normal(0.3, 0.2, (max(requests, 1000), NUMBERS)).tolist()]
    bundle = Bundle(Path("pets"), _manifest())
    version = model_version("pets", bundle.manifest)
    with tempfile.TemporaryDirectory() as directory:
        workspace = Workspace(Path(directory))
        recorder = Recorder(workspace, seconds_between_writes=3600, check=lambda model: None)
        seconds = []
        for prediction in predictions[:requests]:
            start = time.perf_counter()
            request = CountedRequest()
            list(request.counted([prediction], bundle, is_zip=False))
            request.record.add_answer("json", 0.01, is_zip=False)
            recorder.add(request.version, request.record)
            seconds.append(time.perf_counter() - start)
        full = Record()
        for prediction in predictions:
            full.add_prediction(prediction)
        written = [_timed(lambda: UsageStore(workspace).add(version, "2026-01-01", full)) for _ in range(writes)]
        size = (UsageStore(workspace).folder(version) / "2026-01-01.json").stat().st_size
    held_out = np.round(FEATURE_SCALE * rng.normal(0.3, 0.2, (2000, NUMBERS))).astype(int)
    checked = [_timed(lambda: judge_drift(held_out, full.sample.rows)) for _ in range(writes)]
    return [
        ["counting a request with one photo, part of its latency", f"{1e6 * statistics.median(seconds):.0f} µs"],
        ["the same, 99th percentile", f"{1e6 * np.quantile(seconds, 0.99):.0f} µs"],
        ["updating the file of the day, with 500 sampled photos", f"{1e3 * statistics.median(written):.0f} ms"],
        ["size of that file", f"{size / 1000:.0f} kB"],
        [
            "a check of 500 photos against 2,000 held-out ones, with the start of its process",
            f"{1e3 * statistics.median(checked):.0f} ms",
        ],
    ]


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _prediction(row: list[float]) -> Prediction:
    return Prediction("a", ("cat", "dog"), (0.9, 0.1), distance=row[0], components=tuple(row[1:]))


def _manifest() -> Manifest:
    files = {f"file-{number}": FileRecord("0" * 64, number) for number in range(20)}
    names = ("versions", "train_config", "dataset", "metrics", "thresholds", "parity")
    empty: dict[str, Any] = {name: {} for name in names}
    return Manifest(
        name="pets",
        created="2026-01-01T00:00:00Z",
        classes=("cat", "dog"),
        backbone=BACKBONE.name,
        image_size=BACKBONE.image_size,
        resize="squash",
        scaling=BACKBONE.scaling,
        temperature=1.0,
        engine="onnx",
        files=files,
        **empty,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
