"""Processes of a running service that are killed while a client waits, and how soon all is well again."""

import dataclasses
import io
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil

from benchmarks.load import PATIENCE, Kind, answer
from benchmarks.server import Server

REPEATS = 3
# Some seconds of work.
_PHOTOS = 500
_SECONDS_TO_BE_BUSY = 1.0
_SECONDS_TO_SETTLE = 3.0


@dataclasses.dataclass
class Kills:
    """What came of killing one process, several times.

    Attributes:
        statuses: of the answers that the client got who waited meanwhile.
        waited: seconds from the kill to that answer.
        back: seconds from the kill until another request was answered with 200.
    """

    statuses: list[int] = dataclasses.field(default_factory=list)
    waited: list[float] = dataclasses.field(default_factory=list)
    back: list[float] = dataclasses.field(default_factory=list)


def kill_processes(server: Server, photo: bytes) -> dict[str, Kills]:
    """Kill each sort of process that a supervised service has, while a zip of many photos is worked on."""
    large = Kind("large", 200, _zip(photo))
    small = Kind("small", 200, photo)
    return {name: _kill(server, choose, large, small) for name, choose in _VICTIMS.items()}


def _kill(server: Server, choose: Callable[[Server], psutil.Process], large: Kind, small: Kind) -> Kills:
    kills = Kills()
    for _ in range(REPEATS):
        with ThreadPoolExecutor(1) as client:
            waiting = client.submit(_answer_and_moment, server, large)
            time.sleep(_SECONDS_TO_BE_BUSY)
            victim = choose(server)
            victim.kill()
            killed = time.perf_counter()
            while answer(server, small) != small.status and time.perf_counter() - killed < PATIENCE:
                time.sleep(0.05)
            kills.back.append(time.perf_counter() - killed)
            status, moment = waiting.result()
        kills.statuses.append(status)
        kills.waited.append(moment - killed)
        time.sleep(_SECONDS_TO_SETTLE)
    return kills


def _answer_and_moment(server: Server, kind: Kind) -> tuple[int, float]:
    status = answer(server, kind)
    return status, time.perf_counter()


def _zip(photo: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for index in range(_PHOTOS):
            archive.writestr(f"{index}.jpg", photo)
    return stream.getvalue()


def _main_process(server: Server) -> psutil.Process:
    [main] = server.process.children()
    return main


def _workers(server: Server) -> list[psutil.Process]:
    """The busiest first."""
    shares = [(worker.cpu_percent(0.2), worker) for worker in _main_process(server).children()]
    return [worker for _, worker in sorted(shares, key=lambda pair: -pair[0])]


_VICTIMS: dict[str, Callable[[Server], psutil.Process]] = {
    "the worker of the request": lambda server: _workers(server)[0],
    "an idle worker": lambda server: _workers(server)[-1],
    "the main process": _main_process,
}
