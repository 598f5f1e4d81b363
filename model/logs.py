"""Log lines: without credentials, and of visible characters only.

Texts from outside are arguments of log calls; the message with its `%s` is ours.
"""

import logging
import traceback

from model.addresses import redacted
from model.shown import indented, printable, printable_text


class ProtectingFilter(logging.Filter):
    """Filter of a log handler: it redacts and escapes the messages and tracebacks of all libraries.

    A text among the arguments stays on its line. Further lines, such as those of an error, are indented.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact and escape a record; keep it."""
        if isinstance(record.args, tuple):
            record.args = tuple(printable(value) if isinstance(value, str) else value for value in record.args)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            return True  # the handler reports what is wrong with the arguments
        record.msg, record.args = indented(_protected(message)), None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            record.exc_info = None
        if record.exc_text:
            record.exc_text = _protected(record.exc_text)
        return True


def protect_logs() -> None:
    """Redact and escape what the handlers of the root logger write, warnings of Python included."""
    logging.captureWarnings(True)
    for handler in logging.getLogger().handlers:
        if not any(isinstance(one, ProtectingFilter) for one in handler.filters):
            handler.addFilter(ProtectingFilter())


def _protected(text: str) -> str:
    return printable_text(redacted(text))
