"""The pipe of a worker process in the server, which sends and receives without blocking the event loop."""

import asyncio
import os
from collections.abc import Callable
from multiprocessing.connection import Connection

from api.worker_messages import Message, MessageBuffer, framed

_BLOCK = 1 << 18


class WorkerConnection:
    """Sends messages to a worker process in order, and passes on its messages, all in the event loop.

    What the pipe cannot take at once waits in memory: a worker that does not read blocks neither the server nor the
    cancellation of the requests of others. Threads would do the same, but each message would wait for a turn of two.

    Args:
        pipe: the server's end of the pipe.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._received = MessageBuffer()
        self._unsent = bytearray()
        self._is_writing = False

    def open(self, receive: Callable[[Message], None], end: Callable[[], None]) -> None:
        """Start to receive.

        Args:
            receive: called with each message of the worker.
            end: called once the pipe is closed, after the last message.

        Raises:
            OSError: the pipe cannot be watched.
        """
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._read, receive, end)

    def send(self, message: Message) -> None:
        """Send a message after those sent before; it is dropped if the worker has ended."""
        if self._pipe.closed:
            return
        self._unsent += framed(message)
        if not self._is_writing:
            self._write()

    def _write(self) -> None:
        try:
            del self._unsent[: os.write(self._pipe.fileno(), self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # the worker has ended, which `_read` notices
            self._unsent.clear()
        if bool(self._unsent) != self._is_writing:
            self._is_writing = not self._is_writing
            if self._is_writing:
                self._loop.add_writer(self._pipe.fileno(), self._write)
            else:
                self._loop.remove_writer(self._pipe.fileno())

    def _read(self, receive: Callable[[Message], None], end: Callable[[], None]) -> None:
        try:
            block = os.read(self._pipe.fileno(), _BLOCK)
        except BlockingIOError:
            return
        except OSError:
            block = b""
        for message in self._received.add(block):
            receive(message)
        if not block:
            self._loop.remove_reader(self._pipe.fileno())
            self._loop.remove_writer(self._pipe.fileno())
            self._pipe.close()
            end()
