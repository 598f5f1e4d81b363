"""Requests to a WebDAV server that rclone makes differently or not at all.

rclone's `moveto` deletes an existing destination before it moves: a reader, or a kill, in between finds nothing. A
MOVE by the server replaces the destination at once (RFC 4918, section 9.9).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from model.environment import STORAGE_SECONDS
from model.errors import StorageError
from model.storage.failures import failure
from model.storage.settings import WebDavAccount

if TYPE_CHECKING:
    import requests

_SECONDS_TO_CONNECT = 15.0
_MOVED = (201, 204)


def address_of(account: WebDavAccount, path: str) -> str:
    """URL of a path in a remote."""
    return f"{account.url}/{quote(path)}"


def move_over(account: WebDavAccount, path: str, new_path: str, action: str) -> None:
    """Rename a file; an existing file of the new name is replaced at once.

    Raises:
        StorageError: as `model.storage.failures.failure`.
    """
    headers = {"Destination": address_of(account, new_path), "Overwrite": "T"}
    with request(account, "MOVE", path, headers, action) as answer:
        if answer.status_code not in _MOVED:
            raise refusal(action, answer)


@contextmanager
def request(
    account: WebDavAccount, method: str, path: str, headers: dict[str, str], action: str
) -> "Iterator[requests.Response]":
    """Send a request without a body; the content of the answer is read by the caller, block by block.

    Raises:
        StorageUnreachableError: no response, or the connection was lost while it was read.
    """
    import requests
    from requests.auth import HTTPBasicAuth

    try:
        with requests.request(
            method,
            address_of(account, path),
            headers=headers,
            auth=HTTPBasicAuth(account.user.encode(), account.password.encode()),
            timeout=(_SECONDS_TO_CONNECT, STORAGE_SECONDS.read()),
            allow_redirects=False,
            stream=True,
        ) as answer:
            yield answer
    except requests.RequestException as error:
        raise failure(action, [f"connection aborted: {error}"], [path]) from error


def refusal(action: str, answer: "requests.Response") -> StorageError:
    """The error for an answer with an unexpected status."""
    return failure(action, [f"{answer.status_code} {answer.reason}"])
