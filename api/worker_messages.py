"""Messages between the server and a worker process. Each carries the number of the request that it belongs to."""

import pickle  # nosec B403: only between the processes of a service
import struct
from collections.abc import Iterator
from typing import NamedTuple

_LENGTH = struct.Struct("!Q")


class Call(NamedTuple):
    """From the server: execute a call.

    Attributes:
        content: pickled pair of a function and its arguments.
        exclusive: whether the worker executes nothing else meanwhile; then the call runs in its main thread.
    """

    number: int
    content: bytes
    exclusive: bool


class Cancel(NamedTuple):
    """From the server: the client of this request has disconnected; other requests are not affected."""

    number: int


class Started(NamedTuple):
    """From the worker: the execution of this call begins, and another worker must not repeat it."""

    number: int


class Progress(NamedTuple):
    """From the worker: this call advances."""

    number: int


class Waiting(NamedTuple):
    """From the worker: this call waits for another process, and the worker can execute another call meanwhile."""

    number: int


class Answer(NamedTuple):
    """From the worker: the call is done. `content` is a pickled pair of its result and its exception or None."""

    number: int
    content: bytes


Message = Call | Cancel | Started | Progress | Waiting | Answer


def framed(message: Message) -> bytes:
    """A message as it is sent: its length, then its content."""
    content = pickle.dumps(message)
    return _LENGTH.pack(len(content)) + content


class MessageBuffer:
    """The beginning of a message that has not been received completely."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, block: bytes) -> Iterator[Message]:
        """Add received bytes, and yield the messages that are complete."""
        self._bytes += block
        while len(self._bytes) >= _LENGTH.size:
            [length] = _LENGTH.unpack_from(self._bytes)
            end = _LENGTH.size + length
            if len(self._bytes) < end:
                return
            content = bytes(self._bytes[_LENGTH.size : end])
            del self._bytes[:end]
            yield pickle.loads(content)  # nosec B301: from our own process
