"""Waiting for a condition that no event announces."""

import contextlib
import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

import requests


def wait_until(condition: Callable[[], Any], seconds: float, process: "Popen[Any] | None" = None) -> Any:
    """Poll a condition until it is true, and return its value.

    Prefer what announces itself: a line of a log, the end of a process, a lock. This is for what does not.

    Args:
        seconds: before the test fails.
        process: that must run until the condition is true.

    Raises:
        AssertionError: the condition is still false after `seconds`, or the process has ended.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        assert process is None or process.poll() is None, f"the process has ended with status {process.returncode}"
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain")


def answers(url: str) -> bool:
    """Whether a server answers a GET of this URL with success."""
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(url, timeout=10).ok
    return False
