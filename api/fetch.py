"""Fetching what a client's URL names, without letting the client see the server's own network.

The name in a URL is resolved once, every address it has must be public, and the connection goes to
the address that was checked: no second look-up can lead elsewhere. A redirect is a new URL, checked the
same way. Proxies of the environment are not used: they would resolve the name themselves.
"""

import contextlib
import dataclasses
import functools
import http.client
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Container, Iterator
from typing import IO

from api.data_uri import decode_data_uri
from api.public_addresses import find_addresses
from api.temporary import FULL
from model.errors import FetchError, FetchTooLargeError
from model.files.browsing import printable

_REDIRECTS = (301, 302, 303, 307, 308)
_BLOCK = 1 << 16
_MAX_URL = 8192
_MAX_SHOWN = 200


@dataclasses.dataclass(frozen=True)
class FetchLimits:
    """How far a fetch may go.

    Attributes:
        max_bytes: largest body.
        seconds: from the start to the last byte, redirects included.
        redirects: most hops.
        private: whether addresses that are not public are allowed.
        ports: that may be connected to.
    """

    max_bytes: int
    seconds: float = 30.0
    redirects: int = 5
    private: bool = False
    ports: Container[int] = (80, 443)


@dataclasses.dataclass(frozen=True)
class _Target:
    """An http or https URL taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    host_header: str


def fetch(url: str, stream: IO[bytes], limits: FetchLimits) -> str:
    """Write what `url` (http, https or data) names into `stream`; return a printable name for it.

    Raises:
        FetchError: the URL cannot be used, leads to an address that is not public, or does not answer
            with the content in time.
        FetchTooLargeError: the content is larger than allowed.
        OSError: `stream` cannot be written.
    """
    _check_characters(url)
    if url[:5].lower() == "data:":
        stream.write(decode_data_uri(url, limits.max_bytes))
        return "data URI"
    deadline = time.monotonic() + limits.seconds
    for _ in range(limits.redirects + 1):
        target = _parse(url, limits.ports)
        location = _get(target, stream, limits, deadline)
        if location is None:
            return printable(urllib.parse.unquote(target.path.partition("?")[0].rpartition("/")[2])) or target.host
        url = _redirected(url, location)
    raise FetchError(f"url: expected at most {limits.redirects} redirects, received more. Give the last address.")


def _check_characters(url: str) -> None:
    """Refuse halves of surrogate pairs: JSON can name them, and bytes that are not UTF-8 become such."""
    try:
        url.encode()
    except UnicodeEncodeError as error:
        received = f"{url[error.start]!r} after {error.start} characters"
        raise FetchError(
            f"url: expected what can be written as UTF-8, received {received}. Escape it as %XX."
        ) from error


def _redirected(url: str, location: str) -> str:
    try:
        return urllib.parse.urljoin(url, location)
    except ValueError as error:
        raise FetchError(
            f"url: expected a redirect to http://HOST/PATH, received {location[:_MAX_SHOWN]!r}."
        ) from error


def _parse(url: str, ports: Container[int]) -> _Target:
    if len(url) > _MAX_URL:
        raise FetchError(f"url: expected at most {_MAX_URL} characters, received {len(url)}.")
    if any(character <= " " or character in "\\\x7f" for character in url):
        raise FetchError(f"url: expected no spaces, control characters or backslashes, received {url[:_MAX_SHOWN]!r}.")
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        host = host if ":" in host else host.encode("idna").decode()
    except ValueError as error:
        raise FetchError(f"url: expected http://HOST/PATH, received {url[:_MAX_SHOWN]!r}: {error}.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise FetchError(f"url: expected an http, https or data URI, received {url[:_MAX_SHOWN]!r}.")
    if parts.username is not None or parts.password is not None:
        raise FetchError("url: expected no user name or password in it. Use a public or pre-signed address.")
    if "%" in host:
        raise FetchError("url: expected a host without a % in it: neither an escape nor a zone of this machine.")
    default = 443 if parts.scheme == "https" else 80
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    bracketed = f"[{host}]" if ":" in host else host
    return _Target(
        scheme=parts.scheme,
        host=host,
        port=_checked_port(default if port is None else port, ports),
        path=f"{path}?{query}" if query else path,
        host_header=bracketed if port in (None, default) else f"{bracketed}:{port}",
    )


def _checked_port(port: int, ports: Container[int]) -> int:
    if port not in ports:
        raise FetchError(
            f"url: expected a port for http or https, received {port}. "
            "The operator of this service can allow others with TOPGRAFT_URL_PORTS."
        )
    return port


def _get(target: _Target, stream: IO[bytes], limits: FetchLimits, deadline: float) -> str | None:
    """Write the body into `stream` and return None, or return where a redirect leads."""
    addresses = find_addresses(target.host, target.port, deadline, limits.private)
    try:
        with _connected(target, addresses, deadline) as connection:
            connection.request("GET", target.path, headers=_headers(target))
            response = connection.getresponse()
            if response.status in _REDIRECTS and response.headers.get("Location"):
                return response.headers["Location"]
            _check_head(response, target)
            _copy_body(response, stream, limits.max_bytes, deadline)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise  # by the stream, not by the other side
        if time.monotonic() >= deadline:
            expected = f"the photo within {limits.seconds:g} s"
            raise FetchError(f"url: expected {expected}, {target.host} was slower.") from error
        received = _printable(str(error) or type(error).__name__)
        raise FetchError(f"url: expected an answer from {target.host}, received: {received}.") from error
    return None


def _headers(target: _Target) -> dict[str, str]:
    return {"Host": target.host_header, "User-Agent": "topgraft", "Accept-Encoding": "identity", "Connection": "close"}


def _check_head(response: http.client.HTTPResponse, target: _Target) -> None:
    if response.status != 200:
        raise FetchError(f"url: expected the photo, {target.host} answered {response.status}.")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    # Nothing is unpacked here, so that nothing small can become large.
    if encoding not in ("", "identity"):
        raise FetchError(f"url: expected the photo as it is, {target.host} sent it packed: {_printable(encoding)}.")


def _printable(text: str) -> str:
    """Words of a stranger, fit for a log."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MAX_SHOWN])


