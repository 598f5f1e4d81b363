"""Downloads of URLs given on the command line: complete, over TLS, and verified.

Unlike `api.fetch`, which keeps clients of the service out of its network, a download may reach every address that the
user can reach, also through the proxies of the environment. An interrupted transfer is resumed where it stopped.
"""

import contextlib
import dataclasses
import logging
import urllib.parse
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import IO

import requests

from model.addresses import is_this_machine, redacted, without_credentials
from model.errors import FetchError, FetchTooLargeError, StorageBusyError, StorageDamagedError, StorageUnreachableError
from model.files.checksums import file_sha256
from model.received import quoted
from model.results import Progress, no_progress
from model.storage.failures import with_retries
from model.storage.links import download_url, page_received

MAX_BYTES = 8 * 1024**3
PHASE = "download"
# Bytes that are lost when a transfer breaks off.
_BLOCK = 1 << 16
_SECONDS_TO_CONNECT, _SECONDS_OF_SILENCE = 15.0, 60.0
_REDIRECTS = 5
_BUSY = frozenset({423, 425, 429, 500, 502, 503, 504})
_KILOBYTE = 1000

_HEADERS = {"User-Agent": "topgraft", "Accept-Encoding": "identity"}
_MAX_NAME = 200

Check = Callable[[bytes], object]

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class LinkedFile:
    """A file behind a URL.

    Attributes:
        name: file name that the server or the URL gives; may be empty.
        size: bytes; 0 if the server does not say.
        version: text that changes with the content, such as an ETag; empty if the server sends none.
    """

    name: str
    size: int
    version: str


def download(
    url: str,
    path: Path,
    sha256: str = "",
    progress: Progress = no_progress,
    password: str | None = None,
    check_beginning: Check | None = None,
) -> str:
    """Download a URL into the new file `path`; return the sha256 of the content, in hexadecimal.

    A link to a page of a known form, such as a public link of Nextcloud, is replaced by that of its file.

    Args:
        url: https; http is accepted for this machine, and with a sha256 that proves the content unchanged.
        sha256: required checksum of the content; empty accepts any content.
        progress: called with the phase `download`, in kilobytes.
        password: password of a public link of Nextcloud; None or empty if it has none.
        check_beginning: called with the first bytes, before the rest is downloaded; its error ends the download.

    Raises:
        FetchError: the URL is invalid, not found, refused, not safe to use, or leads to a web page.
        StorageBusyError, StorageUnreachableError: the server did not respond, also after retries.
        StorageDamagedError: the content has another sha256.
    """
    _require_safe(url, bool(sha256))
    shown, location = without_credentials(url), download_url(url)
    with open(path, "xb") as stream:
        with_retries(lambda: _fetch(location, shown, stream, bool(sha256), progress, password, check_beginning))
    received = file_sha256(path)
    if sha256 and received != sha256.lower():
        raise StorageDamagedError(
            f"{shown}: expected content with the sha256 {sha256.lower()}, received {received}. The content has "
            "changed, or the link leads to something else, such as a page that asks for a password. Nothing was kept."
        )
    return received


def linked_file(url: str) -> LinkedFile:
    """Describe the file behind a URL without downloading it.

    Raises:
        FetchError, StorageBusyError, StorageUnreachableError: as `download`.
    """
    _require_safe(url, has_checksum=False)
    return with_retries(lambda: _describe(download_url(url), without_credentials(url)))


def _describe(url: str, shown: str) -> LinkedFile:
    with _answer_to(url, shown, _HEADERS, has_checksum=False, password=None) as answer:
        _check_status(answer, shown, resumed=False)
        _require_file(answer, shown, next(answer.iter_content(_BLOCK), b""), has_checksum=False)
        header = Message()
        header["Content-Disposition"] = answer.headers.get("Content-Disposition", "")
        path = urllib.parse.unquote(urllib.parse.urlsplit(answer.url).path)
        # A name sent by a server is no path.
        name = (header.get_filename() or path).replace("\\", "/").rpartition("/")[2].lstrip(".")
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        return LinkedFile(name[:_MAX_NAME], int(answer.headers.get("Content-Length") or 0), version)


def _require_safe(url: str, has_checksum: bool) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise FetchError(f"url: expected https://HOST/PATH, received {quoted(without_credentials(url))}.") from error
    if parts.scheme.lower() not in ("https", "http") or not host:
        raise FetchError(f"url: expected https://HOST/PATH, received {quoted(without_credentials(url))}.")
    if parts.scheme.lower() == "http" and not has_checksum and not is_this_machine(host):
        raise FetchError(
            f"{without_credentials(url)}: expected https, because http content can be changed on the way. Use https, "
            "or give the sha256 of the content."
        )


