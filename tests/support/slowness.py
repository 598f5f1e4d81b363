"""How slow the machine of the tests is: limits in seconds are multiplied by it.

Virtual machines differ less in arithmetic than in system calls and in new pages of memory, so each is measured.
"""

import functools
import os
import time
from collections.abc import Callable


def _calculate() -> None:
    texts: dict[int, str] = {}
    for number in range(200_000):
        texts[number % 1000] = str(number)


def _call_the_system() -> None:
    for _ in range(2500):
        with open(os.devnull, "rb", buffering=0) as stream:
            stream.read(1)
        os.stat(__file__)


def _touch_new_memory() -> None:
    for _ in range(4):
        bytearray(32 * 1024**2)


# Processor seconds on an ordinary machine.
_ORDINARY: dict[Callable[[], None], float] = {_calculate: 0.03, _call_the_system: 0.015, _touch_new_memory: 0.025}


@functools.cache
def slowness() -> float:
    """How many times longer work takes here than on an ordinary machine: at least 1."""
    return max(1.0, *(min(_processor_seconds(work) for _ in range(3)) / usual for work, usual in _ORDINARY.items()))


def _processor_seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
