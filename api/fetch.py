"""Fetching of URLs sent by clients, without giving clients access to the server's own network.

The host name is resolved once, all of its addresses must be public, and the connection is made to a checked address,
never to the name: no second lookup can lead elsewhere. Each redirect is checked like a new URL. Proxies from the
environment are ignored, since they would resolve the name themselves.
"""

import asyncio
import contextlib
import dataclasses
import functools
import ssl
import time
import urllib.parse
from collections.abc import Container
from typing import IO

import aiohttp
from yarl import URL

from api.data_uri import decode_data_uri
from api.public_addresses import find_addresses
from model.addresses import redacted, without_credentials
from model.errors import NO_SPACE, FetchError, FetchTooLargeError
from model.reading import without_number
from model.received import MAX_QUOTED, quoted
from model.shown import printable
from model.waiting import wait_for_task

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_URL = 8192
_SAFE = "/%:@!$&'()*+,;=~"
_HEADERS = {"User-Agent": "topgraft", "Accept-Encoding": "identity", "Connection": "close"}


@dataclasses.dataclass(frozen=True)
class FetchLimits:
    """Limits of a fetch.

    Attributes:
        max_bytes: maximum size of the body.
        seconds: maximum time from the start to the last byte, redirects included.
        redirects: maximum number of redirects.
        private: whether addresses that are not public are allowed.
        ports: allowed ports.
    """

    max_bytes: int
    seconds: float = 30.0
    redirects: int = 5
    private: bool = False
    ports: Container[int] = (80, 443)


