"""Processor time and memory of complete trainings, beside the bound of any training and a Keras loop.

How: `topgraft train` with default options, each in a process of its own and with an empty feature cache; the backbone
is in the cache. Small: 16 photos in 4 classes. Large: 1,000 photos in 8 classes, all of 500 x 400. The bound of the
large training is a program that decodes its photos and runs the network on each, one photo in each thread; it and the
commands take turns. The Keras loop is that of the benchmark `training`, ten epochs. No training can do with less than
the bound, so that the ratio of the loop to it is the largest that any training can reach. The second table divides one
more training of either size into phases.

Depends on: the processors. Processor times rise when other programs run, on both sides of a ratio.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.photos import CLASSES
from benchmarks.tables import markdown_table, median_and_range, times, verdict
from benchmarks.training import (
    BACKBONE,
    EPOCHS,
    IMAGE_SIZE,
    PHOTOS_PER_CLASS,
    train_with_keras,
    write_sixteen_photos,
    write_thousand_photos,
)
from model.backbones import find_backbone
from model.resources import blas_threads
from model.results import InputSpec, Sample, no_progress
from tests.support.processes import Cost, in_fresh_process, program, run_measured

REPEATS = 3
_BEFORE = {"prepare": "check", "export": "refit, learning curve, distances", "report": "export"}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without-keras", action="store_true", help="leave out the Keras loop, the longest part")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        os.environ["TOPGRAFT_CACHE"] = str(root / "cache")
        (root / "models").mkdir()
        write_sixteen_photos(root / "data" / "small", 1000)
        write_thousand_photos(root)
        ways: dict[str, Callable[[], Cost]] = {
            "small": lambda: run_command(root, "small"),
            "large": lambda: run_command(root, "signs"),
            "bound": lambda: in_fresh_process(decode_and_run, root / "data" / "signs"),
        }
        ways["small"]()
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for turn in range(REPEATS):
            for name in list(ways)[:: (-1) ** turn]:
                costs[name].append(ways[name]())
        keras = None if given.without_keras else in_fresh_process(train_with_keras, root)
        print(_cost_table(costs, None if keras is None else keras.processor))
        print()
        print(_phase_table(*(_phases(root, dataset) for dataset in ("small", "signs"))))


def run_command(root: Path, dataset: str) -> Cost:
    """Train by the command, without features in the cache."""
    shutil.rmtree(root / "cache" / "features", ignore_errors=True)
    command = [program("topgraft"), "train", "--dataset", dataset, "--workspace", str(root), "--json"]
    return run_measured(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _phases(root: Path, dataset: str) -> dict[str, float]:
    shutil.rmtree(root / "cache" / "features", ignore_errors=True)
    os.environ.update(blas_threads())
    return in_fresh_process(train_in_phases, root, dataset)


def train_in_phases(root: Path, dataset: str) -> dict[str, float]:
    """Processor time of each phase of a training in this process, in seconds."""
    from model.config import TrainConfig
    from model.runs.trainer import train
    from model.workspace import Workspace

    used = {"imports": time.process_time()}

    def progress(phase: str, done: int, total: int, /, **metrics: float) -> None:
        # What these phases report first is the end of the work before.
        ended = _BEFORE.get(phase, phase)
        used[ended] = used.get(ended, 0.0) + time.process_time() - sum(used.values())

    train(TrainConfig(dataset=dataset), Workspace(root), progress)
    used["report"] = time.process_time() - sum(used.values())
    return used


def decode_and_run(dataset: Path) -> Cost:
    """Decode each photo and run the network on it: what a training cannot do without."""
    from model.features.extractor import FeatureExtractor, extract_features
    from model.networks.converted_backbone import converted_backbone
    from tests.support.processes import peak_megabytes

    spec = InputSpec.square(IMAGE_SIZE)
    extract = FeatureExtractor(converted_backbone(find_backbone(BACKBONE), IMAGE_SIZE), spec)
    samples = [Sample(path, path.name, 0) for path in sorted(dataset.rglob("*.jpg"))]
    extract_features(extract, samples[:8], spec, no_progress)
    started, processor = time.perf_counter(), time.process_time()
    extract_features(extract, samples, spec, no_progress)
    return Cost(time.perf_counter() - started, time.process_time() - processor, peak_megabytes())


def _cost_table(costs: dict[str, list[Cost]], keras: float | None) -> str:
    small, large, bound = (costs[name] for name in ("small", "large", "bound"))
    processor, memory = _middle(small, "processor"), _middle(small, "memory")
    ratio = statistics.median(one.processor / other.processor for one, other in zip(large, bound, strict=True))
    photos = len(CLASSES) * (PHOTOS_PER_CLASS["train"] + PHOTOS_PER_CLASS["val"])
    rows = [
        [
            "16 photos: processor time", _range(small, "processor"), "",
            verdict("2.5 s on a quiet machine", processor <= 2.5),
        ],
        ["16 photos: wall time", _range(small, "seconds"), "", verdict("3 s", _middle(small, "seconds") < 3)],
        ["16 photos: peak memory", f"{memory:.0f} MB", "", verdict("400 MB", memory <= 400)],
        [f"{photos:,} photos: decoding and network only, processor time", _range(bound, "processor"), "", ""],
        [
            f"{photos:,} photos: processor time", _range(large, "processor"), f"{times(ratio, 2)} of this bound",
            verdict("1.25x", ratio <= 1.25),
        ],
        [f"{photos:,} photos: wall time", _range(large, "seconds"), "", ""],
        [f"{photos:,} photos: peak memory", f"{_middle(large, 'memory'):.0f} MB", "", ""],
    ]  # fmt: skip
    if keras is not None:
        less = keras / _middle(large, "processor")
        name = f"Keras loop of {EPOCHS} epochs: processor time"
        rows.append([name, f"{keras:.0f} s", f"{times(less)} that of topgraft", verdict("30x", less >= 30)])
        largest = keras / _middle(bound, "processor")
        rows.append([f"{name}, beside the bound", "", f"{times(largest)}: no training can reach more", ""])
    return markdown_table(["`topgraft train`, default options", "measured", "ratio", "goal"], rows)


def _phase_table(small: dict[str, float], large: dict[str, float]) -> str:
    rows = [
        [phase.replace("_", "-"), *(f"{used.get(phase, 0):.2f} s" for used in (small, large))]
        for phase in dict.fromkeys([*large, *small])
    ]
    return markdown_table(["processor time by phase", "16 photos", "1,000 photos"], rows)


def _middle(costs: Sequence[Cost], part: str) -> float:
    return statistics.median(getattr(cost, part) for cost in costs)


def _range(costs: Sequence[Cost], part: str) -> str:
    return median_and_range([getattr(cost, part) for cost in costs], 1)


if __name__ == "__main__":
    main()