def _copy_body(response: http.client.HTTPResponse, stream: IO[bytes], max_bytes: int, deadline: float) -> None:
    expected = response.length
    received = 0
    while expected is None or received < expected:
        if max(received, expected or 0) > max_bytes:
            raise FetchTooLargeError(f"url: expected at most {max_bytes} bytes, the server sends more.")
        block = response.read1(_BLOCK)
        if not block:
            break
        received += len(block)
        stream.write(block)
    # A read ends silently at a cut connection, and so when the watchdog hangs up.
    if time.monotonic() >= deadline:
        raise TimeoutError
    if expected is not None and received < expected:
        raise ConnectionError(f"{received} of {expected} bytes")


@contextlib.contextmanager
def _connected(target: _Target, addresses: list[str], deadline: float) -> Iterator[http.client.HTTPConnection]:
    """A connection to one of `addresses` that is cut at the deadline, whatever the other side does."""
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.auto_open = 0  # it would look the name up again
    with _linked(target, addresses, deadline) as link:
        # A timeout of the socket starts anew with each byte: only hanging up bounds the whole.
        watchdog = threading.Timer(max(0.0, deadline - time.monotonic()), _hang_up, [link])
        watchdog.daemon = True
        watchdog.start()
        try:
            if isinstance(link, ssl.SSLSocket):
                link.do_handshake()
            connection.sock = link
            yield connection
        finally:
            watchdog.cancel()
            connection.close()


def _linked(target: _Target, addresses: list[str], deadline: float) -> socket.socket:
    """A socket to one of `addresses`, for https one that will encrypt."""
    link = _connect(target, addresses, deadline)
    if target.scheme == "http":
        return link
    with link:  # which the wrapped one leaves empty
        name = target.host.removesuffix(".")  # as certificates name it
        return _tls_context().wrap_socket(link, server_hostname=name, do_handshake_on_connect=False)


def _connect(target: _Target, addresses: list[str], deadline: float) -> socket.socket:
    problem: OSError | None = None
    for address in addresses:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        try:
            return socket.create_connection((address, target.port), timeout=remaining)
        except OSError as error:
            problem = error
    raise problem or TimeoutError()


@functools.cache
def _tls_context() -> ssl.SSLContext:
    import certifi

    context = ssl.create_default_context()
    # A slim image has no certificates of its own.
    context.load_verify_locations(certifi.where())
    return context


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not SSLSocket.shutdown: it takes the encryption away from under the thread that reads.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
