"""Requests to a WebDAV server that rclone makes differently or not at all.

rclone's `moveto` deletes an existing destination before it moves: a reader, or a kill, in between finds nothing. A
MOVE by the server replaces the destination at once (RFC 4918, section 9.9). rclone also deletes the destination of a
PUT that fails, which may be the previous version of the file.
"""

import re
import urllib.parse
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from model.answers import read_answer
from model.environment import STORAGE_SECONDS
from model.errors import StorageError, StorageNotFoundError
from model.storage.failures import failure
from model.storage.settings import WebDavAccount

if TYPE_CHECKING:
    import requests

# Also the longest pause while a body is sent.
_SECONDS_TO_CONNECT = 30.0
_ASK_PRINCIPAL = (
    b'<?xml version="1.0"?><d:propfind xmlns:d="DAV:"><d:prop><d:current-user-principal/></d:prop></d:propfind>'
)
_PRINCIPAL = re.compile(rb"current-user-principal>\s*<\w+:href>[^<]*/principals/users/(?P<user>[^/<]+)/?<")
_DONE = (200, 201, 204)
# Ours are temporary: Nextcloud need not keep them in the trash bin, where they count against the quota.
_SKIP_TRASH = {"X-NC-Skip-Trashbin": "true"}


def address_of(account: WebDavAccount, path: str) -> str:
    """URL of a path in a remote."""
    return f"{account.url}/{urllib.parse.quote(path)}"


def move_over(account: WebDavAccount, path: str, new_path: str, action: str) -> None:
    """Rename a file; an existing file of the new name is replaced at once, and on Nextcloud loses its public links.

    Raises:
        StorageError: as `model.storage.failures.failure`.
    """
    headers = {"Destination": address_of(account, new_path), "Overwrite": "T"}
    send(account, "MOVE", address_of(account, path), action, headers)


def read(account: WebDavAccount, path: str, action: str, max_bytes: int) -> bytes | None:
    """Content of a file, of at most so many bytes of its beginning; None if there is none."""
    try:
        with request(account, "GET", path, {}, action) as answer:
            if answer.status_code not in _DONE:
                raise refusal(action, answer)
            return read_answer(answer, max_bytes)
    except StorageNotFoundError:
        return None


def exists(account: WebDavAccount, path: str, action: str) -> bool:
    """Whether there is a file or folder."""
    status = send(account, "PROPFIND", address_of(account, path), action, {"Depth": "0"}, accepted=(207, 404))
    return status != 404


def current_user(account: WebDavAccount, action: str) -> str:
    """User that the credentials belong to, whatever the URL says (RFC 5397); empty if the server does not say."""
    headers = {"Depth": "0", "Content-Type": "application/xml"}
    with _request(account, "PROPFIND", account.url, headers, action, _ASK_PRINCIPAL) as answer:
        if answer.status_code == 401:
            raise refusal(action, answer)
        found = _PRINCIPAL.search(read_answer(answer)) if answer.status_code == 207 else None
    return urllib.parse.unquote(found["user"].decode()) if found else ""


def delete(account: WebDavAccount, url: str, action: str) -> None:
    """Delete a file or folder, if it exists, without the trash bin where the server supports that."""
    send(account, "DELETE", url, action, _SKIP_TRASH, accepted=(*_DONE, 404))


def send(
    account: WebDavAccount,
    method: str,
    url: str,
    action: str,
    headers: dict[str, str],
    body: IO[bytes] | bytes = b"",
    accepted: Collection[int] = _DONE,
) -> int:
    """Send a request and return its status.

    Args:
        body: bytes, or an object with a length that is read block by block.

    Raises:
        StorageError: the status is not `accepted`; the class is found by `model.storage.failures.failure`.
        StorageUnreachableError: no response, or the connection was lost.
    """
    with _request(account, method, url, headers, action, body) as answer:
        if answer.status_code not in accepted:
            raise refusal(action, answer)
        return answer.status_code


@contextmanager
def request(
    account: WebDavAccount, method: str, path: str, headers: dict[str, str], action: str
) -> "Iterator[requests.Response]":
    """Send a request without a body; the content of the answer is read by the caller, block by block.

    Raises:
        StorageUnreachableError: no response, or the connection was lost while it was read.
    """
    with _request(account, method, address_of(account, path), headers, action) as answer:
        yield answer


@contextmanager
def _request(
    account: WebDavAccount, method: str, url: str, headers: dict[str, str], action: str, body: IO[bytes] | bytes = b""
) -> "Iterator[requests.Response]":
    import requests
    from requests.auth import HTTPBasicAuth

    try:
        with requests.request(
            method,
            url,
            headers=headers,
            data=body,
            auth=HTTPBasicAuth(account.user.encode(), account.password.encode()),
            timeout=(_SECONDS_TO_CONNECT, STORAGE_SECONDS.read()),
            allow_redirects=False,
            stream=True,
        ) as answer:
            yield answer
    except requests.RequestException as error:
        raise failure(action, [f"connection aborted: {error}"], [url]) from error


def refusal(action: str, answer: "requests.Response") -> StorageError:
    """The error for an answer with an unexpected status."""
    return failure(action, [f"{answer.status_code} {answer.reason}"])
