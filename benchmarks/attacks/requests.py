"""Hostile requests: long, half sent, malformed, from other sites, and for other addresses."""

import functools
import json
import socket
import time
import urllib.parse
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import requests

from benchmarks.attacks.target import PATIENCE, SAMPLE, Target, Trick
from tests.api.url_tricks import ADDRESSES, DATA_URIS, WRITING
from tests.api.url_tricks import Trick as UrlTrick
from tests.support.hostile_requests import FOREIGN_HOSTS, HALVES, REQUESTS, half_sent

_HEADERS = ("Accept", "Content-Type", "Content-Encoding", "X-Other", "Cookie")
_PARAMETERS = ("url", "model", "explain_class", "other")
_SECONDS_HALF_SENT = 3.0
_HANG_UPS = 50
_PREDICT = "POST /v2/models/topgraft/predict/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_FORM = "Content-Type: multipart/form-data; boundary=xx\r\n"
_BODY = b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n' + SAMPLE + b"\r\n--xx--\r\n"
_GET = b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_CLIENT_ERRORS = range(400, 500)
# Status 0: the connection is closed, or the service waits for the rest until a time limit that tests play.
_NO_SUCCESS = (0, *_CLIENT_ERRORS)
_MALFORMED: dict[str, tuple[bytes, Collection[int]]] = {
    "a length that is too large": (f"{_PREDICT}{_FORM}Content-Length: 99999\r\n\r\n".encode() + _BODY, _NO_SUCCESS),
    "a length that is too small": (f"{_PREDICT}{_FORM}Content-Length: 40\r\n\r\n".encode() + _BODY, _NO_SUCCESS),
    "a negative length": (f"{_PREDICT}{_FORM}Content-Length: -5\r\n\r\n".encode() + _BODY, _NO_SUCCESS),
    "a length that is no number": (f"{_PREDICT}{_FORM}Content-Length: 1e3\r\n\r\n".encode() + _BODY, _NO_SUCCESS),
    "two lengths": (f"{_PREDICT}{_FORM}Content-Length: 5\r\nContent-Length: 6\r\n\r\n".encode() + _BODY, _NO_SUCCESS),
    "a length and chunks": (
        f"{_PREDICT}{_FORM}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + _BODY,
        _NO_SUCCESS,
    ),
    "a chunk of negative size": (
        f"{_PREDICT}{_FORM}Transfer-Encoding: chunked\r\n\r\n-5\r\n".encode() + _BODY,
        _NO_SUCCESS,
    ),
    "no HTTP": (b"\x16\x03\x01\x02\x00" * 1000, _NO_SUCCESS),
    "nulls": (bytes(100_000), _NO_SUCCESS),
    "ten thousand headers": (_PREDICT.encode() + b"X-A: b\r\n" * 10_000 + b"\r\n", _NO_SUCCESS),
    "a header without an end": (f"{_PREDICT}X-A: {'x' * 1_000_000}".encode(), _NO_SUCCESS),
    "a thousand requests at once on one connection": (_GET * 1000, (200,)),
}


def long_and_malformed() -> list[Trick]:
    """Requests that are too long, half sent, malformed or abandoned."""
    return [
        *(Trick(name, functools.partial(_long, name)) for name in REQUESTS),
        *(Trick(f"long header {name}", functools.partial(_long_header, name)) for name in _HEADERS),
        *(Trick(f"long parameter {name}", functools.partial(_long_parameter, name)) for name in _PARAMETERS),
        *(Trick(name, functools.partial(_malformed, name)) for name in _MALFORMED),
        *(Trick(f"300 connections, half sent: {name}", functools.partial(_half_sent, name)) for name in HALVES),
        Trick("a body byte by byte", _slow_body),
        Trick(f"{_HANG_UPS} clients that hang up", _hang_ups),
    ]


