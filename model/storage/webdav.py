"""What is asked of a WebDAV server directly, because rclone does it otherwise or not at all.

rclone's `moveto` deletes what is at the destination before it moves: whoever looks, or is killed, in between finds
nothing. A server's own MOVE replaces it at once (RFC 4918, section 9.9), and a Nextcloud's link to it stays.
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
    """The URL of a path in a remote."""
    return f"{account.url}/{quote(path)}"


def move_over(account: WebDavAccount, path: str, new_path: str, doing: str) -> None:
    """Let a file have another name, in place of what has it, at once.

    Raises:
        StorageError: as `model.storage.failures.failure`.
    """
    headers = {"Destination": address_of(account, new_path), "Overwrite": "T"}
    with request(account, "MOVE", path, headers, doing) as answer:
        if answer.status_code not in _MOVED:
            raise refusal(doing, answer)


@contextmanager
def request(
    account: WebDavAccount, method: str, path: str, headers: dict[str, str], doing: str
) -> "Iterator[requests.Response]":
    """Send a request without a body; its answer's content is left to be read block by block.

    Raises:
        StorageUnreachableError: no answer, or it broke off while it was read.
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
        raise failure(doing, [f"connection aborted: {error}"], [path]) from error


def refusal(doing: str, answer: "requests.Response") -> StorageError:
    """The error for an answer that is not what was hoped for."""
    return failure(doing, [f"{answer.status_code} {answer.reason}"])
