"""Keeps a server running: starts it anew when it has ended or answers no more, and leaves nothing of it behind.

The server has a session of its own: what it started ends with it, but for trainings, which have sessions of their own
and see to their end themselves.
"""

import contextlib
import dataclasses
import http.client
import logging
import os
import signal
import socket
import subprocess  # nosec B404: starts the server
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType

from model.errors import ConfigError
from model.processes import describe_exit, start_child

log = logging.getLogger(__name__)

_STOP = (signal.SIGTERM, signal.SIGINT)
# Of the addresses that mean every address.
_NEAR = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # nosec B104: not listened on here


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds.

    Attributes:
        start: from the start to the first answer.
        silence: without an answer, before the server is started anew. Work is done by other processes: only a large
            request that arrives keeps it from answering, for seconds.
        answer: for one answer.
        between_questions: from one to the next.
        between_looks: whether it has ended.
        stop: for its end in good order; below the ten seconds that Docker waits.
        pauses: before the first, second, ... start anew, and all after these; the first again after `calm`.
        calm: how long it must have run to be no trouble.
    """

    start: float = 120.0
    silence: float = 60.0
    answer: float = 10.0
    between_questions: float = 10.0
    between_looks: float = 0.5
    stop: float = 8.0
    pauses: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
    calm: float = 120.0


@dataclasses.dataclass(frozen=True)
class Address:
    """Where the server listens, and a path that it answers with a status below 500."""

    host: str
    port: int
    path: str

    @property
    def near_host(self) -> str:
        """By which this machine itself reaches it."""
        return _NEAR.get(self.host, self.host)

    def check_free(self) -> None:
        """Raise ConfigError if another program listens there: it would be taken for the server."""
        try:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            with socket.create_server((self.host, self.port), family=family):
                pass
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"port {self.port} of {self.host}: expected to listen there, but: {error}. "
                "Is the service running already? Stop it, or take another port: --port N."
            ) from error

    def answers(self, seconds: float) -> bool:
        """Whether an answer comes in time."""
        connection = http.client.HTTPConnection(self.near_host, self.port, timeout=seconds)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", self.path)
            return connection.getresponse().status < 500
        return False


def keep_running(
    command: Sequence[str], environment: Mapping[str, str], address: Address, patience: Patience | None = None
) -> None:
    """Run a server until this process is asked to stop, by SIGTERM or SIGINT; call it from the main thread.

    Raises:
        ConfigError: the address is not free, or the server ended before its first answer, when it was first started.
    """
    address.check_free()
    _Supervisor(command, environment, address, patience or Patience()).run()


class _Supervisor:
    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], address: Address, patience: Patience
    ) -> None:
        self._command, self._environment, self._address = command, environment, address
        self._patience = patience
        self._asked_to_stop = threading.Event()
        self._has_answered = False

    def run(self) -> None:
        troubles = 0
        with self._heeding_signals():
            while True:
                started = time.monotonic()
                why = self._run_once()
                if self._asked_to_stop.is_set():
                    return
                if not self._has_answered:
                    raise ConfigError(f"the server {why} before it answered at all. What it said is above.")
                troubles = 0 if time.monotonic() - started > self._patience.calm else troubles
                pause = self._patience.pauses[min(troubles, len(self._patience.pauses) - 1)]
                log.warning("the server %s; it is started anew in %.0f s", why, pause)
                troubles += 1
                if self._asked_to_stop.wait(pause):
                    return

    def _run_once(self) -> str:
        """Start the server, watch it, end what is left of it; why it had to end."""
        # In good order where this process is killed.
        server = start_child(
            self._command, number=signal.SIGTERM, env=dict(self._environment), stdin=None, start_new_session=True
        )
        try:
            return self._watch(server)
        finally:
            self._end(server)

    def _watch(self, server: "subprocess.Popen[bytes]") -> str:
        answered = asked = time.monotonic()
        is_ready = False
        while not self._asked_to_stop.wait(self._patience.between_looks):
            _reap_all_but(server.pid)
            if server.poll() is not None:
                return describe_exit(server.returncode)
            if is_ready and time.monotonic() - asked < self._patience.between_questions:
                continue
            asked = time.monotonic()
            if self._address.answers(self._patience.answer):
                answered, is_ready, self._has_answered = time.monotonic(), True, True
            limit = self._patience.silence if is_ready else self._patience.start
            if time.monotonic() - answered > limit:
                return f"did not answer for {limit:.0f} s"
        return "was asked to stop"

    def _end(self, server: "subprocess.Popen[bytes]") -> None:
        if self._asked_to_stop.is_set():
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(self._patience.stop)
        # Its workers too, if it was killed: they would go on with what nobody waits for.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()

    @contextlib.contextmanager
    def _heeding_signals(self) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            self._asked_to_stop.set()

        previous = {number: signal.signal(number, stop) for number in _STOP}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _reap_all_but(server: int) -> None:
    """In a container this is process 1, which gets every process whose parent has gone, and must see to its end."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != server:
            os.waitpid(ended.si_pid, 0)
