"""What rclone or a server says, as one of our errors: what happened, and what to do about it.

rclone's exit status does not tell a wrong password from a full disk: its messages do.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
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

# The first that matches counts: what is more certain comes first.
_KINDS: tuple[tuple[type[StorageError], str, str], ...] = (
    (
        errors.StorageSettingsError,
        r"couldn't decrypt password",
        "Its password, in RCLONE_CONFIG_RSHARE_PASS where it is rshare:, must be as `rclone obscure -` writes it",
    ),
    (
        errors.StorageSettingsError,
        r"didn't find section|didn't find backend|looks incorrect|error reading section|unsupported protocol scheme|"
        r"failed to load config|couldn't decrypt|failed to decrypt|invalid port|failed to parse|missing host|no Host",
        "`topgraft doctor --storage` tells what is wrong with its settings",
    ),
    (
        errors.StorageRefusedError,
        r"\b40[13]\b|unauthori[sz]ed|forbidden|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied",
        "See to the user, the (app) password and what this user may do there; it was not tried again",
    ),
    (
        errors.StorageFullError,
        r"\b(507|413)\b|insufficient storage|quota|no space left|disk full|file too large|EntityTooLarge",
        "Make room, or ask for more",
    ),
    (
        errors.StorageBusyError,
        r"\b(423|425|429|50[0-4]|509)\b|\blocked\b|SlowDown|service unavailable|bad gateway",
        "It was tried again for a while. Try later",
    ),
    (
        errors.StorageNotFoundError,
        r"\b404\b|not found|no such file or directory|NoSuchBucket|NoSuchKey|doesn't exist",
        "See to the path; `topgraft doctor --storage` lists what is there",
    ),
    (
        errors.StorageUnreachableError,
        r"connection refused|connection reset|no such host|timeout|timed out|deadline exceeded|unreachable|\bEOF\b|"
        r"broken pipe|tls:|x509|certificate|dial tcp|network|connection closed|connection aborted|Max retries|"
        r"IncompleteRead",
        "See that the server runs and can be reached from here; what was transferred is kept",
    ),
    (
        errors.StorageDamagedError,
        r"corrupted on transfer|hash(es)? differ|sizes differ|checksum",
        "Try again",
    ),
)


def failure(doing: str, messages: Sequence[str]) -> StorageError:
    """The error for what was being done, such as "fetch rshare:a", and what was said about it.

    Nothing of it shows credentials that an address in a message may hold.
    """
    distinct = list(dict.fromkeys(_shown(message) for message in messages if message.strip()))
    said = "; ".join(distinct[-_MESSAGES_SHOWN:]) or "nothing"
    for kind, pattern, advice in _KINDS:
        if re.search(pattern, said, re.IGNORECASE):
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
    line = " ".join(_LOG_HEAD.sub("", re.sub(r"<[^>]*>", " ", message)).split()).rstrip(".")
    return re.sub(r"\w+://[^\s\"'<>]+", lambda address: without_credentials(address[0]), line)
