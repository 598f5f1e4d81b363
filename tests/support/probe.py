"""An honest client that asks again and again beside an attack."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import psutil


@contextlib.contextmanager
def repeated(action: Callable[[], object], pause: float) -> Iterator[None]:
    """Do something again and again, in a thread of its own, inside the `with` block.

    Args:
        pause: seconds before each time.
    """
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(pause):
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Probe:
    """A client in a thread of its own.

    Attributes:
        longest: longest time of an answer in seconds.
        busiest: most processor seconds that the asked process used during an answer. Where it has a processor for
            itself, it keeps no client waiting longer; unlike `longest`, this depends little on other processes.
        answers: number of answers.
        failures: number of answers that were not as expected.

    Args:
        ask: sends a request and returns whether the answer is as expected.
        process: the process that is asked.
        pause: seconds between an answer and the next request.
    """

    def __init__(self, ask: Callable[[], bool], process: psutil.Process, pause: float = 0.02) -> None:
        self.longest = self.busiest = 0.0
        self.answers = self.failures = 0
        self._ask, self._process, self._pause = ask, process, pause

    def running(self) -> contextlib.AbstractContextManager[None]:
        """Ask inside the `with` block."""
        return repeated(self._ask_once, self._pause)

    def _ask_once(self) -> None:
        start, used = time.perf_counter(), self._processor_seconds()
        as_expected = False
        # An error counts as a failure; the thread goes on.
        with contextlib.suppress(Exception):
            as_expected = self._ask()
        self.longest = max(self.longest, time.perf_counter() - start)
        self.busiest = max(self.busiest, self._processor_seconds() - used)
        self.answers += 1
        self.failures += not as_expected

    def _processor_seconds(self) -> float:
        taken = self._process.cpu_times()
        return taken.user + taken.system
