"""Notice of long waits: a library function that waits calls what its caller has set, several times a second.

The service uses it to give other requests a turn, and to end the wait for a client that has disconnected.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

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
        _notify()


async def wait_for_task(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine, with notices; a notice that raises an exception cancels it."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=SECONDS_BETWEEN_NOTICES))[0]:
            _notify()
        return task.result()
    finally:
        task.cancel()


def _notify() -> None:
    if (notice := _notice.get()) is not None:
        notice()
