"""Robustness of the service: mixed load with and without trainings, killed processes, generated requests.

How: `topgraft serve` runs two workers with an EfficientNet-Lite0 trained for this. Four clients send random requests
of all kinds: valid, invalid, and aborted by the client; another client starts trainings one after the other and cancels
some of them. A response is lost if the connection is closed, or silent for a minute, while the client waits. Memory is
the sum of the proportional set sizes of the server and its workers, sampled at least twice a minute. Its slope is that
of a line through the means of twenty equal periods after the first tenth of the time, with a 95 % interval by Student's
t. The goal is met if the whole interval is below the budget, missed if it is not and lies above zero, and otherwise
undecided. Cancelling a training replaces the worker that waited for it, hence a second run without trainings. Then
processes of each kind are killed three times while a client waits for a large zip; the same request is timed before
without a kill. Finally, tests/api/test_openapi.py sends requests generated from the OpenAPI description of the server.

Depends on: the processors, which clients, server and trainings share. `--minutes 30` takes most of an hour.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load import LOST, Kind, Outcome, answer, kinds, make_workspace, put_under_load
from benchmarks.photos import draw_photo
from benchmarks.server import Server, running_server
from benchmarks.service_kills import SECONDS_TO_BE_BACK, Kills, kill_processes
from benchmarks.service_memory import Memory, Slope
from benchmarks.tables import markdown_table, median_and_range, verdict
from model.workspace import Workspace

MINUTES, REQUESTS = 30.0, 5000
MEGABYTES_PER_HOUR = 5.0
_ROOT = Path(__file__).resolve().parents[1]

Run = tuple[Outcome, Memory]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of load during trainings; a third more without")
    parser.add_argument(
        "--requests", type=int, default=REQUESTS, help="generated from the OpenAPI description of the server"
    )
    parser.add_argument("--quick", action="store_true", help="a try in two minutes: --minutes 0.7 --requests 200")
    given = parser.parse_args()
    minutes, requests = (0.7, 200) if given.quick else (given.minutes, given.requests)
    photo = draw_photo("stop", 10_000, 400, 500)
    with tempfile.TemporaryDirectory() as directory:
        workspace = make_workspace(Path(directory))
        with running_server("topgraft", workspace.root, supervised=True, TOPGRAFT_TENSORBOARD="0") as server:
            every = kinds(photo)
            for kind in every:
                answer(server, kind)
            with_trainings = _load(server, every, minutes, workspace)
            without_trainings = _load(server, every, minutes / 3, None)
            kills = kill_processes(server, photo)
    tables = (
        _load_table(with_trainings, without_trainings),
        _kinds_table(every, with_trainings[0], without_trainings[0]),
        _kills_table(kills),
    )
    print("\n\n".join((*tables, _generated_table(requests))))


def _load(server: Server, every: tuple[Kind, ...], minutes: float, trainings: Workspace | None) -> Run:
    with Memory(server.process, every=min(20.0, minutes)) as memory:
        outcome = put_under_load(server, every, minutes, trainings)
    return outcome, memory


def _load_table(with_trainings: Run, without_trainings: Run) -> str:
    runs = (with_trainings, without_trainings)

    def row(name: str, cells: Sequence[str], goal: str = "") -> list[str]:
        return [name, *cells, goal]

    outcomes, memories = [outcome for outcome, _ in runs], [memory for _, memory in runs]
    lost, errors = (sum(counts) for counts in zip(*((one.lost, one.server_errors) for one in outcomes), strict=True))
    unexpected = [sum(one.unexpected.values()) for one in outcomes]
    rows = [
        row("minutes", [f"{_minutes(memory):.1f}" for memory in memories]),
        row("requests", [f"{one.requests:,}" for one in outcomes]),
        row("lost answers", [str(one.lost) for one in outcomes], verdict("0", lost == 0)),
        row("answers 5xx", [str(one.server_errors) for one in outcomes], verdict("0", errors == 0)),
        row("other statuses than expected", list(map(str, unexpected)), verdict("0", sum(unexpected) == 0)),
        row("trainings: done", [str(one.trainings["done"]) for one in outcomes]),
        row("trainings: cancelled", [str(one.trainings["cancelled"]) for one in outcomes]),
        row("trainings: failed", [str(one.trainings["error"]) for one in outcomes], _no_failure(outcomes)),
        row("restarts of the service", [str(len(memory.mains) - 1) for memory in memories], _no_restart(memories)),
        row("memory at the end (PSS)", [f"{memory.samples[-1][1]:.0f} MB" for memory in memories]),
        row("peak memory", [f"{memory.highest():.0f} MB" for memory in memories]),
        row("slope of the memory", [str(memory.slope(1)) for memory in memories], _flat(memories, 1)),
        row("slope, main process", [str(memory.slope(2)) for memory in memories], _flat(memories, 2)),
    ]
    return markdown_table(["mixed load, four clients", "with trainings", "without trainings", "goal"], rows)


def _minutes(memory: Memory) -> float:
    return (memory.samples[-1][0] - memory.samples[0][0]) * 60


def _no_failure(outcomes: Sequence[Outcome]) -> str:
    return verdict("0", not any(outcome.trainings["error"] for outcome in outcomes))


def _no_restart(memories: Sequence[Memory]) -> str:
    return verdict("0", all(len(memory.mains) == 1 for memory in memories))


def _flat(memories: Sequence[Memory], column: int) -> str:
    found = [is_flat(memory.slope(column)) for memory in memories]
    goal = f"all of the interval below {MEGABYTES_PER_HOUR:g} MB/h"
    return verdict(goal, None if None in found and False not in found else all(found))


def is_flat(slope: Slope) -> bool | None:
    """Whether the interval of a slope is within the budget; None if undecided."""
    if slope.high < MEGABYTES_PER_HOUR:
        return True
    return False if slope.low > 0 else None


def _kinds_table(every: Sequence[Kind], with_trainings: Outcome, without_trainings: Outcome) -> str:
    rows = []
    for kind in every:
        expected = str(kind.status) if kind.status else "disconnects"
        cells = [
            cell
            for outcome in (with_trainings, without_trainings)
            for cell in _times(outcome.seconds.get(kind.name, []))
        ]
        rows.append([kind.name, expected, *cells])
    header = ["request", "expected", "with trainings: sent", "p50", "p99", "without trainings: sent", "p50", "p99"]
    return markdown_table(header, rows)


def _times(seconds: Sequence[float]) -> list[str]:
    if len(seconds) < 2:
        return [str(len(seconds)), "", ""]
    percentiles = statistics.quantiles(seconds, n=100, method="inclusive")
    return [str(len(seconds)), f"{1000 * percentiles[49]:.0f} ms", f"{1000 * percentiles[98]:.0f} ms"]


def _kills_table(kills: dict[str, Kills]) -> str:
    rows = []
    for name, came in kills.items():
        got = ", ".join("closed" if status == LOST else str(status) for status in sorted(set(came.statuses)))
        first = verdict(came.victim.expectation, came.as_expected())
        other = verdict(f"below {SECONDS_TO_BE_BACK:.0f} s", max(came.back) < SECONDS_TO_BE_BACK)
        rows.append([name, got, median_and_range(came.waited, 1), first, median_and_range(came.back, 1), other])
    header = ["killed during a request", "response", "after", "goal", "next request answered with 200 after", "goal"]
    return markdown_table(header, rows)


def _generated_table(requests: int) -> str:
    """Run the test that checks each response; it ends at the first that is wrong, late, or a 5xx."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "slow", "tests/api/test_openapi.py"],
        cwd=_ROOT,
        env=os.environ | {"TOPGRAFT_TEST_REQUESTS": str(requests)},
        stdout=sys.stderr,
    )
    goal = verdict("no 5xx, each within 10 s", ran.returncode == 0)
    return markdown_table(["generated from the OpenAPI description", "requests", "goal"], [["", f"{requests:,}", goal]])


if __name__ == "__main__":
    main()
