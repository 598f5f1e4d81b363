"""An honest client that asks again and again beside an attack."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


class Probe:
    """A client in a thread of its own.

    Attributes:
        longest: longest time of an answer in seconds.
        answers: number of answers.
        failures: number of answers that were not as expected.

    Args:
        ask: sends a request and returns whether the answer is as expected.
        pause: seconds between an answer and the next request.
    """

    def __init__(self, ask: Callable[[], bool], pause: float = 0.02) -> None:
        self.longest = 0.0
        self.answers = self.failures = 0
        self._ask, self._pause = ask, pause
        self._ended = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Ask inside the `with` block."""
        thread = threading.Thread(target=self._ask_again)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _ask_again(self) -> None:
        while not self._ended.wait(self._pause):
            start = time.perf_counter()
            as_expected = False
            # An error counts as a failure; the thread goes on.
            with contextlib.suppress(Exception):
                as_expected = self._ask()
            self.longest = max(self.longest, time.perf_counter() - start)
            self.answers += 1
            self.failures += not as_expected
