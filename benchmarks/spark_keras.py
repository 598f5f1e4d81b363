"""Chunks on Spark, and Keras in a pandas UDF as notebooks of Spark write it: `benchmarks/keras_udf.py`.

How: JPEGs of 320 x 240 pixels, EfficientNetLite0 at 224 pixels in both ways, `local[2]`; processor time and memory are
sampled as by `benchmarks.spark`. There are 24 small tasks, as in a project of fruit photos that is often copied, or a
large one for each slot. Processor time is that of Python and of the JVM, with their starts. Features are compared by
their cosine, because both ways resize by other filters.

Depends on: the number of photos, because each way starts a JVM, and each worker of Keras imports TensorFlow.
`BENCHMARK_PHOTOS=N` changes it, which is 4,000 otherwise.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet

from benchmarks.photos import CLASSES
from benchmarks.spark import draw, measure
from benchmarks.tables import markdown_table, times, verdict
from model.scale.java import require_spark
from tests.support.processes import program

PHOTOS = int(os.environ.get("BENCHMARK_PHOTOS", "4000"))
SMALL, LARGE = 24, 2
# Photos for each second of a processor, and memory of a worker, as multiples of those of Keras.
FASTER = {SMALL: 2.0, LARGE: 1.4}
LIGHTER = 5.0
MIN_COSINE = 0.95


def main() -> None:
    """Print the table."""
    require_spark()
    rows, goals = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "photos", PHOTOS)
        # The conversion of the backbone is not part of the measurement.
        warm = [program("topgraft"), "featurize", str(folder / "photos" / CLASSES[0]), str(folder / "warm")]
        subprocess.run(warm, check=True, stdout=subprocess.DEVNULL)
        for tasks in (SMALL, LARGE):
            ours, keras = (measure(command) for command in _ways(folder, tasks))
            for way, cost in (("chunks", ours), ("Keras in a pandas UDF", keras)):
                milliseconds = (f"{1000 * seconds / PHOTOS:.1f} ms" for seconds in (cost.python, cost.jvm))
                rows.append(
                    [f"{way}, {tasks} tasks", f"{cost.wall:.0f} s", *milliseconds, f"{cost.memory / 1e6:.0f} MB"]
                )
            faster, lighter = keras.processor / ours.processor, keras.memory / ours.memory
            goal = f"{tasks} tasks: {times(faster)} the photos for each second of a processor, goal {FASTER[tasks]:g}x"
            goals.append(verdict(goal, faster >= FASTER[tasks]))
            if tasks == SMALL:
                goals.append(verdict(f"memory of a worker: {times(1 / lighter, 2)}, goal a fifth", lighter >= LIGHTER))
        cosine = _cosine(folder)
        goals.append(verdict(f"cosine of the features of both ways, median: {cosine:.3f}", cosine >= MIN_COSINE))
    header = [f"{PHOTOS:,} photos", "wall", "Python, ms of processor a photo", "JVM, ms", "memory of a worker"]
    print(markdown_table(header, rows))
    print()
    print("\n".join(f"- {goal}" for goal in goals))


def _ways(folder: Path, tasks: int) -> tuple[list[str], list[str]]:
    photos, master = str(folder / "photos"), "local[2]"
    chunk = str(-(-PHOTOS // tasks))
    ours = [program("topgraft"), "featurize", photos, str(folder / f"chunks-{tasks}"), "--chunk", chunk]
    keras = [sys.executable, "-m", "benchmarks.keras_udf", photos, str(folder / f"keras-{tasks}")]
    return (
        [*ours, "--engine", "spark", "--master", master],
        [*keras, "--master", master, "--partitions", str(tasks)],
    )


def _cosine(folder: Path) -> float:
    """Median over the photos of the cosine between the features of both ways; 0 if a photo is missing."""
    ours, keras = (_features(folder / f"{way}-{LARGE}") for way in ("chunks", "keras"))
    if ours.keys() != keras.keys() or len(ours) != PHOTOS:
        return 0.0
    pairs = [(features, keras[name]) for name, features in ours.items()]
    return float(np.median([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]))


def _features(out: Path) -> dict[str, np.ndarray]:
    """Features of the photos by the ends of their paths: class and file."""
    found = {}
    for part in sorted(out.glob("part-*.parquet")):
        table = pyarrow.parquet.read_table(part, columns=["path", "features"])
        for path, features in zip(table["path"].to_pylist(), table["features"].to_pylist(), strict=True):
            found["/".join(path.split("/")[-2:])] = np.array(features, np.float32)
    return found


if __name__ == "__main__":
    main()
