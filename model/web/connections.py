"""Time limits for clients, and a bound on the open connections of a web server.

aiohttp waits forever for a request that a client does not complete, and accepts connections until no file descriptor is
left. Then no client is answered, and asyncio logs every attempt. Here the number of connections stays below the
descriptors that the process may open. At the limit a new connection takes the place of the one whose client has been
silent the longest; a request that the server is working on keeps its connection.
"""

import asyncio
import dataclasses
import json
import logging
import os
import resource
import socket
import time
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web

from model.web.request_logs import bound_request_logs

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1000
# Open files of a server without connections, where the system does not list them.
_DESCRIPTORS_WITHOUT_PROC = 32
_MIN_CONNECTIONS = 4
# A connection and the file of its upload or answer.
_DESCRIPTORS_OF_CONNECTION = 2
# asyncio accepts up to so many connections before it closes any.
_MIN_BATCH, _MAX_BATCH = 4, 64
# Waiting connections that the system accepts for the server.
_QUEUE = 512
_SECONDS_BETWEEN_CHECKS = 0.5
_SECONDS_BETWEEN_LOG_LINES = 60.0
_REFUSED = json.dumps({"message": "the server has too many connections. Try again in some seconds."})
_REFUSAL = "\r\n".join(
    [
        "HTTP/1.1 503 Service Unavailable",
        "Retry-After: 5",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(_REFUSED)}",
        "",
        _REFUSED,
    ]
).encode()
_ACCEPT_FAILED = "socket.accept() out of system resource"


@dataclasses.dataclass(frozen=True)
class ClientLimits:
    """Time limits for a client, in seconds.

    Attributes:
        head: for the line and the headers of a request, from the first byte or the connection on.
        silence: without any part of the body of a request.
        response: without any progress of a response.
        slow_after: after which a body must have arrived at `bytes_per_second` on average.
    """

    head: float = 15.0
    silence: float = 30.0
    response: float = 120.0
    slow_after: float = 60.0
    bytes_per_second: float = 1000.0


def limit_connections(application: web.Application, limits: ClientLimits | None = None) -> None:
    """Limit the connections of the server that is about to run this application, and what it logs of requests."""

    async def install(_: web.Application) -> None:
        bound_request_logs()
        _limit_servers(asyncio.get_running_loop(), limits or ClientLimits())

    application.on_startup.append(install)


def _limit_servers(loop: asyncio.AbstractEventLoop, limits: ClientLimits) -> None:
    """Wrap the function by which aiohttp's runner, that of DEEPaaS included, creates its servers."""
    create_server = loop.create_server

    async def create_limited_server(factory: Any, *arguments: Any, **options: Any) -> asyncio.Server:
        if not isinstance(factory, web.Server):
            return await create_server(factory, *arguments, **options)
        most, batch = _capacity()
        connections = Connections(most, limits, loop)
        server = await create_server(connections.wrap(factory), *arguments, **options | {"backlog": batch})
        for listener in server.sockets:
            with socket.socket(fileno=os.dup(listener.fileno())) as same:
                same.listen(_QUEUE)
        loop.set_exception_handler(connections.handle_exception)
        return server

    loop.create_server = create_limited_server  # type: ignore[method-assign, assignment]


