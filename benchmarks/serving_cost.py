"""Processor time, throughput and memory of serving, beside bare processes, LitServe and BentoML.

How: all servers answer the same 500 x 400 JPEG with the same EfficientNet-Lite0, trained for this, in float32 and in
int8. A bare server is one aiohttp process with Pillow and ONNX Runtime, or as many as Topgraft has workers, among which
the clients are divided evenly. LitServe and BentoML have as many workers and are installed into environments of their
own; the constant answer is DEEPaaS without a network. All servers run at the same time, and 1, 4 and 16 clients with
connections that are kept alive send to one after the other for a short round, repeatedly and in alternating order.
Processor time is that of all processes of a server; a ratio is the median of the ratios within a round. A server in
DEEPaaS can take no less than the constant answer and decoding and network without a server, called in each round too:
this bound stands beside the goal that it limits. Memory is
measured before, with one server running at a time: ready, after a load of such photos, and after a load of 3,000 x
2,000 pixels.

Depends on: the processors, which servers and clients share, and their other load, least for processor time.
"""

import argparse
import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from benchmarks.clients import Answers, ask
from benchmarks.compared_servers import (
    MODEL,
    Running,
    constant_home,
    running_bare,
    running_bentoml,
    running_deepaas,
    running_litserve,
    train,
)
from benchmarks.other_servers.network import Network
from benchmarks.photos import draw_photo, write_photos
from benchmarks.server import CONSTANT, WORKERS
from benchmarks.tables import markdown_table, verdict
from model.resources import available_processors
from model.synthesis.composition import Variation

CLIENTS = (1, 4, 16)
ROUNDS, SECONDS, CALLS = 6, 1.5, 40
MEMORY_SECONDS = 5.0
PROCESSOR_GOAL, RATE_GOAL, INT8_GOAL, MEMORY_GOAL = 1.15, 0.9, 8.0, 250.0
BARE, BARE_PROCESSES, TOPGRAFT = "one bare process", f"{WORKERS} bare processes", "Topgraft"
LITSERVE, BENTOML = "LitServe", "BentoML"
INT8 = ", int8"

Start = Callable[[], AbstractContextManager[Running]]


@dataclasses.dataclass
class Measured:
    """Measurements of one server.

    Attributes:
        answers: by number of clients.
        processor: processor seconds for a request in each round, by number of clients.
        memory: PSS and RSS in megabytes: ready, after small photos, after large ones.
    """

    answers: dict[int, Answers]
    processor: dict[int, list[float]]
    memory: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def milliseconds(self, clients: int) -> float:
        """Processor time of a request."""
        return 1000 * statistics.median(self.processor[clients])

    def rate(self, clients: int) -> float:
        """Answers in a second."""
        return statistics.median(self.answers[clients].rates)


Results = Mapping[str, Measured]

