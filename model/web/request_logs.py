"""What a web server logs of the requests of its clients: short lines, and few of what is malformed.

aiohttp logs a traceback for each request that is not HTTP, and paths and headers of a request at their full length.
"""

import logging
import re
import time

from aiohttp.http_exceptions import HttpProcessingError

MAX_VALUE, MAX_LINE = 200, 1000
"""Characters of a path or header in the log, and of a line."""

_LONG_VALUE = re.compile(rf'"([^"]{{{MAX_VALUE}}})[^"]+"')
_SECONDS_BETWEEN_LINES = 60.0


class ShortLines(logging.Filter):
    """Filter that cuts the path and headers of a request in its log line, and the line itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut a record; keep it."""
        record.msg, record.args = _LONG_VALUE.sub(r'"\1..."', record.getMessage())[:MAX_LINE], None
        return True


class MalformedRequests(logging.Filter):
    """Filter that logs malformed requests in one line without a traceback, at most one in a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._last = -_SECONDS_BETWEEN_LINES
        self._unlogged = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep other records; of malformed requests the first, and one in each minute after it."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES:
            self._unlogged += 1
            return False
        reason = " ".join(f"{error.code} {error.message}".split())[:MAX_VALUE]
        record.msg = "malformed request refused: %s (%d more since the last such line)"
        record.args, record.exc_info = (reason, self._unlogged), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        self._last, self._unlogged = now, 0
        return True


def bound_request_logs() -> None:
    """Add the filters to the loggers of aiohttp's servers in this process."""
    for name, added in (("aiohttp.access", ShortLines), ("aiohttp.server", MalformedRequests)):
        logger = logging.getLogger(name)
        if not any(isinstance(one, added) for one in logger.filters):
            logger.addFilter(added())
