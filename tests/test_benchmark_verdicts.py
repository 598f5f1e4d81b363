"""Verdicts of the benchmarks: met, missed or not decided; noise never decides."""

import contextlib
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import psutil
import pytest

from benchmarks.bare_network import Bare, Round
from benchmarks.clients import Answers, ask, pooled
from benchmarks.load import LOST
from benchmarks.report import label_floor
from benchmarks.robustness import is_flat
from benchmarks.server import Server, photo_upload
from benchmarks.service_kills import Kills, Victim
from benchmarks.service_memory import Slope
from benchmarks.tables import verdict


def test_there_are_three_verdicts() -> None:
    words = [verdict("5 s", met) for met in (True, False, None)]
    assert words == ["5 s: met", "5 s: **missed**", "5 s: not decided"]


@pytest.mark.parametrize(
    ("low", "high", "flat"),
    [
        (-2.0, 1.0, True),
        (-9.0, -4.0, True),
        (0.5, 4.0, True),
        (0.5, 5.1, False),
        (150.0, 250.0, False),
        (-12.0, 411.0, None),
        (-3.0, 6.0, None),
    ],
)
def test_memory_is_flat_only_if_the_whole_interval_is_within_the_budget(
    low: float, high: float, flat: bool | None
) -> None:
    assert is_flat(Slope((low + high) / 2, low, high)) is flat


@pytest.mark.parametrize(
    ("status", "waited", "works_on", "met"),
    [
        (503, [0.1, 0.2], False, True),
        (503, [0.1, 11.0], False, False),
        (200, [21.0], True, True),
        (200, [23.0], True, False),
        (LOST, [60.0], False, False),
    ],
)
def test_the_client_of_a_killed_process_is_judged_by_answer_and_time(
    status: int, waited: list[float], works_on: bool, met: bool
) -> None:
    victim = Victim(lambda server: server.process, status, "", works_on)
    assert Kills(victim, 12.0, [status] * len(waited), waited, [0.1]).as_expected() is met
    assert not Kills(victim, 12.0, [status, 500], [0.1, 0.1], [0.1]).as_expected()


def _bare(single: float, by_8: float, by_32: float, library: float) -> Bare:
    slow = Round(3 * single, {8: 3 * by_8, 32: 3 * by_32}, 3 * library)
    usual = Round(single, {8: by_8, 32: by_32}, library)
    return Bare({}, (usual, slow, usual))


@pytest.mark.parametrize(
    ("library", "fraction", "reached"), [(0.0055, 0.91, True), (0.008, 0.63, False), (0.005 / 0.85 - 1e-6, 0.85, True)]
)
def test_the_library_is_compared_with_the_fastest_bare_calls_of_the_same_round(
    library: float, fraction: float, reached: bool
) -> None:
    bare = _bare(0.007, 0.006, 0.005, library)
    assert (bare.best_batch, bare.network_in_batch, bare.network) == (32, 0.005, 0.007)
    assert bare.fraction == pytest.approx(fraction, abs=0.01)
    assert bare.reaches(0.85) is reached


def test_there_is_no_verdict_if_a_photo_takes_longer_in_a_batch_than_alone() -> None:
    assert _bare(0.007, 0.014, 0.013, 0.012).reaches(0.85) is None


def test_few_answers_have_no_99th_percentile() -> None:
    few = Answers([0.010] * 99, [50.0])
    assert few.cell() == "10 / 10 / - ms, 50 /s"
    assert pooled([few, Answers([0.010], [70.0])]).cell() == "10 / 10 / 10 ms, 60 /s"


class Slow(BaseHTTPRequestHandler):
    """Takes ten milliseconds for an answer."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.01)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Log nothing to the terminal."""


@pytest.fixture
def slow_server() -> Iterator[Server]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    Thread(target=server.serve_forever, daemon=True).start()
    with contextlib.closing(server.socket):
        yield Server("topgraft", server.server_port, psutil.Process(), 0.0)
        server.shutdown()


@pytest.mark.parametrize(
    ("seconds", "min_answers", "max_seconds", "low", "high"),
    [(0.0, 12, 9.0, 12, 14), (0.2, 1, 9.0, 4, 60), (0.0, 1000, 0.2, 4, 60)],
)
def test_clients_send_until_time_and_enough_answers_or_a_limit(
    slow_server: Server, seconds: float, min_answers: int, max_seconds: float, low: int, high: int
) -> None:
    answers = ask(slow_server, photo_upload("topgraft", b"photo"), 3, seconds, min_answers, max_seconds)
    assert low <= len(answers.seconds) <= high
    assert answers.percentile(50) >= 10 and len(answers.rates) == 1


def test_the_label_check_states_the_floors_that_it_misses() -> None:
    assert label_floor("demo signs", 0.76, 0.73) == "precision 0.57: met, recall 0.77: **missed**"
    assert label_floor("digits", 0.1, 0.1) == ""
