"""What `topgraft compare` promises: no winner among equal models, intervals that contain the truth, and its cost.

How: simulated pairs of models with a given probability that exactly one of them predicts a photo correctly. Of 1,000
pairs of equal models, those are counted that the comparison calls better; of 1,000 pairs with a difference, those whose
95 % interval contains it. Macro metrics are compared where one of two classes is rare.
The cost is that of comparing two models with EfficientNet-Lite0, of which one is a copy with another head or with other
weights of the backbone, on photos of the demo dataset, and of evaluating one of them, in turn in the same process. All
of them check the dataset first.

Depends on: nothing. `--quick` runs a tenth of the pairs and of the photos.
"""

import dataclasses
import functools
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.photos import write_photos
from benchmarks.tables import markdown_table, median_and_range, times, verdict
from model.bundle import Bundle, open_bundle, write_manifest
from model.bundle_files import ONNX_MODEL
from model.config import TrainConfig
from model.evaluation.comparison import compare_models
from model.evaluation.comparison.result import METRIC_NAMES, verdict_of
from model.evaluation.comparison.statistics import PairedDifference, paired_difference
from model.evaluation.dataset_evaluation import evaluate_on_dataset
from model.measurements import COMPARED_METRICS
from model.registry import find_bundle
from model.runs.trainer import train
from model.workspace import Workspace

PHOTOS = 100
PAIRS = 1000
EQUAL = (0.04, 0.1, 0.2, 0.3)
RARE, RARE_EQUAL = 10, 0.2
DIFFERENT = ((0.1, 0.1), (0.13, 0.08), (0.2, 0.1), (0.3, 0.15))
PHOTOS_PER_CLASS = 125
ROUNDS = 3
MAX_RATIO = 1.3
GOAL = f"less than {MAX_RATIO} times one evaluation"


def main(arguments: list[str]) -> None:
    """Print the tables."""
    part = 10 if "--quick" in arguments else 1
    pairs = PAIRS // part
    header = [f"equal models, {PHOTOS} photos", f"called better, of {pairs} pairs", "goal"]
    rows = [_equal(fraction, pairs) for fraction in EQUAL]
    rows += [_equal(RARE_EQUAL, pairs, metric, RARE) for metric in COMPARED_METRICS if metric != "accuracy"]
    print(markdown_table(header, rows))
    print()
    header = [f"models that differ, {PHOTOS} photos", f"interval contains it, of {pairs} pairs", "goal"]
    print(markdown_table(header, [_different(fractions, pairs) for fractions in DIFFERENT]))
    print()
    print(markdown_table(*_costs(PHOTOS_PER_CLASS // part)))


def _equal(fraction: float, pairs: int, metric: str = "accuracy", rare: int = 0) -> list[str]:
    found = [_simulated(fraction / 2, fraction / 2, seed, metric, rare) for seed in range(pairs)]
    better = sum(verdict_of(one, one.p_value) == "better" for one in found) / pairs
    name = f"{100 * fraction:.0f} % of the photos predicted correctly by exactly one"
    if rare:
        name += f", {rare} photos of a rare class: {METRIC_NAMES[metric]}"
    return [name, f"{100 * better:.1f} %", verdict("at most 5 %", better <= 0.05)]


def _different(fractions: tuple[float, float], pairs: int) -> list[str]:
    fixed, broken = fractions
    found = [_simulated(fixed, broken, seed).interval for seed in range(pairs)]
    inside = sum(low - 1e-9 <= fixed - broken <= high + 1e-9 for low, high in found) / pairs
    name = f"{100 * (fixed - broken):.0f} points: {100 * fixed:.0f} % fixed, {100 * broken:.0f} % broken"
    return [name, f"{100 * inside:.1f} %", verdict("93 to 97 %", 0.93 <= inside <= 0.97)]


def _simulated(fixed: float, broken: float, seed: int, metric: str = "accuracy", rare: int = 0) -> PairedDifference:
    """Difference between two models on photos drawn with these probabilities, `rare` of them of a second class."""
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(PHOTOS, [fixed, broken, 1 - fixed - broken])
    labels = generator.permutation(np.arange(PHOTOS) < rare).astype(int)
    base, new = (np.where(np.repeat(wrong, counts), 1 - labels, labels) for wrong in ([1, 0, 0], [0, 1, 0]))
    return paired_difference(labels, base, new, 2, metric, seed=seed)


def _costs(photos_per_class: int) -> tuple[list[str], list[list[str]]]:
    with tempfile.TemporaryDirectory() as directory:
        workspace = Workspace(Path(directory))
        workspace.models.mkdir()
        write_photos(workspace.data / "learned", range(20))
        write_photos(workspace.data / "photos", range(1000, 1000 + photos_per_class))
        train(TrainConfig(dataset="learned", name="base", epochs=10, augmentation="none"), workspace)
        base = find_bundle(workspace, "base")
        others = [_copy(base, name, constants) for name, constants in (("head", "head_kernel"), ("tuned", ""))]
        evaluated: list[float] = []
        compared: list[list[float]] = [[] for _ in others]
        for _ in range(ROUNDS):
            evaluated.append(_seconds(lambda: evaluate_on_dataset(base, "photos", workspace)))
            for other, taken in zip(others, compared, strict=True):
                work = functools.partial(compare_models, base, [other], "photos", workspace, output=Path(directory))
                taken.append(_seconds(work))
        photos = len(list((workspace.data / "photos").rglob("*.jpg")))
    ratios = [statistics.median(taken) / statistics.median(evaluated) for taken in compared]
    header = [f"{photos:,} photos, EfficientNet-Lite0", "time, of 3 runs", "ratio of the medians", "goal"]
    return header, [
        ["evaluate one model", median_and_range(evaluated, 1), "", ""],
        [
            "compare two models with the same frozen backbone, with the page",
            median_and_range(compared[0], 1),
            times(ratios[0], 2),
            verdict(GOAL, ratios[0] < MAX_RATIO),
        ],
        [
            "compare it with a fine-tuned model, with the page",
            median_and_range(compared[1], 1),
            times(ratios[1], 2),
            verdict(GOAL, ratios[1] < MAX_RATIO),
        ],
    ]


def _copy(base: Bundle, name: str, constants: str) -> Bundle:
    """A copy of a model with other weights in the constants of this name, or in all constants of its backbone."""
    copy = base.directory.parent / name
    shutil.copytree(base.directory, copy)
    network = onnx.load(copy / ONNX_MODEL)
    for tensor in network.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        is_backbone = weights.ndim == 4 and not constants
        if tensor.name == constants or is_backbone:
            tensor.CopyFrom(numpy_helper.from_array(weights * np.float32(1.01), tensor.name))
    onnx.save(network, copy / ONNX_MODEL)
    write_manifest(copy, dataclasses.replace(open_bundle(copy).manifest, name=name))
    return open_bundle(copy)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1:])
