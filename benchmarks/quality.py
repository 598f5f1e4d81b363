"""Accuracy of fine-tuning against a plain Keras recipe: 5 folds of two sets of real photos and of synthetic ones.

How: the folds are those of `benchmarks.real_data` with one seed; each method trains on four of them, in a process of
its own, and predicts the fifth. The recipe is that of the Keras guide "Transfer learning & fine-tuning": the same
backbone frozen, global average pooling, a dense softmax layer, Adam at 0.001 for 20 epochs; then all layers unfrozen,
batch normalisation in inference mode, Adam at 0.00001 for 10 more. The guide keeps batch normalisation in inference
mode by calling the network with `training=False`, which `fit` of Keras 3 overrides: its statistics are learned, and
the accuracy falls. Both forms are measured: as written, and with these layers frozen. The recipe trains on all photos
of the four folds and receives them decoded; Topgraft decodes them, uses some of them for validation, and extracts
features again in each fold. The conversion of the backbone, done once per machine, is not counted. Time is processor
time of all threads, on which other load has little influence. The differences are paired: the photos are resampled
1,000 times together with the predictions of both methods.

Depends on: the datasets folder beside the checkout; without it, only the synthetic photos are measured. It takes
one to two hours on two processors: `python -m benchmarks.quality --rows FILE` saves each fold, and
resumes where it was stopped.
"""

import argparse
import dataclasses
import functools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.real_data import (
    BACKBONE,
    DATASETS,
    FOLDS,
    LabelledPhotos,
    fit_and_answer,
    lego_crops,
    plankton_photos,
)
from benchmarks.tables import markdown_table, verdict
from model.backbones import find_backbone
from model.config import TrainConfig
from model.dataset.images import read_image
from model.evaluation.metrics import evaluate_predictions
from model.results import InputSpec
from model.synthesis.composition import write_demo_dataset
from tests.support.processes import in_fresh_process

OURS: dict[str, dict[str, Any]] = {
    "frozen head": {},
    "`fine_tune = top`": {"fine_tune": "top"},
    "`fine_tune = all`": {"fine_tune": "all"},
    "`fine_tune = auto`": {"fine_tune": "auto"},
}
RECIPE_FROZEN, RECIPE = "Keras recipe, frozen part", "Keras recipe, with fine-tuning"
RECIPE_AS_WRITTEN = "Keras recipe, with fine-tuning, statistics learned"
RECIPE_EPOCHS = {"frozen": 20, "unfrozen": 10}
RECIPE_LEARNING_RATES = {"frozen": 1e-3, "unfrozen": 1e-5}
RECIPE_BATCH_SIZE = 32
DEMO_IMAGES_PER_CLASS = 25
SEED = 0
RESAMPLES = 1000
GOAL_OF_FROZEN_TIME = 10


@dataclasses.dataclass(frozen=True)
class Fold:
    """Predictions of one method for one fold: true labels, predicted labels, processor time in seconds."""

    positions: list[int]
    answers: list[int]
    seconds: float


def main() -> None:
    """Print a table for each set of photos."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, help="file for measured folds; those already in it are used")
    rows = _Rows(parser.parse_args().rows)
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TOPGRAFT_CACHE"] = str(Path(directory) / "cache")
        for name, photos in _photos(Path(directory)).items():
            print(_table(name, photos, _measure(name, photos, rows)), end="\n\n")


def _photos(directory: Path) -> dict[str, LabelledPhotos]:
    sets = {}
    if DATASETS.is_dir():
        sets["phytoplankton-mini"] = plankton_photos(directory / "plankton")
        sets["lego-signs, crops"] = lego_crops(directory / "lego")
    sets["demo"] = demo_photos(directory / "demo", DEMO_IMAGES_PER_CLASS)
    return sets


def demo_photos(directory: Path, images_per_class: int) -> LabelledPhotos:
    """Create traffic signs like those of the demo in a new folder."""
    write_demo_dataset(directory, images_per_class)
    names = tuple(sorted(str(path.relative_to(directory / "images")) for path in directory.glob("images/*/*.jpg")))
    classes = tuple(sorted({name.split("/")[0] for name in names}))
    return LabelledPhotos(directory, names, classes, groups=names)


class _Rows:
    """Folds measured so far, saved to a file with a line for each; without a file, not saved."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        self._known = {tuple(row["key"]): row["folds"] for row in map(json.loads, lines)}

    def measured(self, key: tuple[str, str, int], measure: Callable[[], dict[str, Fold]]) -> dict[str, Fold]:
        """Return the saved fold with this key, or measure and save it."""
        if key not in self._known:
            self._known[key] = {name: dataclasses.asdict(fold) for name, fold in measure().items()}
            if self._path:
                with open(self._path, "a", encoding="utf-8") as stream:
                    stream.write(json.dumps({"key": key, "folds": self._known[key]}) + "\n")
        return {name: Fold(**values) for name, values in self._known[key].items()}


