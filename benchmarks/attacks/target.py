"""A running service as the target of attacks, and an honest client beside them."""

import contextlib
import dataclasses
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import requests

from tests.support.deepaas_server import Server
from tests.support.photos import photo
from tests.support.probe import Probe
from tests.support.processes import PeakWatcher, peak_megabytes

SECONDS_BETWEEN_PROBES = 0.1
# Of any answer to an attack; one that takes longer has not passed.
PATIENCE = 120.0
SAMPLE = photo(size=(64, 48))


@dataclasses.dataclass(frozen=True)
class Target:
    """A running service.

    Attributes:
        server: with the model `small`.
        forbidden_port: port of a server on this machine that the service must not connect to.
        was_reached: whether it did.
    """

    server: Server
    forbidden_port: int
    was_reached: Callable[[], bool]

    @property
    def port(self) -> int:
        """Port of the service."""
        return int(self.server.root.rpartition(":")[2])

    @property
    def models(self) -> Path:
        """Folder of the trained models."""
        return self.server.home / "models"

    def post(self, content: bytes, name: str = "a.jpg") -> requests.Response:
        """Upload a file to predict."""
        return requests.post(f"{self.server.url}/predict/", files={"image": (name, content)}, timeout=PATIENCE)

    def send(self, content: bytes, seconds: float = 10.0) -> int:
        """Send bytes on a connection and return the status of the answer; 0 if there is none."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            answer = b""
            with contextlib.suppress(OSError):
                connection.sendall(content)
                answer = connection.recv(1 << 12)
        found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
        return int(found[1]) if found else 0

    def is_well(self) -> bool:
        """Whether a photo is classified."""
        files, options = {"image": ("a.jpg", SAMPLE)}, {"model": "small"}
        return requests.post(f"{self.server.url}/predict/", files=files, params=options, timeout=PATIENCE).ok


@dataclasses.dataclass(frozen=True)
class Trick:
    """An attack.

    Attributes:
        play: does it and returns what is not as expected; empty if all is.
    """

    name: str
    play: Callable[[Target], str]


@dataclasses.dataclass
class Results:
    """Results of the tricks of an area.

    Attributes:
        longest: longest wait of the honest client in seconds, and the trick beside which it was.
        busy: most processor seconds that the main process used during a wait.
        unanswered: answers to the honest client that were no success.
        worker: peak memory of a worker in megabytes; `decoder`: of a decoding process; `main`: of the main process.
    """

    tried: int = 0
    passed: int = 0
    longest: tuple[float, str] = (0.0, "")
    busy: float = 0.0
    unanswered: int = 0
    worker: float = 0.0
    decoder: float = 0.0
    main: float = 0.0


def play_all(target: Target, tricks: Sequence[Trick]) -> Results:
    """Play the tricks one after the other, beside an honest client that asks ten times a second."""
    results = Results()
    probe = Probe(target.is_well, target.server.process, SECONDS_BETWEEN_PROBES)
    with _peaks(target.server.process, results), probe.running():
        for trick in tricks:
            probe.longest = 0.0
            results.tried += 1
            problem = _problem(trick, target)
            results.passed += not problem
            results.longest = max(results.longest, (probe.longest, trick.name))
            shown = f"**{problem[:300]}**" if problem else "as expected"
            print(f"{trick.name[:60]}: {shown}, longest wait {probe.longest:.2f} s", file=sys.stderr, flush=True)
    results.unanswered, results.busy = probe.failures, probe.busiest
    return results


def _problem(trick: Trick, target: Target) -> str:
    try:
        return trick.play(target)
    except requests.RequestException as error:
        return f"no answer: {error}"


@contextlib.contextmanager
def _peaks(server: psutil.Process, results: Results) -> Iterator[None]:
    """Set the peaks of memory in the results at the end of the block."""
    for process in (server, *server.children(recursive=True)):
        # Forget the peak so far.
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    workers, decoders = PeakWatcher(server, "spawn_main"), PeakWatcher(server, "decoding_child")
    with workers.watching(), decoders.watching():
        yield
        # The watchers look ten times a second.
        time.sleep(0.3)
    results.worker = max(workers.peaks.values(), default=0.0)
    results.decoder = max(decoders.peaks.values(), default=0.0)
    results.main = peak_megabytes(server.pid)
