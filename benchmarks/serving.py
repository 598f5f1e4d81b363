"""Serving: latency, throughput, memory and start-up time.

How: two servers, `deepaas-run` with two workers each, on loopback: Topgraft with an EfficientNet-Lite0 trained for
this, and a plug-in that returns a constant, which measures DEEPaaS and HTTP alone. Blocks of requests go to the two in
turn, each with a 500 x 400 JPEG; the client is one more process on the same processors. Ready: the first response to a
GET after both workers have loaded the model.

Depends on: the processors (the workers, the server and the client share them) and their other load.
"""

import contextlib
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.photos import draw_photo, write_photos
from benchmarks.server import CONSTANT, WORKERS, Server, Upload, photo_upload, running_server, send
from benchmarks.tables import markdown_table, times, verdict
from model.synthesis.composition import Variation
from tests.support.processes import program, tree_megabytes, tree_processor_seconds

ROUNDS = 5
REQUESTS_PER_ROUND = 60
SECONDS_PER_ROUND = 4.0
CLIENTS = 4
STARTS = 3
OVERHEAD_GOAL = 15.0
# The module `imgclas` with MobileNet, measured earlier on the same kind of machine; its memory as the sum of RSS.
IMGCLAS = {"p50": 390.0, "rate": 2.5, "rss": 1500.0, "ready": 16.0}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory:
        homes = {module: Path(directory) / module for module in (CONSTANT, "topgraft")}
        for home in homes.values():
            home.mkdir()
        _train_a_model(homes["topgraft"])
        ready = {module: _seconds_to_ready(module, home) for module, home in homes.items()}
        measured = _measure(homes)
    print(_table(ready, measured))


def _train_a_model(home: Path) -> None:
    (home / "models").mkdir()
    write_photos(home / "data" / "signs", range(6))
    command = [program("topgraft"), "train", "--dataset", "signs", "--name", "signs", "--workspace", str(home)]
    subprocess.run([*command, "--json"], check=True, stdout=subprocess.DEVNULL)


def _seconds_to_ready(module: str, home: Path) -> float:
    seconds = []
    for _ in range(STARTS):
        with running_server(module, home) as server:
            seconds.append(server.seconds_to_ready)
    return statistics.median(seconds)


def _measure(homes: dict[str, Path]) -> dict[str, dict[str, float]]:
    photo = draw_photo("stop", 1000, 400, 500, Variation(jpeg_quality=(90, 90)))
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running_server(module, home)) for module, home in homes.items()]
        uploads = {server.module: photo_upload(server.module, photo) for server in servers}
        for server in servers:
            _latencies(server, uploads[server.module], 10, keep_alive=False)
        latencies: dict[str, dict[bool, list[float]]] = {module: {False: [], True: []} for module in homes}
        rates: dict[str, dict[bool, list[float]]] = {module: {False: [], True: []} for module in homes}
        processor: dict[str, float] = dict.fromkeys(homes, 0.0)
        for _ in range(ROUNDS):
            for keep_alive in (False, True):
                for server in servers:
                    upload = uploads[server.module]
                    before = tree_processor_seconds(server.process)
                    latencies[server.module][keep_alive] += _latencies(server, upload, REQUESTS_PER_ROUND, keep_alive)
                    processor[server.module] += tree_processor_seconds(server.process) - before
                    rates[server.module][keep_alive].append(_rate(server, upload, keep_alive))
        return {
            server.module: _summary(server, latencies[server.module], rates[server.module])
            | {"processor": 1000 * processor[server.module] / (2 * ROUNDS * REQUESTS_PER_ROUND)}
            for server in servers
        }


def _summary(server: Server, latencies: dict[bool, list[float]], rates: dict[bool, list[float]]) -> dict[str, float]:
    pss, rss = tree_megabytes(server.process)
    return {
        "p50": 1000 * float(np.percentile(latencies[False], 50)),
        "p95": 1000 * float(np.percentile(latencies[False], 95)),
        "p50 kept": 1000 * float(np.percentile(latencies[True], 50)),
        "rate": statistics.median(rates[False]),
        "rate kept": statistics.median(rates[True]),
        "memory": pss,
        "rss": rss,
    }


def _latencies(server: Server, upload: Upload, count: int, keep_alive: bool) -> list[float]:
    seconds = []
    with server.connection() as connection:
        for _ in range(count):
            started = time.perf_counter()
            send(connection, upload, keep_alive)
            seconds.append(time.perf_counter() - started)
    return seconds


def _rate(server: Server, upload: Upload, keep_alive: bool) -> float:
    deadline = time.perf_counter() + SECONDS_PER_ROUND

    def ask_until_the_deadline(_: int) -> int:
        answered = 0
        with server.connection() as connection:
            while time.perf_counter() < deadline:
                send(connection, upload, keep_alive)
                answered += 1
        return answered

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        answered = sum(clients.map(ask_until_the_deadline, range(CLIENTS)))
    return answered / (time.perf_counter() - started)


def _table(ready: dict[str, float], measured: dict[str, dict[str, float]]) -> str:
    constant, ours = measured[CONSTANT], measured["topgraft"]
    overhead = ours["p50"] - constant["p50"]
    more_requests, less_memory = ours["rate"] / IMGCLAS["rate"], IMGCLAS["rss"] / ours["rss"]

    def row(what: str, name: str, unit: str, digits: int, *rest: str) -> list[str]:
        cells = [f"{values[name]:.{digits}f} {unit}" for values in (constant, ours)]
        return [what, *cells, times(ours[name] / constant[name]), *rest]

    rows = [
        row(
            "one client, p50", "p50", "ms", 1, f"{IMGCLAS['p50']:.0f} ms",
            verdict(f"constant + {OVERHEAD_GOAL:.0f} ms (is + {overhead:.1f})", overhead <= OVERHEAD_GOAL),
        ),
        row("one client, p95", "p95", "ms", 1, "", ""),
        row("processor time of a request, server and worker", "processor", "ms", 1, "", ""),
        row("one client, connection kept alive, p50", "p50 kept", "ms", 1, "", ""),
        row(
            f"{CLIENTS} clients", "rate", "/s", 0, f"{IMGCLAS['rate']} /s",
            verdict(f"20x imgclas (is {times(more_requests, 0)})", more_requests >= 20),
        ),
        row(f"{CLIENTS} clients, connections kept alive", "rate kept", "/s", 0, "", ""),
        row(f"memory of the server and its {WORKERS} workers (PSS)", "memory", "MB", 0, "", ""),
        row(
            "the same, sum of RSS", "rss", "MB", 0, f"{IMGCLAS['rss']:.0f} MB",
            verdict(f"a fifth of imgclas (is 1/{less_memory:.1f})", less_memory >= 5),
        ),
        [
            "ready, with a model warmed", f"{ready[CONSTANT]:.1f} s", f"{ready['topgraft']:.1f} s",
            times(ready["topgraft"] / ready[CONSTANT]), "13 to 19 s", verdict("5 s", ready["topgraft"] < 5),
        ],
    ]  # fmt: skip
    header = ["500 x 400 JPEG, EfficientNet-Lite0", "constant answer", "topgraft", "ratio", "imgclas, earlier", "goal"]
    return markdown_table(header, rows)


if __name__ == "__main__":
    main()
