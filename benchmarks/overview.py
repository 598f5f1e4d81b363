"""Serving and training in one table each, for the README: Topgraft beside other servers and beside a Keras loop.

How: the servers are those of `serving_cost`, measured as there. The training of 1,000 photos is that of
`training_cost`: the whole command with default options and an empty feature cache, and the Keras loop of the benchmark
`training`, ten epochs; both are measured on the same other photos. The figures of the module `imgclas` were measured
earlier on the same kind of machine, with MobileNet.

Depends on: the processors, and their other load, least for processor time.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clients import Answers
from benchmarks.photos import CLASSES
from benchmarks.serving import IMGCLAS
from benchmarks.serving_cost import (
    BARE,
    BENTOML,
    CLIENTS,
    LITSERVE,
    ROUNDS,
    SECONDS,
    TOPGRAFT,
    Measured,
    Results,
    measure,
    memory_by_load,
    networks_in,
    servers_of,
)
from benchmarks.tables import markdown_table, times
from benchmarks.training import (
    EPOCHS,
    IMGCLAS_SECONDS,
    PHOTOS_PER_CLASS,
    Run,
    train_with_keras,
    write_sixteen_photos,
    write_thousand_photos,
)
from benchmarks.training_cost import run_command
from tests.support.processes import Cost, in_fresh_process, program

SERVERS = (TOPGRAFT, BARE, LITSERVE, BENTOML)
TRAININGS = 3


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="duration of a round")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(_serving_table(_serve(Path(directory) / "serving", given.rounds, given.seconds)))
    print()
    with tempfile.TemporaryDirectory() as directory:
        print(_training_table(*_train(Path(directory))))


def _serve(directory: Path, rounds: int, seconds: float) -> Results:
    starts = {name: start for name, start in servers_of(directory).items() if name in SERVERS}
    results = {name: Measured({n: Answers() for n in CLIENTS}, {n: [] for n in CLIENTS}) for name in SERVERS}
    for name, start in starts.items():
        results[name].memory = memory_by_load(start)
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(start()) for name, start in starts.items()}
        measure(servers, results, networks_in(directory), rounds, seconds)
    return results


def _serving_table(results: Results) -> str:
    found = [results[name] for name in SERVERS]
    several = CLIENTS[1]
    rows = [
        ["processor time of a request", *(f"{server.milliseconds(1):.1f} ms" for server in found), ""],
        ["answers a second, one client", *(f"{server.rate(1):.0f}" for server in found), f"{IMGCLAS['rate']}"],
        [f"answers a second, {several} clients", *(f"{server.rate(several):.0f}" for server in found), ""],
        [
            "time of an answer, one client",
            *(f"{server.answers[1].percentile(50):.0f} ms" for server in found),
            f"{IMGCLAS['p50']:.0f} ms",
        ],
        [
            "memory after large photos, sum of RSS",
            *(f"{server.memory[-1][1]:.0f} MB" for server in found),
            f"{IMGCLAS['rss']:,.0f} MB",
        ],
    ]
    return markdown_table(["serving a 500 x 400 JPEG", *SERVERS, "imgclas, earlier"], rows)


def _train(root: Path) -> tuple[list[Cost], list[Cost], float, Run]:
    """Costs of trainings on few and on many photos by the command, the accuracy of the last, and the Keras loop."""
    os.environ["TOPGRAFT_CACHE"] = str(root / "cache")
    (root / "models").mkdir()
    write_sixteen_photos(root / "data" / "small", 1000)
    write_thousand_photos(root)
    # The first also converts the backbone, once for a machine.
    run_command(root, "small")
    few, many = ([run_command(root, dataset) for _ in range(TRAININGS)] for dataset in ("small", "signs"))
    return few, many, _accuracy(root), in_fresh_process(train_with_keras, root)


def _accuracy(root: Path) -> float:
    """Accuracy of the newest model on the other photos."""
    command = [program("topgraft"), "--workspace", str(root), "evaluate", "latest", str(root / "held_out"), "--json"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return float(json.loads(answer)["metrics"]["accuracy"])


def _training_table(few: Sequence[Cost], many: Sequence[Cost], accuracy: float, keras: Run) -> str:
    processor, seconds, memory = (
        statistics.median(getattr(cost, part) for cost in many) for part in ("processor", "seconds", "memory")
    )
    seconds_for_few = statistics.median(cost.seconds for cost in few)
    photos = len(CLASSES) * (PHOTOS_PER_CLASS["train"] + PHOTOS_PER_CLASS["val"])
    less = f"{keras.processor:,.0f} s ({times(keras.processor / processor, 0)})"
    rows = [
        ["processor time", f"{processor:.0f} s", less, ""],
        ["time", f"{seconds:.0f} s", f"{keras.seconds:,.0f} s", ""],
        ["time of a training on 16 photos", f"{seconds_for_few:.1f} s", "", IMGCLAS_SECONDS],
        ["peak memory", f"{memory:,.0f} MB", f"{keras.memory:,.0f} MB", ""],
        ["accuracy on other photos", f"{accuracy:.3f}", f"{keras.accuracy:.3f}", ""],
    ]
    header = [f"training on {photos:,} photos", TOPGRAFT, f"Keras, {EPOCHS} epochs", "imgclas, earlier"]
    return markdown_table(header, rows)


if __name__ == "__main__":
    main()
