"""Batches are made ahead, in order, and no further than the limit."""

import threading
import time
from collections.abc import Iterator

import pytest

from model.training.prefetch import Prefetched


def test_items_are_in_order_and_at_most_two_are_prefetched():
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    taken = []
    for item in Prefetched(items()):
        time.sleep(0.01)
        taken.append(item)
        assert len(made) <= len(taken) + 2
    assert taken == list(range(10))


def test_items_are_prepared_while_the_previous_one_is_used():
    def items() -> Iterator[int]:
        for number in range(8):
            time.sleep(0.02)
            yield number

    prepared = Prefetched(items())
    started = time.perf_counter()
    for _ in prepared:
        time.sleep(0.04)
    whole = time.perf_counter() - started
    assert prepared.waited < whole / 2
    idle = Prefetched(items())
    list(idle)
    assert idle.waited > 0.1


def test_an_error_is_raised_in_the_consumer():
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    taken: list[object] = []
    with pytest.raises(OSError, match="the disk is gone"):
        taken.extend(Prefetched(items()))


def test_no_thread_is_left_after_a_broken_loop():
    def items() -> Iterator[int]:
        yield from range(1000)

    for item in Prefetched(items()):
        if item == 3:
            break
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(thread.name.startswith("prefetch") for thread in threading.enumerate()):
        time.sleep(0.01)
    assert not any(thread.name.startswith("prefetch") for thread in threading.enumerate())
