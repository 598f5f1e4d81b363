"""Uploads that replace a file in place, on servers whose public links are attached to the ID of a file.

A MOVE over an existing file gives its path another ID on Nextcloud and ownCloud: the public link of the file then
answers 404, and its tags, comments and versions are lost. The ID stays with a PUT to the path, and with chunks that are
sent to `/uploads/` and assembled at the path by one MOVE. Both show the old content or the new, never a part.
"""

import functools
import logging
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from model.answers import read_answer
from model.errors import StorageNotFoundError, StorageRequestTooLargeError
from model.files.checksums import file_checksum
from model.storage import webdav
from model.storage.failures import with_retries
from model.storage.settings import WebDavAccount

_VENDORS = ("nextcloud", "owncloud", "infinitescale")
_FILES_URL = re.compile(r"(?P<dav>https?://[^?#]+/remote\.php/dav)/files/(?P<user>[^/?#]+)(?P<folder>/.*)?")
_CHUNK_FOLDER = re.compile(r"topgraft-[0-9a-f]{32}")
_SECONDS_FOR_STATUS = 15.0
# Statuses of servers without a folder for chunks.
_NOT_OFFERED = (404, 405, 501)
_CHUNK_SIZE = "nextcloud_chunk_size"
_DEFAULT_CHUNK_BYTES = 10 * 1024**2
# Tried in turn where a proxy refuses larger requests; nginx allows 1 MiB unless it is configured.
_SMALLER_CHUNKS = (4 * 1024**2, 1024**2, 512 * 1024, 128 * 1024)
_REPORTED_BYTES = 1_000_000
_UNITS = {"b": 1, "": 1024, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[bkmgt]?)(?:i?b?)", re.IGNORECASE)

log = logging.getLogger(__name__)
# Chunk size that a server accepted after it had refused a larger one.
_accepted: dict[str, int] = {}


def replaces_in_place(settings: Mapping[str, str]) -> bool:
    """Whether public links of a remote are attached to IDs of files, so that files must be replaced in place.

    A server that is configured with another vendor is asked what it is, if its URL is that of a Nextcloud.
    """
    if settings.get("type") != "webdav":
        return False
    if settings.get("vendor") in _VENDORS:
        return True
    base, found, _ = settings.get("url", "").partition("/remote.php/")
    return bool(found) and _has_status_page(base)


@functools.cache
def _has_status_page(base: str) -> bool:
    """Whether a server has the status page of Nextcloud and ownCloud, which needs no login."""
    import requests

    try:
        answer = requests.get(f"{base}/status.php", timeout=_SECONDS_FOR_STATUS, allow_redirects=False, stream=True)
        return answer.status_code == 200 and b'"versionstring"' in read_answer(answer)
    except requests.RequestException:
        return False


