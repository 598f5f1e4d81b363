"""Kills of processes of a running service during a request, and the time until the service recovers."""

import dataclasses
import io
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil

from benchmarks.load import LOST, PATIENCE, Kind, answer
from benchmarks.server import Server
from tests.support.processes import processes_below

REPEATS = 3
SECONDS_TO_BE_BACK = 10.0
# Takes some seconds to process.
_PHOTOS = 500
_SECONDS_TO_BE_BUSY = 1.0
_SECONDS_TO_SETTLE = 3.0
_IN_TIME = f"below {SECONDS_TO_BE_BACK:.0f} s"


@dataclasses.dataclass(frozen=True)
class Victim:
    """A kind of process of a supervised service.

    Attributes:
        choose: selects the process to kill.
        status: expected status of the response to the waiting client.
        expectation: description of the expected response and its time.
        works_on: whether its request is still processed to the end.
    """

    choose: Callable[[Server], psutil.Process]
    status: int
    expectation: str
    works_on: bool = False


@dataclasses.dataclass
class Kills:
    """Results of killing one kind of process several times.

    Attributes:
        victim: kind of the killed process.
        undisturbed: seconds of the same request without a kill.
        statuses: statuses of the responses to the waiting client.
        waited: seconds from the kill to that response.
        back: seconds from the kill to a response with 200 to another request.
    """

    victim: Victim
    undisturbed: float
    statuses: list[int] = dataclasses.field(default_factory=list)
    waited: list[float] = dataclasses.field(default_factory=list)
    back: list[float] = dataclasses.field(default_factory=list)

    def as_expected(self) -> bool:
        """Whether the waiting client always received the expected response in time."""
        limit = SECONDS_TO_BE_BACK + (self.undisturbed if self.victim.works_on else 0.0)
        return set(self.statuses) == {self.victim.status} and max(self.waited) < limit


def kill_processes(server: Server, photo: bytes) -> dict[str, Kills]:
    """Kill each kind of process of a supervised service while it classifies a zip of many photos."""
    large = Kind("large", 200, _zip(photo))
    small = Kind("small", 200, photo)
    undisturbed = _seconds(server, large)
    return {name: _kill(server, Kills(victim, undisturbed), large, small) for name, victim in _VICTIMS.items()}


def _seconds(server: Server, kind: Kind) -> float:
    started = time.perf_counter()
    status, moment = _answer_and_moment(server, kind)
    if status != kind.status:
        raise RuntimeError(f"expected status {kind.status} of a zip without a kill, received {status}")
    return moment - started


def _kill(server: Server, kills: Kills, large: Kind, small: Kind) -> Kills:
    for _ in range(REPEATS):
        with ThreadPoolExecutor(1) as client:
            waiting = client.submit(_answer_and_moment, server, large)
            time.sleep(_SECONDS_TO_BE_BUSY)
            victim = kills.victim.choose(server)
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
    """Workers, the busiest first; another child of the main process is Python's resource tracker."""
    children = processes_below(_main_process(server), "spawn_main")
    loads = [(child.cpu_percent(0.2), child) for child in children]
    return [worker for _, worker in sorted(loads, key=lambda pair: -pair[0])]


_VICTIMS = {
    "the worker of the request": Victim(lambda server: _workers(server)[0], 503, f"503, {_IN_TIME}"),
    "an idle worker": Victim(
        lambda server: _workers(server)[-1], 200, f"200, {_IN_TIME} more than without a kill", True
    ),
    "the main process": Victim(_main_process, LOST, f"closed, {_IN_TIME}"),
}
