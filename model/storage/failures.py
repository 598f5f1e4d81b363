"""What rclone or a server says, as one of our errors: what happened, and what to do about it.

rclone's exit status does not tell a wrong password from a full disk: its messages do.
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

# What was said is read without names and addresses: a photo may be called 403.jpg, a folder quota.
_QUOTED = re.compile(r"""\"(?:[^"\\]|\\.)*\"|(?<![\w)])'[^']*'(?!\w)""")
_ADDRESS = re.compile(r"\w+://\S+")
_PATH = re.compile(r"(?<![^\s(])/\S*")
# No part of a path, of a file's name or of a longer word; a number is no port and no count either.
_WORD = r"(?<![\w./])(?:{})(?![\w/]|\.\w)"
_STATUS = r"(?<![\w./-])(?<![\w\]]:)(?:{})(?![\w/-]|\.\w| bytes| more)"


def _words(words: str, statuses: str = "") -> re.Pattern[str]:
    pattern = _WORD.format(words) + (f"|{_STATUS.format(statuses)}" if statuses else "")
    return re.compile(pattern, re.IGNORECASE)


# The first that matches counts: what is more certain comes first.
_KINDS: tuple[tuple[type[StorageError], re.Pattern[str], str], ...] = (
    (
        errors.StorageSettingsError,
        _words("couldn't decrypt password"),
        "Its password, in RCLONE_CONFIG_RSHARE_PASS where it is rshare:, must be as `rclone obscure -` writes it",
    ),
    (
        errors.StorageSettingsError,
        _words(
            r"didn't find section|didn't find backend|looks incorrect|error reading section|unsupported protocol scheme"
            r"|failed to load config|couldn't decrypt|failed to decrypt|invalid port|failed to parse|missing host"
            r"|no Host"
        ),
        "`topgraft doctor --storage` tells what is wrong with its settings",
    ),
    (
        errors.StorageDamagedError,
        _words(r"corrupted on transfer|hash(es)? differ|sizes differ"),
        "Try again",
    ),
    (
        errors.StorageRefusedError,
        _words(r"unauthori[sz]ed|forbidden|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied", "40[13]"),
        "See to the user, the (app) password and what this user may do there; it was not tried again",
    ),
    (
        errors.StorageFullError,
        _words(
            r"insufficient storage|InsufficientStorage|\w*quota\w*|no space left|disk full|file too large"
            r"|EntityTooLarge",
            "507|413",
        ),
        "Make room, or ask for more",
    ),
    (
        errors.StorageBusyError,
        _words(r"locked|SlowDown|service unavailable|bad gateway", "423|425|429|50[0-4]|509"),
        "It was tried again for a while. Try later",
    ),
    (
        errors.StorageNotFoundError,
        _words(r"not found|no such file or directory|NoSuchBucket|NoSuchKey|doesn't exist", "404"),
        "See to the path; `topgraft doctor --storage` lists what is there",
    ),
    (
        errors.StorageUnreachableError,
        _words(
            r"connection refused|connection reset|no such host|timeout|timed out|deadline exceeded|unreachable|EOF"
            r"|broken pipe|tls|x509|certificate|dial tcp|network|connection closed|connection aborted|Max retries"
            r"|IncompleteRead"
        ),
        "See that the server runs and can be reached from here; what was transferred is kept",
    ),
    (errors.StorageDamagedError, _words("checksum"), "Try again"),
)


def failure(doing: str, messages: Sequence[str], names: Iterable[str] = ()) -> StorageError:
    """The error for what was being done, such as "fetch rshare:a", and what was said about it.

    Nothing of it shows credentials that an address in a message may hold.

    Args:
        names: paths, `remote:path` and names of files that were handled: they say nothing of what went wrong.
    """
    distinct = {_shown(message): message for message in messages if message.strip()}
    last = list(distinct)[-_MESSAGES_SHOWN:]
    said = "; ".join(last) or "nothing"
    told = "; ".join(_told(distinct[shown], names) for shown in last)
    for kind, pattern, advice in _KINDS:
        if pattern.search(told):
            return kind(f"{doing}: failed. Received: {said}. {advice}.")
    return StorageError(f"{doing}: failed. Received: {said}. `topgraft doctor --storage` looks at the storage.")


def with_retries(work: Callable[[], Result]) -> Result:
    """Do `work`, again after each of `SECONDS_BETWEEN_TRIES` while the storage is busy or silent; never if refused.

    Raises:
        StorageError: of the last try.
    """
    for pause in SECONDS_BETWEEN_TRIES:
        try:
            return work()
        except (StorageBusyError, StorageUnreachableError) as error:
            log.warning("%s Trying again in %g s.", error.message, pause)
        time.sleep(pause)
    return work()


def _shown(message: str) -> str:
    return re.sub(r"\w+://[^\s\"'<>]+", lambda address: without_credentials(address[0]), _line(message))


def _told(message: str, names: Iterable[str]) -> str:
    """A message without the names and addresses in it."""
    text = _line(message)
    parts = {part for name in names for part in _parts(name) if part in text}
    for part in sorted(parts, key=len, reverse=True):
        exact = re.escape(part)
        # One without a / could be a word, or a status: where it is meant as a name, a / or a colon is beside it.
        pattern = rf"(?<!\w){exact}(?!\w)" if "/" in part else rf"(?<=/){exact}(?!\w)|(?<!\w){exact}(?=:)"
        text = re.sub(pattern, " ", text)
    for unread in (_QUOTED, _ADDRESS, _PATH):
        text = unread.sub(" ", text)
    return text


def _parts(name: str) -> set[str]:
    """How a message may call what has this name: `remote:path`, the path alone, or the last part of it."""
    return {name, name.partition(":")[2], name.rstrip("/").rpartition("/")[2]} - {"", "/"}


def _line(message: str) -> str:
    return " ".join(_LOG_HEAD.sub("", re.sub(r"<[^>]*>", " ", message)).split()).rstrip(".")
