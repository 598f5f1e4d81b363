"""Errors of rclone and of servers as Topgraft's errors, each with a remedy; retries.

rclone has the same exit status for a wrong password and for a full disk, so its messages decide.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from model import errors
from model.addresses import without_credentials
from model.errors import StorageBusyError, StorageError, StorageUnreachableError

Result = TypeVar("Result")

SECONDS_BETWEEN_TRIES = (1.0, 2.0, 4.0, 8.0)
_MESSAGES_SHOWN = 3
# Time and level, where rclone does not write JSON.
_LOG_HEAD = re.compile(r"^\s*\d{4}/\d\d/\d\d \d\d:\d\d:\d\d [A-Z]+\s*:\s*")

log = logging.getLogger(__name__)

# Messages are read without names and addresses: a photo may be called 403.jpg, a folder quota.
_QUOTED = re.compile(r"""\"(?:[^"\\]|\\.)*\"|(?<![\w)])'[^']*'(?!\w)""")
_ADDRESS = re.compile(r"\w+://\S+")
_PATH = re.compile(r"(?<![^\s(])/\S*")
# Not a part of a path, a file name or a longer word; for a number not a port or a count either.
_WORD = r"(?<![\w./])(?:{})(?![\w/]|\.\w)"
_STATUS = r"(?<![\w./-])(?<![\w\]]:)(?:{})(?![\w/-]|\.\w| bytes| more)"


def _words(words: str, statuses: str = "") -> re.Pattern[str]:
    pattern = _WORD.format(words) + (f"|{_STATUS.format(statuses)}" if statuses else "")
    return re.compile(pattern, re.IGNORECASE)


# The first match counts: patterns that are more certain come first.
_KINDS: tuple[tuple[type[StorageError], re.Pattern[str], str], ...] = (
    (
        errors.StorageSettingsError,
        _words("couldn't decrypt password"),
        "Set its password (for rshare: RCLONE_CONFIG_RSHARE_PASS) to the output of `rclone obscure -`",
    ),
    (
        errors.StorageSettingsError,
        _words(
            r"didn't find section|didn't find backend|looks incorrect|error reading section|unsupported protocol scheme"
            r"|failed to load config|couldn't decrypt|failed to decrypt|invalid port|failed to parse|missing host"
            r"|no Host"
        ),
        "Run `topgraft doctor --storage` to check its settings",
    ),
    (
        errors.StorageDamagedError,
        _words(r"corrupted on transfer|hash(es)? differ|sizes differ"),
        "Try again",
    ),
    (
        errors.StorageRefusedError,
        _words(r"unauthori[sz]ed|forbidden|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied", "40[13]"),
        "Check the user, the (app) password and the permissions of this user; it was not retried",
    ),
    (
        errors.StorageFullError,
        _words(
            r"insufficient storage|InsufficientStorage|\w*quota\w*|no space left|disk full|file too large"
            r"|EntityTooLarge",
            "507|413",
        ),
        "Free some space, or ask for a larger quota",
    ),
    (
        errors.StorageBusyError,
        _words(r"locked|SlowDown|service unavailable|bad gateway", "423|425|429|50[0-4]|509"),
        "It was retried for a while. Try again later",
    ),
    (
        errors.StorageNotFoundError,
        _words(r"not found|no such file or directory|NoSuchBucket|NoSuchKey|doesn't exist", "404"),
        "Check the path; `topgraft doctor --storage` lists the existing names",
    ),
    (
        errors.StorageUnreachableError,
        _words(
            r"connection refused|connection reset|no such host|timeout|timed out|deadline exceeded|unreachable|EOF"
            r"|broken pipe|tls|x509|certificate|dial tcp|network|connection closed|connection aborted|Max retries"
            r"|IncompleteRead"
        ),
        "Check that the server runs and can be reached; transferred data is kept",
    ),
    (errors.StorageDamagedError, _words("checksum"), "Try again"),
)


def failure(action: str, messages: Sequence[str], names: Iterable[str] = ()) -> StorageError:
    """The error for a failed action; its class is found from the messages.

    Credentials in URLs of the messages are left out.

    Args:
        action: verb phrase for the action that failed, such as "fetch rshare:a".
        messages: messages of rclone or the server.
        names: paths, `remote:path` and names of files that were handled; they do not take part in finding the class.
    """
    distinct = {_shown(message): message for message in messages if message.strip()}
    last = list(distinct)[-_MESSAGES_SHOWN:]
    received = "; ".join(last) or "nothing"
    searched = "; ".join(_without_names(distinct[shown], names) for shown in last)
    for kind, pattern, advice in _KINDS:
        if pattern.search(searched):
            return kind(f"{action}: failed. Received: {received}. {advice}.")
    return StorageError(f"{action}: failed. Received: {received}. Run `topgraft doctor --storage` to find the cause.")


def with_retries(work: Callable[[], Result]) -> Result:
    """Call `work`, and retry after each of `SECONDS_BETWEEN_TRIES` if the storage is busy or silent; never if refused.

    Raises:
        StorageError: error of the last try.
    """
    for pause in SECONDS_BETWEEN_TRIES:
        try:
            return work()
        except (StorageBusyError, StorageUnreachableError) as error:
            log.warning("%s Retrying in %g s.", error.message, pause)
        time.sleep(pause)
    return work()


def _shown(message: str) -> str:
    return re.sub(r"\w+://[^\s\"'<>]+", lambda address: without_credentials(address[0]), _line(message))


def _without_names(message: str, names: Iterable[str]) -> str:
    """A message without the names and addresses in it."""
    text = _line(message)
    parts = {part for name in names for part in _parts(name) if part in text}
    for part in sorted(parts, key=len, reverse=True):
        exact = re.escape(part)
        # A name without a / could be a word or a status: only next to a / or a colon is it removed.
        pattern = rf"(?<!\w){exact}(?!\w)" if "/" in part else rf"(?<=/){exact}(?!\w)|(?<!\w){exact}(?=:)"
        text = re.sub(pattern, " ", text)
    for unread in (_QUOTED, _ADDRESS, _PATH):
        text = unread.sub(" ", text)
    return text


def _parts(name: str) -> set[str]:
    """Forms of a name in messages: `remote:path`, the path alone, or its last part."""
    return {name, name.partition(":")[2], name.rstrip("/").rpartition("/")[2]} - {"", "/"}


def _line(message: str) -> str:
    return " ".join(_LOG_HEAD.sub("", re.sub(r"<[^>]*>", " ", message)).split()).rstrip(".")