def other_sites() -> list[Trick]:
    """Requests under the name of another site, or from its pages."""
    headers = ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"})
    return [
        *(Trick(f"host {host!r}", functools.partial(_foreign_host, host)) for host in FOREIGN_HOSTS),
        *(
            Trick(f"{route}, {value}", functools.partial(_foreign_page, route, value))
            for route in ("train", "predict")
            for value in headers
        ),
    ]


def addresses() -> list[Trick]:
    """URLs of this machine and of private networks; those that need a name server are played by a test."""
    # A size limit of its own, or a public name that must be found.
    left_out = [trick for trick in (*ADDRESSES, *WRITING, *DATA_URIS) if trick.status in (200, 413)]
    played = [trick for trick in (*ADDRESSES, *WRITING, *DATA_URIS) if trick not in left_out]
    return [Trick(trick.name, functools.partial(_address, trick)) for trick in played]


def _expected(status: int, statuses: Collection[int]) -> str:
    return "" if status in statuses else f"expected status {list(statuses)[:9]}, received {status}"


def _long(name: str, target: Target) -> str:
    route, make, headers, statuses = REQUESTS[name]
    url = f"{target.server.url}/{route}/" if route else f"{target.server.url}/"
    response = requests.post(url, data=make(), headers=headers, timeout=PATIENCE)
    return _expected(response.status_code, statuses)


def _long_header(name: str, target: Target) -> str:
    response = requests.post(f"{target.server.url}/predict/", headers={name: "x" * 100_000}, timeout=PATIENCE)
    return _expected(response.status_code, _CLIENT_ERRORS)


def _long_parameter(name: str, target: Target) -> str:
    response = requests.post(f"{target.server.url}/predict/", params={name: "x" * 100_000}, timeout=PATIENCE)
    return _expected(response.status_code, _CLIENT_ERRORS)


def _malformed(name: str, target: Target) -> str:
    content, statuses = _MALFORMED[name]
    return _expected(target.send(content, seconds=2.0), statuses)


def _half_sent(name: str, target: Target) -> str:
    with half_sent(target.port, HALVES[name], count=300):
        time.sleep(_SECONDS_HALF_SENT)
        return "" if target.is_well() else "an honest client is refused"


def _slow_body(target: Target) -> str:
    head = f"{_PREDICT}{_FORM}Content-Length: {len(_BODY)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", target.port), timeout=10) as connection:
        connection.sendall(head)
        for byte in _BODY[:100]:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
    return "" if target.is_well() else "an honest client is refused"


def _hang_ups(target: Target) -> str:
    head = f"{_PREDICT}{_FORM}Content-Length: {len(_BODY)}\r\n\r\n".encode()

    def hang_up(index: int) -> None:
        with socket.create_connection(("127.0.0.1", target.port), timeout=10) as connection:
            connection.sendall((head + _BODY)[: len(head) + len(_BODY) * index // _HANG_UPS])

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(hang_up, range(_HANG_UPS)))
    return "" if target.is_well() else "an honest client is refused"


def _foreign_host(host: str, target: Target) -> str:
    head = f"GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    return _expected(target.send(head.encode("latin-1")), (400, 403))


def _foreign_page(route: str, headers: dict[str, str], target: Target) -> str:
    files = {"image": ("a.jpg", SAMPLE)} if route == "predict" else None
    response = requests.post(f"{target.server.url}/{route}/", headers=headers, files=files, timeout=PATIENCE)
    return _expected(response.status_code, (403,))


def _address(trick: UrlTrick, target: Target) -> str:
    url = trick.url.replace("{port}", str(target.forbidden_port))
    # Half of a surrogate pair can be sent as an escape of JSON only.
    headers = {"Content-Type": "application/json"}
    response = requests.post(
        f"{target.server.url}/predict/", data=json.dumps({"url": url}), headers=headers, timeout=PATIENCE
    )
    if target.was_reached():
        return "the forbidden server was reached"
    found = urllib.parse.unquote(response.text)
    if trick.message not in found:
        return f"expected {trick.message!r}, received {found[:200]}"
    return _expected(response.status_code, (trick.status,))
