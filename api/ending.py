"""The end of a worker process by SIGTERM: what is only in memory is written down first."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

# Docker gives a service ten seconds in all, of which requests in hand may take eight.
_SECONDS_TO_WRITE = 1.5


class GoodEnding:
    """Has SIGTERM end this process in good order. While a training is waited for, that has a handler of its own.

    It is written beside what the process is at, which goes on meanwhile: an exception would come at any place of it.

    Args:
        write: writes down what is only in memory.
    """

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._asked = threading.Event()
        threading.Thread(target=self._write_and_end, daemon=True, name="ends the process").start()
        signal.signal(signal.SIGTERM, self._end)

    def hold(self) -> None:
        """Return at once, or never if the process is to end: another is to do what has not begun."""
        while self._asked.is_set():
            signal.pause()

    def _end(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # A storage that does not answer must not keep the service from ending.
        signal.setitimer(signal.ITIMER_REAL, _SECONDS_TO_WRITE)
        self._asked.set()

    def _write_and_end(self) -> None:
        self._asked.wait()
        try:
            self._write()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
