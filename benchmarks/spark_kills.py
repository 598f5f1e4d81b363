"""Executors and drivers of Spark that are killed at random moments: each photo has one row, and no byte differs.

How: a standalone cluster of a master and two workers on this machine, 180 photos in chunks of three, a network that is
computed in no time. First the driver is killed, and the same command started again; then executors are killed with
SIGKILL while the command runs, with speculation on. The files are compared with those of an undisturbed run.

Depends on: the moments, which are drawn with a fixed seed but fall at other parts on another machine.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from benchmarks.tables import markdown_table, verdict
from model.results import InputSpec
from model.scale.featurize import featurize
from model.scale.network import Network
from model.scale.source import SplitOptions
from tests.support.colour_network import colour_graph
from tests.support.spark_cluster import spark_cluster, spark_environment
from tests.support.spark_kills import kill_drivers, kill_executors, write_many_photos

VERSION = "4.0.2"
RUNS, DRIVERS, EXECUTORS = 5, 2, 4
SPEC = InputSpec.square(32)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS, help="runs, each into a new folder")
    runs = parser.parse_args().runs
    killed = same = 0
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos, graph = write_many_photos(folder / "photos"), folder / "colour.onnx"
        graph.write_bytes(colour_graph(SPEC))
        network = Network("colour", graph.read_bytes(), SPEC)
        featurize(str(photos), str(folder / "expected"), network, SplitOptions(0.2, 0.2, 1), max_photos=3)
        (folder / "cluster").mkdir()
        with spark_cluster(spark_environment(VERSION), folder / "cluster") as cluster:
            for seed in range(runs):
                out, moments = folder / f"out{seed}", random.Random(seed)
                kill_drivers(cluster, photos, out, graph, DRIVERS, moments)
                killed += kill_executors(cluster, folder / "cluster", photos, out, graph, EXECUTORS, moments)[0]
                same += _contents(out) == _contents(folder / "expected")
    rows = [
        ["drivers killed", str(DRIVERS * runs)],
        ["executors killed", str(killed)],
        ["runs with the bytes of an undisturbed one", f"{same} of {runs}"],
        ["wall time", f"{(time.perf_counter() - started) / 60:.1f} min"],
    ]
    print(markdown_table([f"{runs} runs on pyspark {VERSION}", ""], rows))
    print()
    print(f"- {verdict('every run writes the same bytes', same == runs)}")


def _contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


if __name__ == "__main__":
    main()
