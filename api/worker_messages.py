"""Messages between the server and a worker process. Each carries the number of the request that it belongs to."""

from typing import NamedTuple


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
