"""Messages between the server and a worker process. Each carries the number of the request that it belongs to."""

from typing import NamedTuple


class Call(NamedTuple):
    """From the server: execute a call. `content` is a pickled pair of a function and its arguments."""

    number: int
    content: bytes


class Cancel(NamedTuple):
    """From the server: the client of this request has disconnected; other requests are not affected."""

    number: int


class Started(NamedTuple):
    """From the worker: the execution of this call begins, and another worker must not repeat it."""

    number: int


class Answer(NamedTuple):
    """From the worker: the call is done. `content` is a pickled pair of its result and its exception or None."""

    number: int
    content: bytes


Message = Call | Cancel | Started | Answer
