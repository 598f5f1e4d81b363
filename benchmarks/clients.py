"""Concurrent clients that send requests to a running server."""

import contextlib
import dataclasses
import http.client
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from benchmarks.server import Upload, send

# With fewer responses, the 99th percentile is merely the slowest one.
MIN_FOR_P99 = 100


class Connects(Protocol):
    """A running server, or several that share the clients."""

    def connection(self) -> "contextlib.closing[http.client.HTTPConnection]":
        """A connection for several requests, as a context manager."""


@dataclasses.dataclass
class Answers:
    """Latency of each answer in seconds, and throughput per second of each round."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    rates: list[float] = dataclasses.field(default_factory=list)

    def add(self, other: "Answers") -> None:
        """Add the results of further rounds."""
        self.seconds += other.seconds
        self.rates += other.rates

    def percentile(self, percent: float) -> float:
        """Latency percentile in milliseconds."""
        return 1000 * float(np.percentile(self.seconds, percent))

    def cell(self) -> str:
        """Median, 95th and 99th percentile and rate, for a table; a dash for the 99th of few answers."""
        percentiles = [f"{self.percentile(percent):.0f}" for percent in (50, 95, 99)]
        if len(self.seconds) < MIN_FOR_P99:
            percentiles[-1] = "-"
        return f"{' / '.join(percentiles)} ms, {statistics.median(self.rates):.0f} /s"


def pooled(parts: Iterable[Answers]) -> Answers:
    """Merge several results into one."""
    whole = Answers()
    for part in parts:
        whole.add(part)
    return whole


def ask(
    server: Connects, upload: Upload, clients: int, seconds: float, min_answers: int = 0, max_seconds: float = 60.0
) -> Answers:
    """Run one round: send for `seconds`, then until there are `min_answers` answers, for at most `max_seconds`."""
    taken: list[float] = []
    started = time.perf_counter()

    def continues() -> bool:
        passed = time.perf_counter() - started
        return passed < seconds or (len(taken) < min_answers and passed < max_seconds)

    def send_until_done(_: int) -> None:
        with server.connection() as connection:
            while continues():
                sent = time.perf_counter()
                send(connection, upload, keep_alive=True)
                taken.append(time.perf_counter() - sent)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(send_until_done, range(clients)))
    return Answers(taken, [len(taken) / (time.perf_counter() - started)])