def _measure(name: str, photos: LabelledPhotos, rows: _Rows) -> dict[str, list[Fold]]:
    """Measure all folds of each method, in order."""
    measured: dict[str, list[Fold]] = {}
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    for number, (train, test) in enumerate(folds.split(photos.names, photos.labels, photos.groups)):
        for method, options in OURS.items():
            config = TrainConfig(backbone=BACKBONE, **options)
            found = rows.measured(
                (name, method, number),
                functools.partial(_fold_of_ours, method, photos, train, test, config),
            )
            measured.setdefault(method, []).append(found[method])
        for method in (RECIPE, RECIPE_AS_WRITTEN):
            found = rows.measured(
                (name, method, number),
                functools.partial(in_fresh_process, train_by_recipe, photos, train, test, method),
            )
            for part, fold in found.items():
                measured.setdefault(part, []).append(fold)
    return measured


def _fold_of_ours(
    method: str, photos: LabelledPhotos, train: np.ndarray, test: np.ndarray, config: TrainConfig
) -> dict[str, Fold]:
    return {method: in_fresh_process(train_ours, photos, train, test, config)}


def train_ours(photos: LabelledPhotos, train: np.ndarray, test: np.ndarray, config: TrainConfig) -> Fold:
    """Train with the options of `config`; features are extracted again."""
    from model.networks.converted_backbone import converted_backbone
    from model.networks.tensorflow_import import import_tensorflow

    import_tensorflow()
    backbone = find_backbone(config.backbone)
    converted_backbone(backbone, backbone.image_size)
    shutil.rmtree(Path(os.environ["TOPGRAFT_CACHE"]) / "features", ignore_errors=True)
    started = time.process_time()
    answers = fit_and_answer(photos, train, test, config)
    return Fold(test.tolist(), answers.tolist(), time.process_time() - started)


