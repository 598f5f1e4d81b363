"""Fetching what a client's URL names, without letting the client see the server's own network.

The name in a URL is resolved once, every address it has must be public, and the connection goes to
the address that was checked: no second look-up can lead elsewhere. A redirect is a new URL, checked the
same way. Proxies of the environment are not used: they would resolve the name themselves.
"""

import base64
import binascii
import contextlib
import dataclasses
import functools
import http.client
import ipaddress
import logging
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import IO

from model.errors import FetchError, FetchTooLargeError

log = logging.getLogger(__name__)

_REDIRECTS = (301, 302, 303, 307, 308)
_BLOCK = 1 << 16
_MAX_URL = 8192
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


@dataclasses.dataclass(frozen=True)
class FetchLimits:
    """How far a fetch may go.

    Attributes:
        max_bytes: largest body.
        seconds: from the start to the last byte, redirects included.
        redirects: most hops.
        private: whether addresses that are not public are allowed.
    """

    max_bytes: int
    seconds: float = 30.0
    redirects: int = 5
    private: bool = False


@dataclasses.dataclass(frozen=True)
class _Target:
    """An http or https URL taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    host_header: str


def fetch(url: str, stream: IO[bytes], limits: FetchLimits) -> str:
    """Write what `url` (http, https or data) names into `stream`; return a name for it.

    Raises:
        FetchError: the URL cannot be used, leads to an address that is not public, or does not answer
            with the content in time.
        FetchTooLargeError: the content is larger than allowed.
    """
    if url[:5].lower() == "data:":
        stream.write(_decode_data_uri(url, limits.max_bytes))
        return "data URI"
    deadline = time.monotonic() + limits.seconds
    for _ in range(limits.redirects + 1):
        target = _parse(url)
        location = _get(target, stream, limits, deadline)
        if location is None:
            return urllib.parse.unquote(target.path.partition("?")[0].rpartition("/")[2]) or target.host
        url = urllib.parse.urljoin(url, location)
    raise FetchError(f"url: expected at most {limits.redirects} redirects, received more. Give the last address.")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, looking through IPv6 forms of IPv4 addresses."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(ip.packed[-4:]) if ip in _NAT64 else None)
        if embedded is not None:
            return is_public(str(embedded))
        return ip in _GLOBAL_UNICAST and ip.is_global and ip.teredo is None
    return ip.is_global and not ip.is_multicast


def _decode_data_uri(uri: str, max_bytes: int) -> bytes:
    header, comma, payload = uri.partition(",")
    if not comma:
        raise FetchError("url: expected data:[type][;base64],CONTENT, received a data URI without a comma.")
    if len(payload) > 3 * max_bytes:
        raise FetchTooLargeError(f"url: expected a data URI of at most {max_bytes} bytes, received more.")
    content = urllib.parse.unquote_to_bytes(payload)
    if header.lower().endswith(";base64"):
        try:
            content = base64.b64decode(content + b"=" * (-len(content) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise FetchError(
                f"url: expected base64 after the comma of the data URI, received: {error}. "
                "In a query string a + must be written %2B."
            ) from error
    if len(content) > max_bytes:
        raise FetchTooLargeError(f"url: expected a data URI of at most {max_bytes} bytes, received {len(content)}.")
    return content


def _parse(url: str) -> _Target:
    if len(url) > _MAX_URL:
        raise FetchError(f"url: expected at most {_MAX_URL} characters, received {len(url)}.")
    if any(character <= " " or character in "\\\x7f" for character in url):
        raise FetchError(f"url: expected no spaces, control characters or backslashes, received {url[:200]!r}.")
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        host = host if ":" in host else host.encode("idna").decode()
    except ValueError as error:
        raise FetchError(f"url: expected http://HOST/PATH, received {url[:200]!r}: {error}.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise FetchError(f"url: expected an http, https or data URI, received {url[:200]!r}.")
    if parts.username is not None or parts.password is not None:
        raise FetchError("url: expected no user name or password in it. Use a public or pre-signed address.")
    default = 443 if parts.scheme == "https" else 80
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    bracketed = f"[{host}]" if ":" in host else host
    return _Target(
        scheme=parts.scheme,
        host=host,
        port=default if port is None else port,
        path=f"{path}?{query}" if query else path,
        host_header=bracketed if port in (None, default) else f"{bracketed}:{port}",
    )


def _get(target: _Target, stream: IO[bytes], limits: FetchLimits, deadline: float) -> str | None:
    """Write the body into `stream` and return None, or return where a redirect leads."""
    addresses = _checked_addresses(target, limits, deadline)
    try:
        with _connected(target, addresses, deadline) as connection:
            connection.request("GET", target.path, headers=_headers(target))
            response = connection.getresponse()
            if response.status in _REDIRECTS and response.headers.get("Location"):
                return response.headers["Location"]
            if response.status != 200:
                raise FetchError(f"url: expected the photo, {target.host} answered {response.status}.")
            _copy_body(response, stream, limits.max_bytes, deadline)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if time.monotonic() >= deadline:
            expected = f"the photo within {limits.seconds:g} s"
            raise FetchError(f"url: expected {expected}, {target.host} was slower.") from error
        received = str(error) or type(error).__name__
        raise FetchError(f"url: expected an answer from {target.host}, received: {received}.") from error
    return None


def _headers(target: _Target) -> dict[str, str]:
    return {"Host": target.host_header, "User-Agent": "topgraft", "Accept-Encoding": "identity", "Connection": "close"}


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


def _checked_addresses(target: _Target, limits: FetchLimits, deadline: float) -> list[str]:
    addresses = _resolve(target, deadline)
    if not limits.private and not all(is_public(address) for address in addresses):
        log.warning("url: refused %s, which resolves to %s", target.host, ", ".join(addresses))
        raise FetchError(
            f"url: expected a host on the public internet, received {target.host}. "
            "The operator of this service can allow others with TOPGRAFT_ALLOW_PRIVATE_URLS=1."
        )
    return addresses


def _resolve(target: _Target, deadline: float) -> list[str]:
    """All addresses of the host, looked up in a thread: the system's resolver takes no deadline."""
    found: list[str] = []
    problem: list[OSError] = []

    def look_up() -> None:
        try:
            records = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(record[4][0]) for record in records))
        except (OSError, UnicodeError) as error:
            problem.append(OSError(str(error)))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if not found:
        cause = problem[0] if problem else None
        raise FetchError(f"url: expected a host that can be found, received {target.host}.") from cause
    return list(found)


@contextlib.contextmanager
def _connected(target: _Target, addresses: list[str], deadline: float) -> Iterator[http.client.HTTPConnection]:
    """A connection to one of `addresses` that is cut at the deadline, whatever the other side does."""
    connection = http.client.HTTPConnection(target.host, target.port)
    link = _connect(target, addresses, deadline)
    if target.scheme == "https":
        link = _tls_context().wrap_socket(link, server_hostname=target.host, do_handshake_on_connect=False)
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
        link.close()


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
