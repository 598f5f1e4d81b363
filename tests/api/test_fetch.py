"""Fetching URLs: content, refusals and limits; the tricks are in `test_url_tricks.py`."""

import base64
import contextlib
import dataclasses
import http.server
import io
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from api import fetch as fetching
from api import uploads
from api.errors import TryAgain
from api.fetch import FetchLimits, fetch
from api.uploads import MAX_FETCHES
from model.errors import FetchError, FetchTooLargeError
from model.waiting import on_waiting

CONTENT = b"photo" * 1000
ANY_PORT = range(1, 1 << 16)
LOCAL = FetchLimits(max_bytes=1 << 20, seconds=5, private=True, ports=ANY_PORT)
PUBLIC_ONLY = FetchLimits(max_bytes=1 << 20, seconds=5)


class _Site(http.server.BaseHTTPRequestHandler):
    """A site with a page for each thing that can go wrong."""

    seen: ClassVar[list[tuple[str, str | None]]] = []
    sent: ClassVar[list[list[str]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Host"]))
        self.sent.append(self.headers.keys())
        path = self.path.partition("?")[0]
        answer = getattr(self, "page_" + path.strip("/").partition("/")[0].partition(".")[0], None)
        if answer is None:
            self.send_error(404)
        else:
            answer()

    def page_photo(self) -> None:
        self._send(200, {"Content-Length": str(len(CONTENT))}, CONTENT)

    def page_endless_length(self) -> None:
        self._send(200, {"Content-Length": str(1 << 40)}, b"x")

    def page_no_length(self) -> None:
        self._send(200, {}, CONTENT)

    def page_large(self) -> None:
        self._send(200, {}, b"")
        with contextlib.suppress(OSError):
            for _ in range(64):
                self.wfile.write(b"x" * (1 << 16))

    def page_cut(self) -> None:
        self._send(200, {"Content-Length": "1000"}, b"half")

    def page_loop(self) -> None:
        self._send(302, {"Location": "/loop"}, b"")

    def page_moved(self) -> None:
        self._send(301, {"Location": "photo"}, b"")

    def page_cookie(self) -> None:
        self._send(302, {"Location": "/photo", "Set-Cookie": "secret=1; Path=/"}, b"")

    def page_away(self) -> None:
        self._send(302, {"Location": self.path.partition("?")[2]}, b"")

    def page_slow_body(self) -> None:
        self._send(200, {"Content-Length": "100000"}, b"")
        self._drip()

    def page_slow_head(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self._drip()

    def _drip(self) -> None:
        with contextlib.suppress(OSError):
            for _ in range(200):
                self.wfile.write(b"x")
                time.sleep(0.05)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _serve(context: ssl.SSLContext | None = None) -> contextlib.AbstractContextManager[int]:
    @contextlib.contextmanager
    def served() -> Iterator[int]:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            server.server_close()

    return served()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with _serve() as port:
        yield f"http://127.0.0.1:{port}"


def _fetch(url: str, limits: FetchLimits = LOCAL) -> bytes:
    stream = io.BytesIO()
    fetch(url, stream, limits)
    return stream.getvalue()


@pytest.mark.parametrize("page", ["photo", "no_length", "moved", "photo.jpg?size=1&name=a%20b"])
def test_the_content_of_a_url_is_fetched(site: str, page: str) -> None:
    assert _fetch(f"{site}/{page}") == CONTENT


def test_the_name_is_the_last_part_of_the_path(site: str) -> None:
    assert fetch(f"{site}/photo/my%20cat.jpg?x=1", io.BytesIO(), LOCAL) == "my cat.jpg"
    assert fetch(f"{site}/photo/", io.BytesIO(), LOCAL) == "127.0.0.1"


@pytest.mark.parametrize("page", ["large", "endless_length", "photo"])
def test_a_response_that_is_too_large_is_refused(site: str, page: str) -> None:
    stream = io.BytesIO()
    with pytest.raises(FetchTooLargeError, match="at most 2000 bytes"):
        fetch(f"{site}/{page}", stream, dataclasses.replace(LOCAL, max_bytes=2000))
    assert len(stream.getvalue()) <= 1 << 17


@pytest.mark.parametrize("page", ["slow_body", "slow_head"])
def test_a_slow_response_hits_the_time_limit(site: str, page: str) -> None:
    start = time.monotonic()
    with pytest.raises(FetchError, match=r"within 0\.5 s"):
        fetch(f"{site}/{page}", io.BytesIO(), dataclasses.replace(LOCAL, seconds=0.5))
    assert time.monotonic() - start < 2


def test_a_missing_response_hits_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(FetchError, match=r"within 0\.3 s"):
        port = silent.getsockname()[1]
        fetch(
            f"http://127.0.0.1:{port}/",
            io.BytesIO(),
            dataclasses.replace(LOCAL, seconds=0.3),
        )


def test_slow_name_resolution_hits_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answered.wait(20) and [])
    start = time.monotonic()
    try:
        with pytest.raises(FetchError, match="can be found"):
            fetch("http://slow.example/", io.BytesIO(), dataclasses.replace(LOCAL, seconds=0.2))
        assert time.monotonic() - start < 10
    finally:
        answered.set()


@pytest.mark.parametrize("page", ["cut", "missing", "loop"])
def test_bad_responses_are_refused(site: str, page: str) -> None:
    with pytest.raises(FetchError):
        _fetch(f"{site}/{page}")


def test_a_refused_connection_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(FetchError, match=r"answer from 127\.0\.0\.1"):
        _fetch(f"http://127.0.0.1:{port}/")


class _HungUpError(Exception):
    """The client has gone."""


@pytest.mark.parametrize("waits_for", ["the name", "the content"])
def test_others_get_a_turn_while_a_download_waits(site: str, waits_for: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notices: list[float] = []
    answered = threading.Event()

    def notice() -> None:
        notices.append(time.monotonic())
        if len(notices) == 3:
            raise _HungUpError

    if waits_for == "the name":
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(60) and [])
    with on_waiting(notice), pytest.raises(_HungUpError):
        _fetch(f"{site}/slow_body", dataclasses.replace(LOCAL, seconds=60))
    answered.set()


def test_a_worker_refuses_more_downloads_than_it_may_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_ALLOW_PRIVATE_URLS", "1")
    entered, leave = threading.Semaphore(0), threading.Event()

    def slow(url: str, stream: io.BytesIO, limits: FetchLimits) -> str:
        entered.release()
        assert leave.wait(60)
        stream.write(CONTENT)
        return "photo"

    monkeypatch.setattr(uploads, "fetch", slow)
    threads = [threading.Thread(target=uploads._fetched, args=("http://slow.example/",)) for _ in range(MAX_FETCHES)]
    for thread in threads:
        thread.start()
        assert entered.acquire(timeout=60)
    with pytest.raises(TryAgain, match=r"at most 4 downloads at the same time.*send the photo itself"):
        uploads._fetched("http://slow.example/")
    leave.set()
    for thread in threads:
        thread.join(60)
    assert uploads._fetched("http://slow.example/")[1] == "photo"


def test_data_uris_need_no_place_among_the_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_FETCHES", threading.BoundedSemaphore(1))
    with uploads._FETCHES:
        assert uploads._fetched("data:,photo")[0].seek(0, io.SEEK_END) == 5


def test_the_next_address_is_tried_if_one_refuses(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(site.rpartition(":")[2])
    monkeypatch.setattr(socket, "getaddrinfo", _resolves_to("127.0.0.9", "127.0.0.1"))
    assert _fetch(f"http://photos.example:{port}/photo") == CONTENT


def test_neither_cookies_nor_stored_passwords_are_sent(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    _Site.sent.clear()
    assert _fetch(f"{site}/cookie") == CONTENT
    assert len(_Site.sent) == 2
    assert {name for names in _Site.sent for name in names} == {"Host", "User-Agent", "Accept-Encoding", "Connection"}


def test_other_ports_must_be_allowed(site: str) -> None:
    port = int(site.rpartition(":")[2])
    with pytest.raises(FetchError, match=f"received {port}.*TOPGRAFT_URL_PORTS"):
        _fetch(f"{site}/photo", dataclasses.replace(LOCAL, ports={80, 443}))
    assert _fetch(f"{site}/photo", dataclasses.replace(LOCAL, ports={port})) == CONTENT


def _resolves_to(*addresses: str) -> Callable[..., list[Any]]:
    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return getaddrinfo


def test_the_host_is_named_as_in_the_url(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(site.rpartition(":")[2])
    monkeypatch.setattr(socket, "getaddrinfo", _resolves_to("127.0.0.1"))
    assert _fetch(f"http://müller.example:{port}/photo/ä?ö=1") == CONTENT
    assert _Site.seen[-1] == ("/photo/%C3%A4?%C3%B6=1", f"xn--mller-kva.example:{port}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "site.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=photos.example"),
            *("-addext", "subjectAltName=DNS:photos.example", "-keyout", path, "-out", path.with_suffix(".crt")),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def tls_port(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setattr(socket, "getaddrinfo", _resolves_to("127.0.0.1"))
    with _serve(context) as port:
        yield port


def test_https_checks_the_name_in_the_url(certificate: Path, tls_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_tls_context", lambda: ssl.create_default_context(cafile=str(certificate)))
    assert _fetch(f"https://photos.example:{tls_port}/photo") == CONTENT
    with pytest.raises(FetchError, match="certificate"):
        _fetch(f"https://other.example:{tls_port}/photo")


def test_https_refuses_an_unknown_certificate(tls_port: int) -> None:
    with pytest.raises(FetchError, match="certificate"):
        _fetch(f"https://photos.example:{tls_port}/photo")


def test_the_time_limit_applies_to_https(certificate: Path, tls_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_tls_context", lambda: ssl.create_default_context(cafile=str(certificate)))
    limits = dataclasses.replace(LOCAL, seconds=0.5)
    with pytest.raises(FetchError, match=r"within 0\.5 s"):
        _fetch(f"https://photos.example:{tls_port}/slow_body", limits)


def test_data_uris_are_decoded() -> None:
    encoded = base64.b64encode(CONTENT).decode()
    assert _fetch(f"data:image/jpeg;base64,{encoded}", PUBLIC_ONLY) == CONTENT
    assert _fetch(f"DATA:;BASE64,{encoded.replace('=', '%3D').replace('+', '%2B')}") == CONTENT
    assert _fetch("data:,a%20b") == b"a b"
    assert _fetch("data:;base64,YQ") == b"a"
    with pytest.raises(FetchError, match="expected base64"):
        _fetch("data:;base64,\u00e4")


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("text", ["%41", "%%4", "100%", "\u00e4%C3%A4"])
def test_escapes_in_a_data_uri_across_blocks(text: str, shift: int) -> None:
    payload = "x" * shift + text * 50_000
    assert _fetch(f"data:,{payload}") == urllib.parse.unquote_to_bytes(payload)


@pytest.mark.parametrize("uri", ["data:," + "x" * 101, "data:;base64," + "YWJj" * 40, "data:," + "%20" * 10_000])
def test_large_data_uris_are_refused(uri: str) -> None:
    with pytest.raises(FetchTooLargeError):
        _fetch(uri, FetchLimits(max_bytes=100))
