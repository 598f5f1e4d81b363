"""Runs on a cluster of Spark whose driver or executors are killed at random moments."""

import contextlib
import json
import random
import subprocess
import time
from pathlib import Path

import psutil

from tests.support.photos import photo
from tests.support.spark_cluster import Spark, end_group, executors

PHOTOS, CHUNKS = 180, 60
_SECONDS = 300.0


def write_many_photos(folder: Path) -> Path:
    """Photos for `CHUNKS` chunks of three, one of them damaged: their work takes longer than the time until a kill."""
    for number in range(PHOTOS):
        path = folder / ("even", "odd")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(number % 256, size=(640, 480)))
    (folder / "odd" / "7.jpg").write_bytes(b"damaged")
    return folder


def kill_drivers(cluster: Spark, source: Path, out: Path, graph: Path, kills: int, moments: random.Random) -> int:
    """Start the same command again and again, and kill its driver; return the number of parts that are written."""
    for left in range(kills, 0, -1):
        before = _parts(out)
        child = cluster.featurize(source, out, graph)
        # Some parts are left for the other kills, and for the executors.
        wait_for_parts(out, before + moments.randint(1, max(1, (CHUNKS // 2 - before) // left)), child)
        end_group(child)
    return _parts(out)


def kill_executors(
    cluster: Spark, folder: Path, source: Path, out: Path, graph: Path, kills: int, moments: random.Random
) -> tuple[int, dict]:
    """Run the command to its end, with speculation, while executors are killed.

    Args:
        folder: of the cluster.

    Returns:
        The number of executors that were killed, and the result of the command.
    """
    child = cluster.featurize(source, out, graph, spark_speculation="true")
    killed = 0
    for _ in range(kills):
        between = moments.randint(1, max(1, CHUNKS // 3 // kills))
        wait_for_parts(out, _parts(out) + between, child)
        for executor in executors(folder)[:1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                executor.kill()
                killed += 1
    return killed, result_of(child)


def result_of(child: "subprocess.Popen[str]") -> dict:
    """The result that the program has printed."""
    output, _ = child.communicate(timeout=_SECONDS)
    assert child.returncode == 0, output
    return json.loads(next(line for line in output.splitlines() if line.startswith("{")))


def wait_for_parts(out: Path, count: int, child: "subprocess.Popen[str]") -> None:
    """Wait until there are so many parts, or the program has ended."""
    deadline = time.monotonic() + _SECONDS
    while _parts(out) < count and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _parts(out: Path) -> int:
    return len(list(out.glob("part-*")))
