"""The commands of docs/spark.md on a standalone cluster of two workers: featurize with principal components, train on
the features, and predict, with each supported version of Spark.

How: JPEGs of 320 x 240 pixels in class folders, EfficientNetLite0 at 224 pixels. Each version of pyspark is installed
in a folder of its own; a master and two workers of one processor each run on loopback. Each command is a process; its
wall time includes the start of Spark. The parts of both versions are compared byte for byte.

Depends on: Java, a package registry, and other load. `BENCHMARK_PHOTOS=N` changes the number of photos, which is 20,000
otherwise.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet

from benchmarks.spark import PHOTOS, draw
from benchmarks.tables import markdown_table, verdict
from tests.support.command import ROOT
from tests.support.processes import program
from tests.support.spark_cluster import Spark, spark_cluster

VERSIONS = ("3.5.6", "4.0.2")
COMPONENTS = 50


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "photos")
        (folder / "models").mkdir()
        seconds = {version: _measure(folder, version) for version in VERSIONS}
        parts = [[path.read_bytes() for path in sorted(_features(folder, one).glob("part-*"))] for one in VERSIONS]
        predicted = [_rows(_predictions(folder, version)) for version in VERSIONS]
    steps = dict.fromkeys(step for steps_of_one in seconds.values() for step in steps_of_one)
    rows = [[step, *(f"{seconds[version][step]:.0f} s" for version in VERSIONS)] for step in steps]
    print(markdown_table([f"{PHOTOS:,} photos, 2 processors", *(f"Spark {version}" for version in VERSIONS)], rows))
    print(f"\n- both versions write the same features: {verdict('the same bytes', parts[0] == parts[1])}")
    print(f"- photos that have a prediction: {verdict(f'{PHOTOS:,} in each', predicted == [PHOTOS] * len(VERSIONS))}")


def _measure(folder: Path, version: str) -> dict[str, float]:
    """Seconds of each command."""
    packages = folder / f"pyspark-{version}"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages), f"pyspark=={version}"]
    subprocess.run(install, check=True)
    installed = Spark(Path(sys.executable).parent, "", (packages, ROOT))
    model, features, photos = f"model-{version}", _features(folder, version), folder / "photos"
    (folder / f"cluster-{version}").mkdir()
    with spark_cluster(installed, folder / f"cluster-{version}") as spark:
        engine = ("--engine", "spark", "--master", spark.master)
        commands: Mapping[str, tuple[object, ...]] = {
            f"featurize, {COMPONENTS} components": ("featurize", photos, features, *engine, "--pca", COMPONENTS),
            "train on the features": ("train", "--features", features, "--name", model),
            "predict": ("predict", model, photos, *engine, "--output", _predictions(folder, version)),
        }
        return {step: _seconds(folder, spark, command) for step, command in commands.items()}


def _seconds(folder: Path, spark: Spark, command: tuple[object, ...]) -> float:
    started = time.monotonic()
    arguments = [program("topgraft"), *map(str, command), "--workspace", str(folder)]
    subprocess.run(arguments, check=True, env=spark.variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


def _features(folder: Path, version: str) -> Path:
    return folder / f"features-{version}"


def _predictions(folder: Path, version: str) -> Path:
    return folder / f"predictions-{version}"


def _rows(folder: Path) -> int:
    return sum(pyarrow.parquet.read_metadata(path).num_rows for path in folder.glob("part-*.parquet"))


if __name__ == "__main__":
    main()
