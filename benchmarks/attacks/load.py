"""Many clients for a long time, with trainings beside them: lost answers, errors, and growth of each process.

How: `topgraft serve` runs two workers with an EfficientNet-Lite0 trained for this. Sixteen clients send random requests
of all kinds: valid, invalid, and aborted by the client; another client runs one training after the other to its end. A
response is lost if the connection is closed, or silent for a minute, while the client waits. The resident memory (RSS)
of each process is sampled every five seconds; its slope is that of a line through the means of twenty equal periods in
the second half of its time, with a 95 % interval by Student's t: in the first half, workers grow with their first
requests of each kind. The slope is stated for each process that ran for at least half of the time; the others are those
of decoding and training, which end.

Depends on: the processors, which clients, server and trainings share; the slopes do not.
`python -m benchmarks.attacks.load --minutes 30` takes as long.
"""

import argparse
import csv
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load import ALL_COMPLETE, Outcome, answer, kinds, make_workspace, put_under_load
from benchmarks.photos import draw_photo
from benchmarks.server import running_server
from benchmarks.service_memory import ProcessMemory, Slope, slope_of
from benchmarks.tables import markdown_table, verdict

CLIENTS, MINUTES = 16, 30.0
SECONDS_BETWEEN_SAMPLES = 5.0
# Of the time, from which on a process has a slope of its own.
_LONG_LIVED = 0.5


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"of load (default: {MINUTES:g})")
    parser.add_argument("--samples", type=Path, help="CSV file to write the memory of each process to")
    given = parser.parse_args()
    minutes = given.minutes
    every = kinds(draw_photo("stop", 10_000, 400, 500))
    with tempfile.TemporaryDirectory() as directory:
        workspace = make_workspace(Path(directory))
        with running_server("topgraft", workspace.root, supervised=True, TOPGRAFT_TENSORBOARD="0") as server:
            for kind in every:
                answer(server, kind)
            with ProcessMemory(server.process, min(SECONDS_BETWEEN_SAMPLES, minutes)) as memory:
                outcome = put_under_load(server, every, minutes, workspace, CLIENTS, ALL_COMPLETE)
    if given.samples:
        _write_samples(memory, given.samples)
    print(f"{_answers_table(outcome, minutes)}\n\n{_memory_table(memory, minutes)}")


def _write_samples(memory: ProcessMemory, path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["process", "pid", "hours", "megabytes"])
        for process, samples in memory.samples.items():
            table.writerows([memory.names[process], process.pid, hours, size] for hours, size in samples)


def _answers_table(outcome: Outcome, minutes: float) -> str:
    seconds = [one for kind in outcome.seconds.values() for one in kind]
    unexpected = sum(outcome.unexpected.values())
    for (name, status), count in outcome.unexpected.items():
        print(f"{name}: {count} answers of status {status}", file=sys.stderr)
    rows = [
        ["requests", f"{outcome.requests:,}", ""],
        ["lost answers", str(outcome.lost), verdict("0", outcome.lost == 0)],
        ["answers 5xx", str(outcome.server_errors), verdict("0", outcome.server_errors == 0)],
        ["other statuses than expected", str(unexpected), verdict("0", unexpected == 0)],
        ["trainings: done", str(outcome.trainings["done"]), ""],
        ["trainings: cancelled at the end", str(outcome.trainings["cancelled"]), ""],
        ["trainings: failed", str(outcome.trainings["error"]), verdict("0", outcome.trainings["error"] == 0)],
        ["median answer", f"{statistics.median(seconds):.2f} s", ""],
        ["longest answer", f"{max(seconds):.1f} s", ""],
    ]
    return markdown_table([f"{minutes:g} minutes of {CLIENTS} clients, with trainings", "measured", "goal"], rows)


def _memory_table(memory: ProcessMemory, minutes: float) -> str:
    rows = []
    for process, samples in memory.samples.items():
        if len(samples) > 2 and samples[-1][0] - samples[0][0] > _LONG_LIVED * minutes / 60:
            slope = slope_of(samples[len(samples) // 2 :])
            highest = max(megabytes for _, megabytes in samples)
            rows.append(
                [memory.names[process], f"{highest:.0f} MB", str(slope), verdict("not above 0", is_level(slope))]
            )
    return markdown_table(["process", "highest", "slope, 95 % interval", "goal"], [*rows, *_short_lived(memory, rows)])


def _short_lived(memory: ProcessMemory, rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """A row for each kind of process that has none yet."""
    highest: dict[str, float] = {}
    for process, samples in memory.samples.items():
        name = memory.names[process]
        highest[name] = max(highest.get(name, 0.0), *(megabytes for _, megabytes in samples))
    return [
        [name, f"{megabytes:.0f} MB", "ends", ""]
        for name, megabytes in highest.items()
        if name not in [row[0] for row in rows]
    ]


def is_level(slope: Slope) -> bool:
    """Whether the memory does not grow, as far as the interval shows."""
    return slope.low <= 0


if __name__ == "__main__":
    main()
