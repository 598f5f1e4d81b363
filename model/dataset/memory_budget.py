"""Limits on the memory that the threads of a process take together for photos."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from model.dataset.image_limits import MAX_CONTENT_BYTES, MAX_DECODING_BYTES, QUICK_BYTES
from model.resources import release_free_memory
from model.waiting import wait_until

Item = TypeVar("Item")
Result = TypeVar("Result")

# Memory that the decoder frees of a smaller image is soon used again.
_LARGE_IMAGE = 64_000_000


class MemoryBudget:
    """Limits the memory that threads take at the same time, by default to that of decoding the largest image."""

    def __init__(self, total: int = MAX_DECODING_BYTES) -> None:
        self._free = self._total = total
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def reserve(self, memory: int) -> Iterator[None]:
        """Wait until so many bytes are free in the budget, and take them from it inside the block."""
        memory = min(memory, self._total)
        wait_until(lambda seconds: self._take(memory, seconds))
        try:
            yield
        finally:
            if memory > _LARGE_IMAGE:
                release_free_memory()
            with self._changed:
                self._free += memory
                self._changed.notify_all()

    def _take(self, memory: int, seconds: float) -> bool:
        with self._changed:
            if not self._changed.wait_for(lambda: self._free >= memory, seconds):
                return False
            self._free -= memory
            return True


_CONTENT = MemoryBudget(MAX_CONTENT_BYTES)
_reserved: ContextVar[contextlib.ExitStack | None] = ContextVar("reserved", default=None)


def reserve_content(size: int) -> None:
    """Wait, inside `with_limited_content`, until the budget has room for a large file that is about to be read.

    A thread that already holds a large file does not wait: it could wait for another one that waits for it.
    """
    reserved = _reserved.get()
    if reserved is not None and size > QUICK_BYTES:
        reserved.enter_context(_CONTENT.reserve(size))
        _reserved.set(None)


def with_limited_content(work: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """A function like `work`, until whose end the first large file that it reads counts in the budget of all threads.

    Its result must not contain the file.
    """

    def limited(item: Item) -> Result:
        with contextlib.ExitStack() as reserved:
            token = _reserved.set(reserved)
            try:
                return work(item)
            finally:
                _reserved.reset(token)

    return limited
