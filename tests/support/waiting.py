"""Waiting for a condition that no event announces."""

import contextlib
import os
import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

import requests

from model.resources import available_processors


def wait_until(condition: Callable[[], Any], seconds: float, process: "Popen[Any] | None" = None) -> Any:
    """Poll a condition until it is true, and return its value.

    Prefer what announces itself: a line of a log, the end of a process, a lock. This is for what does not.

    Args:
        seconds: before the test fails; more while more processes want to run than the machine has processors.
        process: that must run until the condition is true.

    Raises:
        AssertionError: the condition is still false after `seconds`, or the process has ended.
    """
    start = time.monotonic()
    while time.monotonic() < start + seconds * _slowdown():
        if result := condition():
            return result
        assert process is None or process.poll() is None, f"the process has ended with status {process.returncode}"
        time.sleep(0.02)
    raise AssertionError(f"waited {time.monotonic() - start:.0f} s in vain")


def _slowdown() -> float:
    """How many times longer than alone a process takes at the moment: between 1 and 8."""
    return min(8.0, max(1.0, os.getloadavg()[0] / available_processors()))


def answers(url: str) -> bool:
    """Whether a server answers a GET of this URL with success."""
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(url, timeout=10).ok
    return False
