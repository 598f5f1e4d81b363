"""Waiting for a condition that no event announces."""

import time
from collections.abc import Callable
from typing import Any


def wait_until(condition: Callable[[], Any], seconds: float) -> Any:
    """Poll a condition until it is true, and return its value.

    Prefer what announces itself: a line of a log, the end of a process, a lock. This is for what does not.

    Raises:
        AssertionError: it is still false after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain")