def fetch(url: str, stream: IO[bytes], limits: FetchLimits) -> str:
    """Write the content of an http, https or data URI to `stream`; return a printable name for it.

    While it waits for the other server it gives notice (`model.waiting`), so that others are answered meanwhile.

    Raises:
        FetchError: the URL is invalid, resolves to an address that is not public, or does not deliver its content in
            time.
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
            return printable(target.name) or str(target.raw_host)
        url = _redirected(url, location)
    raise FetchError(f"url: expected at most {limits.redirects} redirects, received more. Use the final address.")


def _check_characters(url: str) -> None:
    """Refuse lone surrogates, which JSON can contain, and to which bytes that are not UTF-8 are decoded."""
    try:
        url.encode()
    except UnicodeEncodeError as error:
        received = f"{url[error.start]!r} after {error.start} characters"
        raise FetchError(
            f"url: expected characters that can be encoded as UTF-8, received {received}. Escape them as %XX."
        ) from error


def _redirected(url: str, location: str) -> str:
    _check_characters(location)
    try:
        target = urllib.parse.urljoin(url, location)
        is_insecure = urllib.parse.urlsplit(url).scheme == "https" and urllib.parse.urlsplit(target).scheme == "http"
    except ValueError as error:
        raise FetchError(f"url: expected a redirect to http://HOST/PATH, received {_shown(location)}.") from error
    if is_insecure:
        raise FetchError(f"url: expected redirects of https to https, received one to {_shown(target)}.")
    return target


def _shown(url: str) -> str:
    return quoted(without_credentials(url))


def _parse(url: str, ports: Container[int]) -> URL:
    if len(url) > _MAX_URL:
        raise FetchError(f"url: expected at most {_MAX_URL} characters, received {len(url)}.")
    if any(character <= " " or character in "\\\x7f" for character in url):
        raise FetchError(f"url: expected no spaces, control characters or backslashes, received {_shown(url)}.")
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        host = host if ":" in host else host.encode("idna").decode()
    except ValueError as error:
        raise FetchError(f"url: expected http://HOST/PATH, received {_shown(url)}.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise FetchError(f"url: expected an http, https or data URI, received {_shown(url)}.")
    if parts.username is not None or parts.password is not None:
        raise FetchError("url: expected no user name or password in it. Use a public or pre-signed address.")
    if "%" in host:
        raise FetchError("url: expected a host without a % in it: neither an escape nor a zone of this machine.")
    default = 443 if parts.scheme == "https" else 80
    return URL.build(
        scheme=parts.scheme,
        host=f"[{host}]" if ":" in host else host,
        port=_checked_port(default if port is None else port, ports),
        path=urllib.parse.quote(parts.path or "/", safe=_SAFE),
        query_string=urllib.parse.quote(parts.query, safe=_SAFE + "?"),
        encoded=True,
    )


def _checked_port(port: int, ports: Container[int]) -> int:
    if port not in ports:
        raise FetchError(
            f"url: expected a port for http or https, received {port}. "
            "The operator of this service can allow others with TOPGRAFT_URL_PORTS."
        )
    return port


def _get(target: URL, stream: IO[bytes], limits: FetchLimits, deadline: float) -> str | None:
    """Write the body to `stream` and return None, or return the location of a redirect."""
    host = str(target.raw_host)
    addresses = find_addresses(host, int(target.port or 0), deadline, limits.private)
    try:
        # Not aiohttp's ClientTimeout, which starts again for each of several addresses.
        exchange = wait_for_task(_exchange(target, addresses, stream, limits))
        return asyncio.run(asyncio.wait_for(exchange, deadline - time.monotonic()))
    except (OSError, aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise  # from the stream, not from the connection
        if time.monotonic() >= deadline:
            raise FetchError(f"url: expected the photo within {limits.seconds:g} s, {host} was slower.") from error
        received = _printable(getattr(error, "message", "") or without_number(error) or type(error).__name__)
        raise FetchError(f"url: expected an answer from {host}, received: {received}.") from error


async def _exchange(target: URL, addresses: list[str], stream: IO[bytes], limits: FetchLimits) -> str | None:
    async with (
        aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
            auto_decompress=False,  # nothing small can become large
            skip_auto_headers=("Accept",),
        ) as session,
        await _request(session, target, addresses) as response,
    ):
        if response.status in _REDIRECTS and response.headers.get("Location"):
            return response.headers["Location"]
        _check_head(response, str(target.raw_host))
        await _copy_body(response, stream, limits.max_bytes)
        return None


async def _request(session: aiohttp.ClientSession, target: URL, addresses: list[str]) -> aiohttp.ClientResponse:
    """Send the request to the first of the addresses that accepts a connection."""
    request = functools.partial(
        session.get,
        headers={"Host": target.host_port_subcomponent, **_HEADERS},
        server_hostname=target.raw_host,  # for TLS
        ssl=_tls_context(),
        allow_redirects=False,
    )
    *others, last = addresses
    for address in others:
        with contextlib.suppress(aiohttp.ClientConnectorError):
            return await request(target.with_host(address))
    return await request(target.with_host(last))


def _check_head(response: aiohttp.ClientResponse, host: str) -> None:
    if response.status != 200:
        raise FetchError(f"url: expected the photo, {host} answered {response.status}.")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise FetchError(
            f"url: expected the photo uncompressed, {host} sent it with Content-Encoding {_printable(encoding)}."
        )


def _printable(text: str) -> str:
    """Text from an unknown server on one line, safe for a log."""
    line = " ".join(redacted(text)[:MAX_QUOTED].split())
    return "".join(character if character.isprintable() else "?" for character in line)


async def _copy_body(response: aiohttp.ClientResponse, stream: IO[bytes], max_bytes: int) -> None:
    expected = response.content_length
    received = 0
    try:
        async for block in response.content.iter_any():
            received += len(block)
            if max(received, expected or 0) > max_bytes:
                raise FetchTooLargeError(f"url: expected at most {max_bytes} bytes, the server sends more.")
            stream.write(block)
    except aiohttp.ClientPayloadError as error:
        raise ConnectionError(f"{received} of {expected or 'an unknown number of'} bytes") from error


@functools.cache
def _tls_context() -> ssl.SSLContext:
    import certifi

    context = ssl.create_default_context()
    # A slim image has no certificates of its own.
    context.load_verify_locations(certifi.where())
    return context
