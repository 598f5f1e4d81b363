"""Errors of rclone and of servers as Topgraft's errors, each with a remedy; retries.

rclone has the same exit status for a wrong password and for a full disk, so its messages decide. Lines that are not
about the failure, such as notices, progress and the missing configuration file, take no part in that decision.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from model import errors
from model.addresses import redacted
from model.errors import StorageBusyError, StorageError, StorageUnreachableError
from model.reading import UnreadableError, parse_json, unreadable

Result = TypeVar("Result")

SECONDS_BETWEEN_TRIES = (1.0, 2.0, 4.0, 8.0)
_MESSAGES_SHOWN = 3
# Time and level, where rclone does not write JSON; systemd adds a priority.
_LOG_HEAD = re.compile(
    r"^\s*(?:<\d>)?(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)?\s+)?"
    r"(?:(?P<level>EMERGENCY|ALERT|CRITICAL|ERROR|WARNING|NOTICE|INFO|DEBUG)\s*:\s*)?"
)
_UNRELATED_LEVELS = frozenset({"warning", "notice", "info", "debug"})
# The reason for the exit of the whole command, which some versions log as a notice.
_FAILED = "Failed to "
# Of the configuration, which is in the environment, and of the progress.
_UNRELATED = re.compile(
    r"Config file \"(?:[^\"\\]|\\.)*\" not found - using defaults\.?"
    r"|Couldn't find home directory or read HOME or XDG_CONFIG_HOME.*|Defaulting to storing config in.*"
    r"|Use --config flag to workaround.*|Error was: exec: .*|Failed to save (?:new )?(?:config|token).*"
    r"|^\s*(?:Transferred|Errors|Checks|Deleted|Renamed|Elapsed time|Transferring|Checking|Listed)\s*:.*"
    r"|^\s*\*\s.*:.*%.*|Attempt \d+/\d+ (?:failed with \d+ errors?(?: and)?:?|succeeded)|\(?retrying may help\)?"
    r"|^\s*Use \"rclone .*for more information.*",
    re.MULTILINE,
)

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
        errors.StorageRequestTooLargeError,
        _words(r"(request )?entity too large|(payload|content) too large|(Request)?EntityTooLarge", "413"),
        "That is the limit of a proxy or web server for a single request (such as client_max_body_size of nginx), not "
        "a full storage. Set a smaller chunk size (for rshare: RCLONE_CONFIG_RSHARE_NEXTCLOUD_CHUNK_SIZE=1Mi), or ask "
        "the administrator to raise the limit",
    ),
    (
        errors.StorageFullError,
        _words(
            r"insufficient storage|InsufficientStorage|\w*quota\w*|no space left|disk full|file too large",
            "507",
        ),
        "Free some space, or ask for a larger quota",
    ),
    (
        errors.StorageBusyError,
        _words(r"locked|SlowDown|service unavailable|bad gateway", "423|425|429|50[0-4]|509"),
        "Try again later",
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
    related = [text for message in messages if (text := _about_failure(message))]
    distinct = {_shown(text): text for text in related}
    last = list(distinct)[-_MESSAGES_SHOWN:]
    received = "; ".join(last or dict.fromkeys(map(_line, messages[-_MESSAGES_SHOWN:]))) or "nothing"
    cause = f"{action}: failed. Received: {received}."
    searched = "; ".join(_without_names(distinct[shown], names) for shown in last)
    for kind, pattern, advice in _KINDS:
        if pattern.search(searched):
            return _error(kind, cause, f"{advice}.")
    return _error(StorageError, cause, "Run `topgraft doctor --storage` to find the cause.")


def with_retries(work: Callable[[], Result]) -> Result:
    """Call `work`, and retry after each of `SECONDS_BETWEEN_TRIES` if the storage is busy or silent; never if refused.

    Each retry is logged: the cause once, as long as it stays the same, and the time of the next attempt.

    Raises:
        StorageError: error of the last attempt; its message states how many there were.
    """
    attempts = len(SECONDS_BETWEEN_TRIES) + 1
    logged = ""
    for number, pause in enumerate(SECONDS_BETWEEN_TRIES, start=2):
        try:
            return work()
        except (StorageBusyError, StorageUnreachableError) as error:
            cause = error.cause or error.message
            shown = "The same error again." if cause == logged else cause
            log.warning("%s Attempt %d of %d in %g s.", shown, number, attempts, pause)
            logged = cause
        time.sleep(pause)
    try:
        return work()
    except (StorageBusyError, StorageUnreachableError) as error:
        tried = f"It was tried {attempts} times within {sum(SECONDS_BETWEEN_TRIES):g} s."
        raise _error(type(error), error.cause or error.message, f"{tried} {error.advice}".strip()) from error


def _error(kind: type[StorageError], cause: str, advice: str) -> StorageError:
    error = kind(f"{cause} {advice}")
    error.cause, error.advice = cause, advice
    return error


def is_about_failure(message: str) -> bool:
    """Whether a message of rclone is, or contains, the reason for a failure."""
    return bool(_about_failure(message))


def _about_failure(message: str) -> str:
    """The lines of a message that are about the failure; empty if there are none."""
    return "\n".join(text for line in message.splitlines() if (text := _related(line)))


def _related(line: str) -> str:
    """A line of rclone's log, as JSON or text, without its head; empty if it is not about a failure."""
    level, text = _level_and_text(line)
    if level in _UNRELATED_LEVELS and not text.startswith(_FAILED):
        return ""
    return _UNRELATED.sub(" ", text).strip()


def _level_and_text(line: str) -> tuple[str, str]:
    if line.lstrip().startswith("{"):
        try:
            with unreadable():
                record = parse_json(line, not_finite=True, file_names=True)
                return str(record.get("level", "")).lower(), str(record["msg"])
        except UnreadableError:
            pass
    head = _LOG_HEAD.match(line)
    assert head is not None  # nosec B101: every part of the pattern is optional
    return (head["level"] or "").lower(), line[head.end() :]


def _shown(message: str) -> str:
    return redacted(_line(message))


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