class _Session(requests.Session):
    """Session in which every redirect is checked before it is followed.

    Args:
        has_checksum: whether a checksum proves the content unchanged, so that http is acceptable.
    """

    def __init__(self, has_checksum: bool) -> None:
        super().__init__()
        self.max_redirects = _REDIRECTS
        self._has_checksum = has_checksum

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """The location of a redirect.

        Raises:
            FetchError: it leads to http, or to no web server.
        """
        target = super().get_redirect_target(resp)
        if target is not None:
            try:
                location = urllib.parse.urljoin(resp.url, target)
            except ValueError as error:
                raise FetchError(
                    f"url: expected a redirect to https://HOST/PATH, received {quoted(target)}."
                ) from error
            _require_safe(location, self._has_checksum)
        return target


def _fetch(
    url: str,
    shown: str,
    stream: IO[bytes],
    has_checksum: bool,
    progress: Progress,
    password: str | None,
    check_beginning: Check | None,
) -> None:
    """Fetch the part that is not in `stream` yet."""
    done = stream.seek(0, 2)
    headers = _HEADERS | ({"Range": f"bytes={done}-"} if done else {})
    with _answer_to(url, shown, headers, has_checksum, password) as answer:
        _check_status(answer, shown, bool(done))
        if answer.status_code == 200:
            stream.seek(0)
            stream.truncate()

        def check(beginning: bytes) -> None:
            _require_file(answer, shown, beginning, has_checksum)
            if check_beginning is not None:
                check_beginning(beginning)

        _copy(answer, stream, shown, progress, check)


@contextlib.contextmanager
def _answer_to(
    url: str, shown: str, headers: dict[str, str], has_checksum: bool, password: str | None
) -> Iterator[requests.Response]:
    """Send a request; its errors, also while the content is read in the block, are Topgraft's."""
    try:
        with (
            _Session(has_checksum) as session,
            session.get(
                url,
                headers=headers,
                auth=("anonymous", password) if password else _no_credentials,
                stream=True,
                timeout=(_SECONDS_TO_CONNECT, _SECONDS_OF_SILENCE),
            ) as answer,
        ):
            yield answer
    except (requests.exceptions.SSLError, requests.TooManyRedirects, requests.exceptions.InvalidURL) as error:
        raise FetchError(f"{shown}: cannot be fetched: {_reason(error)}. Check the URL.") from error
    except requests.RequestException as error:
        raise StorageUnreachableError(
            f"{shown}: expected an answer, received: {_reason(error)}. Check that the server can be reached."
        ) from error


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authentication for requests that ignores ~/.netrc."""
    return request


def _check_status(answer: requests.Response, shown: str, resumed: bool) -> None:
    if answer.status_code == 200 or (resumed and answer.status_code == 206):
        return
    message = f"{shown}: expected the file, received {answer.status_code} {answer.reason}."
    if answer.status_code in _BUSY:
        raise StorageBusyError(f"{message} The server is busy, also after retries. Try again later.")
    hints = {401: "It asks for a password.", 404: "The link was deleted, has expired, or is mistyped."}
    raise FetchError(f"{message} {hints.get(answer.status_code, 'Check the URL.')}")


def _require_file(answer: requests.Response, shown: str, beginning: bytes, has_checksum: bool) -> None:
    """Refuse a web page in place of a file: of a login, a password, or a preview."""
    message = page_received(shown, answer.url, answer.headers.get("Content-Type", ""), beginning)
    if message:
        raise (StorageDamagedError if has_checksum else FetchError)(message)


def _copy(answer: requests.Response, stream: IO[bytes], shown: str, progress: Progress, check: Check) -> None:
    done = stream.tell()
    total = done + int(answer.headers.get("Content-Length") or 0)
    for block in answer.iter_content(_BLOCK):
        if not stream.tell():
            check(block)
        stream.write(block)
        done += len(block)
        if done > MAX_BYTES:
            raise FetchTooLargeError(f"{shown}: expected at most {MAX_BYTES:,} bytes, the server sends more.")
        progress(PHASE, done // _KILOBYTE, max(done, total) // _KILOBYTE)
    stream.flush()
    # With a length known in advance, requests itself notices only some of the broken transfers.
    if total and done < total:
        raise StorageUnreachableError(
            f"{shown}: expected {total:,} bytes, received {done:,}. The connection was lost: try again."
        )


def _reason(error: Exception) -> str:
    return " ".join(redacted(str(error)).split())[:300] or type(error).__name__
