"""The pipe of a worker process in the server, which sends and receives without blocking the event loop."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from api.worker_messages import Message


class WorkerConnection:
    """Sends messages to a worker process in order, and passes its messages to the event loop.

    Two threads per worker: a worker that does not read blocks neither the server nor cancellation of the
    requests of others.

    Args:
        pipe: the server's end of the pipe.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._outgoing: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

    def open(self, receive: Callable[[Message], None], ended: Callable[[], str], end: Callable[[str], None]) -> None:
        """Start to send and receive.

        Args:
            receive: called in the event loop with each message of the worker.
            ended: called in a thread once the pipe is closed; may wait for the exit of the process and describes it.
            end: called in the event loop with this description, after the last message.

        Raises:
            RuntimeError: no thread can be started.
        """
        threading.Thread(target=self._send_all, daemon=True, name="sends to a worker").start()
        arguments = (receive, ended, end)
        try:
            threading.Thread(
                target=self._receive_all, args=arguments, daemon=True, name="receives from a worker"
            ).start()
        except RuntimeError:
            self._outgoing.put(None)
            raise

    def send(self, message: Message) -> None:
        """Send a message after those sent before; it is dropped if the worker has ended."""
        self._outgoing.put(message)

    def _send_all(self) -> None:
        with contextlib.suppress(OSError):
            while (message := self._outgoing.get()) is not None:
                self._pipe.send(message)

    def _receive_all(
        self, receive: Callable[[Message], None], ended: Callable[[], str], end: Callable[[str], None]
    ) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._post(receive, self._pipe.recv())
        self._outgoing.put(None)
        self._post(end, ended())

    def _post(self, function: Callable[[Any], None], argument: Any) -> None:
        # The event loop may have stopped in the meantime.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, argument)
