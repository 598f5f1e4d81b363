"""Training batches prepared ahead in a thread, while the training uses those before them."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

_PREFETCHED = 2

T = TypeVar("T")


class Prefetched(Generic[T]):
    """Items prepared in a thread, at most two ahead of the consumer, in their order.

    Attributes:
        waited: seconds that the consumer has waited for items.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self.waited = 0.0

    def __iter__(self) -> Iterator[T]:
        end = object()
        with ThreadPoolExecutor(1, "prefetch") as worker:
            pending = deque(worker.submit(next, self._items, end) for _ in range(_PREFETCHED))
            while True:
                started = time.perf_counter()
                item = pending.popleft().result()
                self.waited += time.perf_counter() - started
                if item is end:
                    return
                pending.append(worker.submit(next, self._items, end))
                yield item  # type: ignore[misc]