class InPlaceUpload:
    """Upload of a file to a path, in two steps: `stage` sends it, `commit` makes it appear.

    Without a folder for chunks, all content is sent by `commit`.

    Attributes:
        chunk_folder: name of the folder for its chunks on the server; see `remove_chunks`.
    """

    def __init__(self, account: WebDavAccount, settings: Mapping[str, str], path: str, action: str) -> None:
        self._account, self._path, self._action = account, path, action
        self._url = webdav.address_of(account, path)
        self._chunk_bytes = _accepted.get(account.url) or _bytes_of(settings.get(_CHUNK_SIZE, ""))
        self.chunk_folder = f"topgraft-{uuid.uuid4().hex}"
        self._folder = _address_of_chunks(account, self.chunk_folder)
        self._is_staged = False

    def stage(self, source: Path, report: Callable[[int], object]) -> None:
        """Send the content; the file at the path does not change.

        Args:
            report: called with the number of bytes sent so far.
        """
        self._source = source
        if self._folder:
            self._adapt(functools.partial(self._send_chunks, report))

    def commit(self) -> None:
        """Let the content appear at the path, at once."""
        if self._is_staged:
            self._assemble()
        else:
            self._adapt(self._put)

    def discard(self) -> None:
        """Remove what was sent and is not needed."""
        if self._is_staged:
            webdav.delete(self._account, self._folder, f"{self._action}: remove the chunks")

    def _adapt(self, work: Callable[[], None]) -> None:
        """Call `work`, and again with smaller chunks where the server refuses a request as too large."""
        while True:
            try:
                return work()
            except StorageRequestTooLargeError:
                largest = min(self._chunk_bytes, self._source.stat().st_size)
                smaller = next((size for size in _SMALLER_CHUNKS if size < largest), 0)
                if not smaller or not self._is_staged:
                    raise
                log.warning(
                    "%s: a proxy refuses requests of %d kB (413). Continuing in chunks of %d kB.",
                    *(self._action, largest // 1000, smaller // 1000),
                )
                self._chunk_bytes = smaller
                self._is_staged = False
                webdav.delete(self._account, self._folder, self._action)
                _accepted[self._account.url] = smaller

    def _send_chunks(self, report: Callable[[int], object]) -> None:
        accepted = (201, *_NOT_OFFERED)
        status = with_retries(
            lambda: webdav.send(self._account, "MKCOL", self._folder, self._action, {}, accepted=accepted)
        )
        if status in _NOT_OFFERED:
            self._folder = ""
            return
        self._is_staged = True
        size = self._source.stat().st_size
        for number, start in enumerate(range(0, size, self._chunk_bytes) or (0,), start=1):
            url = f"{self._folder}/{number:05d}"
            length = min(self._chunk_bytes, size - start)
            with_retries(functools.partial(self._send_part, url, start, length, report, {}))

    def _put(self) -> None:
        size = self._source.stat().st_size
        with_retries(lambda: self._send_part(self._url, 0, size, lambda done: None, self._headers()))

    def _send_part(
        self, url: str, start: int, length: int, report: Callable[[int], object], headers: dict[str, str]
    ) -> None:
        with open(self._source, "rb") as stream:
            body = _Part(stream, start, length, report)
            webdav.send(self._account, "PUT", url, self._action, headers, body)  # type: ignore[arg-type]

    def _assemble(self) -> None:
        headers = {"Destination": self._url, "Overwrite": "T"} | self._headers()
        attempts = 0

        def move() -> None:
            nonlocal attempts
            attempts += 1
            try:
                webdav.send(self._account, "MOVE", f"{self._folder}/.file", self._action, headers)
            except StorageNotFoundError:
                # After a lost answer: the chunks are gone because they have been assembled.
                if attempts == 1:
                    raise

        with_retries(move)
        self._is_staged = False

    def _headers(self) -> dict[str, str]:
        status = self._source.stat()
        return {
            "X-OC-Mtime": str(int(status.st_mtime)),
            "OC-Total-Length": str(status.st_size),
            "OC-Checksum": f"SHA1:{file_checksum(self._source, 'sha1')}",
        }


def remove_chunks(account: WebDavAccount, chunk_folder: str, action: str) -> None:
    """Remove the chunks of an upload that was killed, if there are any.

    Args:
        chunk_folder: of an `InPlaceUpload`; other names are ignored.

    Raises:
        StorageError: the server refused it.
    """
    address = _address_of_chunks(account, chunk_folder)
    if address and _CHUNK_FOLDER.fullmatch(chunk_folder):
        webdav.delete(account, address, action)


def _address_of_chunks(account: WebDavAccount, chunk_folder: str) -> str:
    """URL of a folder for chunks; empty if the account's URL is not that of a user's files."""
    found = _FILES_URL.fullmatch(account.url)
    return f"{found['dav']}/uploads/{found['user']}/{chunk_folder}" if found else ""


class _Part:
    """A part of a file as the body of a request, whose progress is reported."""

    def __init__(self, stream: IO[bytes], start: int, length: int, report: Callable[[int], object]) -> None:
        self._stream, self._length, self._left = stream, length, length
        self._start, self._report, self._reported = start, report, 0
        stream.seek(start)

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`."""
        block = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(block)
        done = self._length - self._left
        if not self._left or done - self._reported >= _REPORTED_BYTES:
            self._reported = done
            self._report(self._start + done)
        return block


def _bytes_of(size: str) -> int:
    """Bytes of a size in rclone's form, such as 10Mi; the default if there is none, or it is 0."""
    found = _SIZE.fullmatch(size.strip())
    return (found and int(float(found["number"]) * _UNITS[found["unit"].lower()])) or _DEFAULT_CHUNK_BYTES
