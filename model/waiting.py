"""Notice of long waits: a library function that waits calls what its caller has set, several times a second.

The service uses it to give other requests a turn, and to end the wait for a client that has disconnected.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

SECONDS_BETWEEN_NOTICES = 0.25

_notice: ContextVar[Callable[[], None] | None] = ContextVar("notice", default=None)


@contextlib.contextmanager
def on_waiting(notice: Callable[[], None]) -> Iterator[None]:
    """Call a function whenever this thread, or a thread with its context, waits inside.

    Args:
        notice: may raise an exception, which ends the wait.
    """
    token = _notice.set(notice)
    try:
        yield
    finally:
        _notice.reset(token)


def wait_until(is_over: Callable[[float], bool]) -> None:
    """Wait for a condition, with notices.

    Args:
        is_over: waits at most so many seconds for the condition, and returns whether it holds.
    """
    while not is_over(SECONDS_BETWEEN_NOTICES):
        if (notice := _notice.get()) is not None:
            notice()
