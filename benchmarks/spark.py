"""Features of many photos: the local engine, chunks on Spark, and photos that are rows of a table of Spark.

How: JPEGs of 320 x 240 pixels, EfficientNetLite0 at 224 pixels; each way in a session of processes of its own, whose
processor time and memory are sampled five times a second: the Python that works, and the JVM, apart. Chunks have 500
photos. Parts of the local engine and of Spark are compared byte for byte.

Depends on: other load, for the wall time; the JVM is warm only after some thousand photos. `BENCHMARK_PHOTOS=N` changes
the number of photos, which is 20,000 otherwise.
"""

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.photos import CLASSES, write_photos
from benchmarks.tables import markdown_table, verdict
from model.scale.java import require_spark
from tests.support.processes import program

PHOTOS = int(os.environ.get("BENCHMARK_PHOTOS", "20000"))
# Different photos; the others are copies of them under other names, which are decoded as often.
DRAWN = 200
GOAL = 0.9
SECONDS_BETWEEN_SAMPLES = 0.2

TABLE = """
import sys
from pyspark.sql import SparkSession
from model.backbones import find_backbone
from model.networks.converted_backbone import converted_backbone
from model.results import InputSpec
from model.scale.notebook import featurize_udf

photos, out, master = sys.argv[1:]
spark = SparkSession.builder.master(master).config("spark.ui.enabled", "false").getOrCreate()
extract = featurize_udf(converted_backbone(find_backbone("EfficientNetLite0"), 224), InputSpec.square(224))
table = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(photos)
table.select("path", "content").mapInArrow(extract, extract.schema).write.parquet(out)
"""


@dataclasses.dataclass
class Cost:
    """Cost of one way: wall time, processor seconds of Python and of the JVM, and the largest memory of a worker."""

    wall: float
    python: float
    jvm: float
    memory: float

    @property
    def processor(self) -> float:
        """Processor seconds of both."""
        return self.python + self.jvm


def main() -> None:
    """Print the table."""
    require_spark()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "photos")
        ways = _ways(folder)
        # The conversion of the backbone is not part of the measurement.
        warm = [program("topgraft"), "featurize", str(folder / "photos" / CLASSES[0]), str(folder / "warm")]
        subprocess.run(warm, check=True, stdout=subprocess.DEVNULL)
        costs = {way: measure(command) for way, command in ways.items()}
        parts = [sorted((folder / out).glob("part-*")) for out in ("local-1", "spark-1")]
        same = [path.read_bytes() for path in parts[0]] == [path.read_bytes() for path in parts[1]]
    rows = []
    base = costs["local engine, 1 worker"]
    for way, cost in costs.items():
        milliseconds = (1000 * seconds / PHOTOS for seconds in (cost.python, cost.jvm))
        rows.append([way, f"{cost.wall:.0f} s", *(f"{value:.1f} ms" for value in milliseconds)])
        rows[-1] += [f"{cost.memory / 1e6:.0f} MB", f"{base.processor / cost.processor:.2f}"]
    header = [
        f"{PHOTOS:,} photos",
        "wall",
        "Python, ms of processor a photo",
        "JVM, ms",
        "memory of a worker",
        "photos per processor second, local = 1",
    ]
    print(markdown_table(header, rows))
    fraction = base.processor / costs["Spark, 1 slot"].processor
    decided = fraction >= GOAL if PHOTOS >= 10_000 else None
    print()
    print(
        f"- {verdict(f'Spark at least {GOAL:.0%} of local for each processor second, from 10,000 photos on', decided)}"
    )
    print(f"- {verdict('local and Spark write the same bytes', same)}")


def _ways(folder: Path) -> dict[str, list[str]]:
    def featurize(out: str, *options: str) -> list[str]:
        return [
            str(program("topgraft")),
            "featurize",
            str(folder / "photos"),
            str(folder / out),
            "--chunk",
            "500",
            *options,
        ]

    ways = {}
    for slots in (1, 2):
        cores = ["taskset", "-c", ",".join(map(str, sorted(os.sched_getaffinity(0))[:slots]))]
        plural = "" if slots == 1 else "s"
        ways[f"local engine, {slots} worker{plural}"] = [*cores, *featurize(f"local-{slots}")]
        spark = ["--engine", "spark", "--master", f"local[{slots}]"]
        ways[f"Spark, {slots} slot{plural}"] = [*cores, *featurize(f"spark-{slots}", *spark)]
    out = str(folder / "table")
    ways["Spark, mapInArrow over binaryFile, 2 slots"] = [
        sys.executable,
        "-c",
        TABLE,
        str(folder / "photos"),
        out,
        "local[2]",
    ]
    return ways


def draw(folder: Path, photos: int = PHOTOS) -> None:
    """Draw photos, in a folder for each class."""
    drawn = max(1, min(photos, DRAWN) // len(CLASSES))
    write_photos(folder, range(drawn), 240, 320)
    originals = sorted(folder.rglob("*.jpg"))
    for number in range(len(originals), photos):
        original = originals[number % len(originals)]
        os.link(original, original.with_name(f"copy-{number:06d}.jpg"))


def measure(command: list[str]) -> Cost:
    """Run a command in a session of its own, and sample the processes of the session."""
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable}
    started = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, start_new_session=True
    )
    seconds: dict[int, tuple[bool, float]] = {}
    memory = [0]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SECONDS_BETWEEN_SAMPLES):
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error, ProcessLookupError):
                    if os.getsid(process.pid) == child.pid:
                        used = process.cpu_times()
                        seconds[process.pid] = (process.name() == "java", used.user + used.system)
                        if process.name() != "java" and process.pid != child.pid:
                            memory[0] = max(memory[0], process.memory_info().rss)

    sampler = threading.Thread(target=sample)
    sampler.start()
    _, errors = child.communicate()
    ended.set()
    sampler.join()
    if child.returncode:
        sys.exit(errors.decode()[-3000:])
    by_kind = {kind: sum(used for is_java, used in seconds.values() if is_java == kind) for kind in (True, False)}
    return Cost(time.perf_counter() - started, by_kind[False], by_kind[True], memory[0])


if __name__ == "__main__":
    main()
