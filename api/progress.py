"""How far a long answer is, in the log."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator

from model.results import Prediction

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 5.0


def logged(
    predictions: Iterable[Prediction], name: str, total: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[Prediction]:
    """The same predictions; every five seconds a line tells how many there are, and at last one how long they took.

    Args:
        name: what the client calls that from which they come.
        total: how many there will be, as far as one knows.
    """
    start = told = clock()
    done = 0
    for prediction in predictions:
        done += 1
        if clock() - told >= _SECONDS_BETWEEN_LINES:
            told = clock()
            log.info("%s: %d of %d images, %.1f images/s", name, done, max(done, total), done / (told - start))
        yield prediction
    seconds = max(clock() - start, 1e-9)
    log.info("%s: all %d images in %.1f s, %.1f images/s", name, done, seconds, done / seconds)
