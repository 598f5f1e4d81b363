"""Preparing what comes next while the present is worked on."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

_AHEAD = 2


class PreparedAhead(Generic[T]):
    """The same items in the same order, made by a thread of their own, at most two ahead.

    Attributes:
        waited: seconds that the consumer has waited for items so far.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self.waited = 0.0

    def __iter__(self) -> Iterator[T]:
        end = object()
        with ThreadPoolExecutor(1, "prefetch") as worker:
            pending = deque(worker.submit(next, self._items, end) for _ in range(_AHEAD))
            while True:
                started = time.perf_counter()
                item = pending.popleft().result()
                self.waited += time.perf_counter() - started
                if item is end:
                    return
                pending.append(worker.submit(next, self._items, end))
                yield item  # type: ignore[misc]
