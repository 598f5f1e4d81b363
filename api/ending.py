"""The end of a worker process by SIGTERM: what is only in memory is written down first."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

# Docker gives a service ten seconds in all, of which requests in hand may take eight.
SECONDS_TO_WRITE = 1.5
_SECONDS_FOR_PYTHON_TO_HEED = 0.2


class GoodEnding:
    """Has SIGTERM end this process in good order. While a training is waited for, that has a handler of its own.

    It is written beside what the process is at, which goes on meanwhile: an exception would come at any place of it.
    Python's own handler waits for native code and for storages that do not answer; what ends the process does not.

    Args:
        write: writes down what is only in memory.
    """

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._asked = threading.Event()
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(reader,), daemon=True, name="ends the process").start()
        signal.signal(signal.SIGTERM, self._end)

    def hold(self) -> None:
        """Return at once, or never if the process is to end: another is to do what has not begun."""
        while self._asked.is_set():
            signal.pause()

    def _end(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._asked.set()

    def _listen(self, reader: int) -> None:
        """Read the numbers of signals, which the system writes at once."""
        while os.read(reader, 1) != bytes([signal.SIGTERM]) or not self._is_ours():
            pass
        self._asked.set()
        # A storage that does not answer must not keep the service from ending.
        signal.setitimer(signal.ITIMER_REAL, SECONDS_TO_WRITE)
        try:
            self._write()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_SECONDS_FOR_PYTHON_TO_HEED)
            os.kill(os.getpid(), signal.SIGALRM)

    def _is_ours(self) -> bool:
        return signal.getsignal(signal.SIGTERM) in (self._end, signal.SIG_DFL)