def train_by_recipe(photos: LabelledPhotos, train: np.ndarray, test: np.ndarray, form: str) -> dict[str, Fold]:
    """Predictions at the end of a form of the recipe; of that with frozen statistics, also after its frozen part."""
    import keras

    from model.networks.network import freeze_batch_normalization
    from model.networks.pretrained import build_backbone

    backbone = find_backbone(BACKBONE)
    network = build_backbone(backbone, backbone.image_size, "imagenet")
    network.trainable = False
    inputs = keras.Input(network.input.shape[1:], dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(network(inputs, training=False))
    classifier = keras.Model(inputs, keras.layers.Dense(len(photos.classes), activation="softmax")(pooled))
    keras.utils.set_random_seed(SEED)
    learn, test_images = (_decoded(photos, positions, backbone.image_size) for positions in (train, test))
    found = {}
    started = time.process_time()
    for part, method in (("frozen", RECIPE_FROZEN), ("unfrozen", form)):
        network.trainable = part == "unfrozen"
        if form == RECIPE:
            freeze_batch_normalization(network)
        optimizer = keras.optimizers.Adam(RECIPE_LEARNING_RATES[part])
        classifier.compile(optimizer, "sparse_categorical_crossentropy")
        epochs = RECIPE_EPOCHS[part]
        classifier.fit(learn, photos.labels[train], RECIPE_BATCH_SIZE, epochs=epochs, verbose=0)
        seconds = time.process_time() - started
        answers = classifier.predict(test_images, verbose=0).argmax(axis=1)
        found[method] = Fold(test.tolist(), answers.tolist(), seconds)
    return found if form == RECIPE else {form: found[form]}


def _decoded(photos: LabelledPhotos, positions: np.ndarray, image_size: int) -> np.ndarray:
    paths = (photos.directory / "images" / photos.names[position] for position in positions)
    return np.stack([read_image(path, InputSpec.square(image_size)) for path in paths])


def _table(name: str, photos: LabelledPhotos, measured: dict[str, list[Fold]]) -> str:
    answers = {method: _answers(photos, folds) for method, folds in measured.items()}
    seconds = {method: sum(fold.seconds for fold in folds) for method, folds in measured.items()}
    rows = [
        [
            method,
            *_with_intervals(photos, answers[method]),
            f"{seconds[method] / 60:.1f}",
            _against_recipe(photos.labels, answers[method], answers[RECIPE]) if method in OURS else "",
            _goal_of_time(seconds[method], seconds[RECIPE_FROZEN]) if method == next(iter(OURS)) else "",
        ]
        for method in (*OURS, RECIPE_FROZEN, RECIPE, RECIPE_AS_WRITTEN)
    ]
    header = [
        f"{name}: {len(photos.names)} photos, {len(photos.classes)} classes",
        "accuracy (95 % interval)",
        "macro-F1 (95 % interval)",
        "processor minutes",
        "gain in accuracy and macro-F1 over the full recipe, percentage points (95 % interval)",
        "time relative to the recipe's frozen part",
    ]
    return markdown_table(header, rows)


def _answers(photos: LabelledPhotos, folds: Sequence[Fold]) -> np.ndarray:
    """Out-of-fold predictions: int (n,)."""
    answers = np.full(len(photos.names), -1)
    for fold in folds:
        answers[fold.positions] = fold.answers
    return answers


def _with_intervals(photos: LabelledPhotos, answers: np.ndarray) -> list[str]:
    certain = np.eye(len(photos.classes))[answers]
    metrics = evaluate_predictions(certain, photos.labels, photos.classes)
    return [
        f"{metrics[metric]:.3f} ({metrics[f'{metric}_interval'][0]:.3f} to {metrics[f'{metric}_interval'][1]:.3f})"
        for metric in ("accuracy", "macro_f1")
    ]


def _against_recipe(labels: np.ndarray, ours: np.ndarray, recipe: np.ndarray) -> str:
    """Differences of accuracy and macro-F1 in percentage points; the goal is missed if either is significantly below
    0."""
    draws = np.random.default_rng(SEED).integers(0, len(labels), (RESAMPLES, len(labels)))
    gained = (ours == labels).astype(float) - (recipe == labels)
    f1_gained = _macro_f1(labels, ours) - _macro_f1(labels, recipe)
    f1_draws = [_macro_f1(labels[draw], ours[draw]) - _macro_f1(labels[draw], recipe[draw]) for draw in draws]
    texts, highest = [], []
    for value, drawn in ((gained.mean(), gained[draws].mean(axis=1)), (f1_gained, np.array(f1_draws))):
        low, high = np.percentile(100 * drawn, (2.5, 97.5))
        texts.append(f"{100 * value:+.1f} ({low:+.1f} to {high:+.1f})")
        highest.append(high)
    return f"{', '.join(texts)}; {verdict('ahead or equal within noise', min(highest) >= 0)}"


def _macro_f1(labels: np.ndarray, answers: np.ndarray) -> float:
    return float(f1_score(labels, answers, average="macro"))


def _goal_of_time(ours: float, recipe: float) -> str:
    return f"1/{recipe / ours:.1f}; {verdict('a tenth', recipe >= GOAL_OF_FROZEN_TIME * ours)}"


if __name__ == "__main__":
    main()
