"""Supervisor of the server: restarts it when it exits or hangs, and leaves no process of it behind.

The server has its own session: the processes that it started end with it, except trainings, which have their own
sessions and end themselves.
"""

import contextlib
import dataclasses
import http.client
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType

from model.errors import ConfigError
from model.processes import describe_exit, start_child
from model.reading import without_number

log = logging.getLogger(__name__)

_STOP = (signal.SIGTERM, signal.SIGINT)
# Addresses that mean every address -> the one by which this machine reaches them.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # nosec B104: not listened on here

_ADVICE = "Is the service running already? Stop it, or choose another port: --port N."


@dataclasses.dataclass(frozen=True)
class Patience:
    """Time limits and pauses, in seconds.

    Attributes:
        start: from the start of the server to its first response.
        silence: without a response, before the server is restarted. Its work is done by other processes: only the
            arrival of a large request keeps it from responding, for seconds.
        answer: for one response to a health check.
        between_health_checks: from one health check to the next.
        between_exit_checks: from one check whether the server has exited to the next.
        stop: for a graceful shutdown; below the ten seconds that Docker waits.
        pauses: before the first, second, ... restart; the last one before all further restarts.
        stable: run time after which the next restart counts as the first.
    """

    start: float = 120.0
    silence: float = 60.0
    answer: float = 10.0
    between_health_checks: float = 10.0
    between_exit_checks: float = 0.5
    stop: float = 8.0
    pauses: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
    stable: float = 120.0


@dataclasses.dataclass(frozen=True)
class Address:
    """Address of the server, and a path for health checks: a healthy server responds with a status below 500."""

    host: str
    port: int
    path: str

    @property
    def local_host(self) -> str:
        """Host name for connections from this machine."""
        return _LOOPBACK.get(self.host, self.host)

    @property
    def url(self) -> str:
        """URL for connections from this machine."""
        host = f"[{self.local_host}]" if ":" in self.local_host else self.local_host
        return f"http://{host}:{self.port}{self.path}"

    def check_free(self, advice: str = _ADVICE) -> None:
        """Raise ConfigError if another program listens on this address and would be mistaken for the server.

        Args:
            advice: what to do then, sentences.
        """
        try:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            with socket.create_server((self.host, self.port), family=family):
                pass
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"port {self.port} of {self.host}: expected a free port, received: {without_number(error)}. {advice}"
            ) from error

    def answers(self, seconds: float) -> bool:
        """Whether the server responds in time."""
        connection = http.client.HTTPConnection(self.local_host, self.port, timeout=seconds)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", self.path)
            return connection.getresponse().status < 500
        return False


def keep_running(
    command: Sequence[str], environment: Mapping[str, str], address: Address, patience: Patience | None = None
) -> None:
    """Run a server until this process receives SIGTERM or SIGINT; call it from the main thread.

    Raises:
        ConfigError: the address is in use, or the server exited before its first response after the first start.
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
        restarts = 0
        with self._heeding_signals():
            while True:
                started = time.monotonic()
                reason = self._run_once()
                if self._asked_to_stop.is_set():
                    return
                if not self._has_answered:
                    raise ConfigError(f"the server {reason} before its first response. See its log above.")
                restarts = 0 if time.monotonic() - started > self._patience.stable else restarts
                pause = self._patience.pauses[min(restarts, len(self._patience.pauses) - 1)]
                log.warning("the server %s; restarting it in %.0f s", reason, pause)
                restarts += 1
                if self._asked_to_stop.wait(pause):
                    return

    def _run_once(self) -> str:
        """Run the server until it exits or must be stopped, and end its processes; return the reason, for messages."""
        # SIGTERM: if this process is killed, the server still shuts down gracefully.
        server = start_child(
            self._command, number=signal.SIGTERM, env=dict(self._environment), stdin=None, start_new_session=True
        )
        try:
            return self._watch(server)
        finally:
            self._end(server)

    def _watch(self, server: "subprocess.Popen[bytes]") -> str:
        answered = checked = time.monotonic()
        is_ready = False
        while not self._asked_to_stop.wait(self._patience.between_exit_checks):
            _reap_all_but(server.pid)
            if server.poll() is not None:
                return describe_exit(server.returncode)
            if is_ready and time.monotonic() - checked < self._patience.between_health_checks:
                continue
            checked = time.monotonic()
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
        # Its workers too: those of a killed server would continue requests without a client.
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
    """Reap orphans: in a container this is process 1, which becomes the parent of every orphaned process."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != server:
            os.waitpid(ended.si_pid, 0)
