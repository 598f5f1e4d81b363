"""Turns at the processes that decode slow photos: many slow photos of one request do not keep another one waiting."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from model.waiting import wait_until

SECONDS_OF_A_TURN = 1.0
"""Seconds after which a photo gives its place to another request, while it is still being decoded."""

# Of one request; its later photos get one turn each.
_MAX_STOPPED = 3


@dataclasses.dataclass(eq=False)
class Request:
    """A request whose photos take turns with those of others.

    Attributes:
        stopped: number of its photos that took too long.
    """

    stopped: int = 0

    def time_limit(self, seconds: float) -> float:
        """Time limit in seconds of its next photo: lower after several that took too long."""
        return seconds if self.stopped < _MAX_STOPPED else min(seconds, SECONDS_OF_A_TURN)


_request: ContextVar[Request | None] = ContextVar("request", default=None)


@contextlib.contextmanager
def one_request() -> Iterator[None]:
    """Let the photos that this thread, or a thread with its context, decodes inside count as those of one request."""
    token = _request.set(Request())
    try:
        yield
    finally:
        _request.reset(token)


def is_request() -> bool:
    """Whether this thread works for a request, and not for a dataset."""
    return _request.get() is not None


def count_stopped() -> None:
    """Count a photo of this request that took too long."""
    if (request := _request.get()) is not None:
        request.stopped += 1


def time_limit(seconds: float) -> float:
    """Time limit in seconds of the next photo of this request; work that is no request keeps its own."""
    request = _request.get()
    return seconds if request is None else request.time_limit(seconds)


@dataclasses.dataclass(eq=False)
class _Turn:
    request: Request | None
    start: float = 0.0


class Turns:
    """Places for photos that are decoded at the same time. Safe to use from threads.

    The next free place goes to the request with the fewest photos in decoding, and of these to the one that came first.
    A photo that takes longer than a turn no longer counts, up to as many photos as places, for other requests.

    Args:
        places: number of photos.
        clock: function that returns seconds.
    """

    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places, self._clock = places, clock
        self._changed = threading.Condition()
        self._waiting: list[_Turn] = []
        self._running: list[_Turn] = []

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place, and keep it inside the block."""
        turn = _Turn(_request.get())
        with self._changed:
            self._waiting.append(turn)
        try:
            wait_until(lambda seconds: self._begins(turn, seconds))
            yield
        finally:
            with self._changed:
                (self._running if turn in self._running else self._waiting).remove(turn)
                self._changed.notify_all()

    def _begins(self, turn: _Turn, seconds: float) -> bool:
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_next(turn), seconds):
                return False
            self._waiting.remove(turn)
            turn.start = self._clock()
            self._running.append(turn)
            self._changed.notify_all()
            return True

    def _is_next(self, turn: _Turn) -> bool:
        able = [waiting for waiting in self._waiting if self._has_place(waiting)]
        return bool(able) and turn is min(able, key=self._photos_in_decoding)

    def _has_place(self, turn: _Turn) -> bool:
        now = self._clock()
        long = sum(
            running.request is not turn.request and now - running.start >= SECONDS_OF_A_TURN
            for running in self._running
        )
        return len(self._running) - min(long, self._places) < self._places

    def _photos_in_decoding(self, turn: _Turn) -> int:
        return sum(running.request is turn.request for running in self._running)