Networks = Mapping[str, tuple[Network, list[float]]]
"""By the end of a server's name: the network without a server, and its processor seconds for a photo in each round."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", nargs="*", help="measure only these")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="duration of a round")
    parser.add_argument("--without-memory", action="store_true", help="leave out the measurement of memory")
    parser.add_argument("--folder", type=Path, help="keep the trained models here, for further runs")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        starts = servers_of(directory)
        starts = {name: starts[name] for name in given.servers or starts}
        results = {name: Measured({n: Answers() for n in CLIENTS}, {n: [] for n in CLIENTS}) for name in starts}
        if not given.without_memory:
            for name, start in starts.items():
                results[name].memory = memory_by_load(start)
        servers = {name: stack.enter_context(start()) for name, start in starts.items()}
        networks = networks_in(directory)
        measure(servers, results, networks, given.rounds, given.seconds)
    print(_table(results))
    if goals := _goals(results, networks):
        print()
        print("\n".join(f"- {goal}" for goal in goals))


def networks_in(directory: Path) -> Networks:
    """The trained networks without a server."""
    folders = {"": directory / "float32", INT8: directory / "int8"}
    threads = available_processors()
    return {end: (Network(home / "models" / MODEL, threads), []) for end, home in folders.items()}


def servers_of(directory: Path) -> dict[str, Start]:
    """What starts each server, with models that are trained in the folder unless they are there."""
    homes = {precision: directory / precision for precision in ("float32", "int8")}
    for home in homes.values():
        (home / "models").mkdir(parents=True, exist_ok=True)
        write_photos(home / "data" / "signs", range(6))
    float32, int8 = (train(home, precision) for precision, home in homes.items())
    logs = {name: directory / name.replace(" ", "-") for name in (BARE, BARE_PROCESSES, LITSERVE, BENTOML)}
    return {
        CONSTANT: lambda: running_deepaas(CONSTANT, constant_home(directory)),
        BARE: lambda: running_bare(float32, 1, logs[BARE]),
        BARE_PROCESSES: lambda: running_bare(float32, WORKERS, logs[BARE_PROCESSES]),
        TOPGRAFT: lambda: running_deepaas("topgraft", homes["float32"]),
        LITSERVE: lambda: running_litserve(float32, logs[LITSERVE]),
        BENTOML: lambda: running_bentoml(float32, logs[BENTOML]),
        BARE + INT8: lambda: running_bare(int8, 1, logs[BARE]),
        BARE_PROCESSES + INT8: lambda: running_bare(int8, WORKERS, logs[BARE_PROCESSES]),
        TOPGRAFT + INT8: lambda: running_deepaas("topgraft", homes["int8"]),
    }


def _photo(height: int, width: int) -> bytes:
    return draw_photo("stop", 1000, height, width, Variation(jpeg_quality=(90, 90)))


def memory_by_load(start: Start) -> list[tuple[float, float]]:
    """PSS and RSS of a server that runs without the others: ready, after small photos, after large ones."""
    with start() as server:
        found = [server.megabytes()]
        for photo in (_photo(400, 500), _photo(2000, 3000)):
            ask(server, server.upload(photo), CLIENTS[-1], MEMORY_SECONDS)
            found.append(server.megabytes())
        return found


def measure(servers: Mapping[str, Running], results: Results, networks: Networks, rounds: int, seconds: float) -> None:
    """Ask the running servers in turn, and add what was measured to `results` and `networks`."""
    photo = _photo(400, 500)
    uploads = {name: server.upload(photo) for name, server in servers.items()}
    for name, server in servers.items():
        ask(server, uploads[name], 4, seconds)
    for number in range(rounds):
        for network, taken in networks.values():
            before = time.process_time()
            for _ in range(CALLS):
                network.classify(photo)
            taken.append((time.process_time() - before) / CALLS)
        for clients in CLIENTS:
            for name in list(servers)[:: (-1) ** number]:
                server, found = servers[name], results[name]
                before = server.processor_seconds()
                answers = ask(server, uploads[name], clients, seconds)
                found.processor[clients].append((server.processor_seconds() - before) / len(answers.seconds))
                found.answers[clients].add(answers)


def _table(results: Results) -> str:
    header = ["500 x 400 JPEG, EfficientNet-Lite0"]
    header += [f"processor time of a request, {_slashed(map(str, CLIENTS))} clients", "times the bare process"]
    header += [f"answers a second, {_slashed(map(str, CLIENTS))} clients", "p50, one client"]
    header += ["PSS: ready, after load, after large photos", "RSS"]
    return markdown_table(header, [_row(name, found, results) for name, found in results.items()])


def _row(name: str, found: Measured, results: Results) -> list[str]:
    ratios = _ratios(name, results)
    pss, rss = zip(*found.memory, strict=True) if found.memory else ((), ())
    return [
        name,
        _slashed(f"{found.milliseconds(clients):.1f}" for clients in CLIENTS) + " ms",
        _slashed(f"{ratio:.2f}" for ratio in ratios) if name != CONSTANT else "",
        _slashed(f"{found.rate(clients):.0f}" for clients in CLIENTS),
        f"{found.answers[1].percentile(50):.1f} ms",
        " -> ".join(f"{size:.0f}" for size in pss) + " MB" if pss else "",
        " -> ".join(f"{size:.0f}" for size in rss) + " MB" if rss else "",
    ]


def _slashed(values: Iterable[str]) -> str:
    return " / ".join(values)


def _ratios(name: str, results: Results) -> list[float]:
    """Processor time divided by that of the bare process in the same round, for each number of clients."""
    bare = results.get(BARE + (INT8 if name.endswith(INT8) else ""))
    if bare is None:
        return []
    pairs = (zip(results[name].processor[clients], bare.processor[clients], strict=True) for clients in CLIENTS)
    return [float(np.median([one / other for one, other in pair])) for pair in pairs]


def _bound(name: str, results: Results, networks: Networks) -> str:
    """The least that a server in DEEPaaS takes, in times of the bare process."""
    if CONSTANT not in results:
        return ""
    _, taken = networks[INT8 if name.endswith(INT8) else ""]
    bare, constant = results[BARE + name.removeprefix(TOPGRAFT)], results[CONSTANT]
    least = max(
        (constant.milliseconds(clients) + 1000 * statistics.median(taken)) / bare.milliseconds(clients)
        for clients in CLIENTS
    )
    return f"; the constant answer and the network alone: {least:.2f}"


def _goals(results: Results, networks: Networks) -> list[str]:
    """The goals and whether they were met, of the servers that were measured."""
    goals = []
    for name in (TOPGRAFT, TOPGRAFT + INT8):
        if name in results and (ratios := _ratios(name, results)):
            bound = _bound(name, results, networks)
            goal = (
                f"{name}: processor time at most {PROCESSOR_GOAL} times the bare process (is {max(ratios):.2f}{bound})"
            )
            goals.append(verdict(goal, max(ratios) <= PROCESSOR_GOAL))
        goals += _rate_goals(name, results)
    if TOPGRAFT in results:
        goals += _goals_against_others(results)
    if {TOPGRAFT + INT8, CONSTANT} <= results.keys():
        more = results[TOPGRAFT + INT8].answers[1].percentile(50) - results[CONSTANT].answers[1].percentile(50)
        goals.append(verdict(f"p50 of int8: constant + {INT8_GOAL:.0f} ms (is + {more:.1f})", more <= INT8_GOAL))
    for name in (TOPGRAFT, TOPGRAFT + INT8):
        if name in results and results[name].memory:
            pss = results[name].memory[-1][0]
            goal = f"{name}: PSS after large photos below {MEMORY_GOAL:.0f} MB (is {pss:.0f})"
            goals.append(verdict(goal, pss < MEMORY_GOAL))
    return goals


def _rate_goals(name: str, results: Results) -> list[str]:
    bare = BARE_PROCESSES + name.removeprefix(TOPGRAFT)
    if not {name, bare} <= results.keys():
        return []
    rate = min(results[name].rate(clients) / results[bare].rate(clients) for clients in CLIENTS[1:])
    goal = f"{name}: answers a second of 4 and 16 clients at least {RATE_GOAL:.0%} of {bare} (is {rate:.0%})"
    return [verdict(goal, rate >= RATE_GOAL)]


def _goals_against_others(results: Results) -> list[str]:
    goals = []
    for other in (LITSERVE, BENTOML):
        if other in results:
            ratio = min(results[TOPGRAFT].rate(clients) / results[other].rate(clients) for clients in CLIENTS[1:])
            goals.append(verdict(f"more answers a second than {other}, 4 and 16 clients (is {ratio:.2f}x)", ratio > 1))
    return goals


if __name__ == "__main__":
    main()