def _capacity() -> tuple[int, int]:
    """Maximum number of connections, and of those accepted at once, for the descriptors that are free now."""
    free = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _open_descriptors()
    batch = max(_MIN_BATCH, min(free // 8, _MAX_BATCH))
    # As many again for files, pipes and processes of the server itself.
    connections = (free - 2 * batch) // _DESCRIPTORS_OF_CONNECTION
    return max(_MIN_CONNECTIONS, min(connections, MAX_CONNECTIONS)), batch


def _open_descriptors() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return _DESCRIPTORS_WITHOUT_PROC


class Connections:
    """The open connections of a server.

    Args:
        most: maximum number.
    """

    def __init__(self, most: int, limits: ClientLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.most = most
        self.limits = limits
        self.loop = loop
        self._open: set[_Connection] = set()
        self._logged: dict[str, float] = {}
        loop.call_later(_SECONDS_BETWEEN_CHECKS, self._check)

    def wrap(self, factory: Callable[[], Any]) -> "Callable[[], _Connection]":
        """Factory of connections with the protocols of another factory."""
        return lambda: _Connection(factory(), self)

    def add(self, connection: "_Connection") -> bool:
        """Add a connection, if necessary in the place of another; False if it must be refused."""
        if len(self._open) >= self.most and not self._close_most_silent():
            self._log_once("all %d connections are in use: further ones are refused", self.most)
            return False
        self._open.add(connection)
        return True

    def remove(self, connection: "_Connection") -> None:
        """Remove a connection that was closed."""
        self._open.discard(connection)

    def handle_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an error of asyncio: log once, without a traceback, that no connection can be accepted."""
        if context.get("message") != _ACCEPT_FAILED:
            loop.default_exception_handler(context)
            return
        self._close_most_silent()
        self._log_once("a connection cannot be accepted: %s", context.get("exception"))

    def _close_most_silent(self) -> bool:
        waiting = [connection for connection in self._open if connection.waits_for_client]
        if not waiting:
            return False
        self._log_once("%d connections are open: those whose clients are silent the longest are closed", self.most)
        self._abort(min(waiting, key=lambda connection: connection.last_received))
        return True

    def _check(self) -> None:
        now = self.loop.time()
        for connection in list(self._open):
            if reason := connection.overdue(now):
                self._log_once("a connection was closed: %s", reason)
                self._abort(connection)
        self.loop.call_later(_SECONDS_BETWEEN_CHECKS, self._check)

    def _abort(self, connection: "_Connection") -> None:
        self._open.discard(connection)
        connection.transport.abort()

    def _log_once(self, message: str, value: object) -> None:
        """Log a message unless it was logged within the last minute."""
        now = time.monotonic()
        if now - self._logged.get(message, -_SECONDS_BETWEEN_LOG_LINES) >= _SECONDS_BETWEEN_LOG_LINES:
            self._logged[message] = now
            log.warning(message, value)


class _Connection(asyncio.Protocol):
    """A connection: passes everything on to aiohttp's protocol, and records the activity of the client."""

    transport: asyncio.Transport

    def __init__(self, protocol: Any, connections: Connections) -> None:
        self._protocol = protocol
        self._connections = connections
        self._refused = False
        self._paused = False
        self._head_since: float | None = connections.loop.time()
        self._request_since = self._progress_since = self.last_received = connections.loop.time()
        self._received = self._unsent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass the connection on, or refuse it."""
        self.transport = cast(asyncio.Transport, transport)
        if self._connections.add(self):
            self._protocol.connection_made(self.transport)
            return
        self._refused = True
        self.transport.write(_REFUSAL)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the connection is closed."""
        self._connections.remove(self)
        if not self._refused:
            self._protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass data on."""
        if self._refused:
            return
        self.last_received = now = self._connections.loop.time()
        heads = self._protocol._request_count
        self._received += len(data)
        self._protocol.data_received(data)
        if self._protocol._request_count > heads:
            self._head_since, self._request_since, self._received = None, now, 0
        elif not self._protocol._request_in_progress and self._head_since is None:
            self._head_since = now

    def eof_received(self) -> bool | None:
        """Pass on that the client sends nothing more."""
        return None if self._refused else self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the client does not read as fast as data is sent."""
        self._paused = True
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client reads again."""
        self._paused = False
        self._protocol.resume_writing()

    @property
    def waits_for_client(self) -> bool:
        """Whether the server waits for the client: for a request, for the rest of one, or to read the response."""
        return not self._protocol._request_in_progress or self._waits_for_body or self._waits_for_reader

    def overdue(self, now: float) -> str:
        """The time limit that the client exceeds, in words; empty if none."""
        limits = self._connections.limits
        if not self._protocol._request_in_progress:
            is_late = self._head_since is not None and now - self._head_since > limits.head
            return f"its client did not complete a request within {limits.head:g} s" if is_late else ""
        if self._waits_for_body:
            seconds = now - self._request_since
            is_slow = seconds > limits.slow_after and self._received < seconds * limits.bytes_per_second
            is_late = is_slow or now - self.last_received > limits.silence
            return "its client stalled while it sent a request" if is_late else ""
        unsent = self.transport.get_write_buffer_size()
        if not self._waits_for_reader or unsent != self._unsent:
            self._unsent, self._progress_since = unsent, now
        is_late = now - self._progress_since > limits.response
        return "its client stalled while it received a response" if is_late else ""

    @property
    def _waits_for_body(self) -> bool:
        request = self._protocol._current_request
        # The server itself pauses reading while it cannot process more.
        return request is not None and not request.content.is_eof() and self.transport.is_reading()

    @property
    def _waits_for_reader(self) -> bool:
        # Without a current request, the response is complete and is being sent.
        return self._paused or self._protocol._current_request is None
