"""Fetching URLs: what comes through, what is refused, and that no trick of a URL reaches a private address."""

import base64
import contextlib
import http.server
import io
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from api import fetch as fetching
from api.fetch import FetchLimits, fetch, is_public
from model.errors import FetchError, FetchTooLargeError

CONTENT = b"photo" * 1000
LOCAL = FetchLimits(max_bytes=1 << 20, seconds=5, private=True)
PUBLIC_ONLY = FetchLimits(max_bytes=1 << 20, seconds=5)


class _Site(http.server.BaseHTTPRequestHandler):
    """A site with a page for each thing that can go wrong."""

    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Host"]))
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
def test_content_comes_through(site: str, page: str) -> None:
    assert _fetch(f"{site}/{page}") == CONTENT


def test_the_name_is_the_last_part_of_the_path(site: str) -> None:
    assert fetch(f"{site}/photo/my%20cat.jpg?x=1", io.BytesIO(), LOCAL) == "my cat.jpg"
    assert fetch(f"{site}/photo/", io.BytesIO(), LOCAL) == "127.0.0.1"


@pytest.mark.parametrize("page", ["large", "endless_length", "photo"])
def test_too_large(site: str, page: str) -> None:
    stream = io.BytesIO()
    with pytest.raises(FetchTooLargeError, match="at most 2000 bytes"):
        fetch(f"{site}/{page}", stream, FetchLimits(max_bytes=2000, private=True))
    assert len(stream.getvalue()) <= 1 << 17


@pytest.mark.parametrize("page", ["slow_body", "slow_head"])
def test_a_server_that_drips_is_cut_off(site: str, page: str) -> None:
    start = time.monotonic()
    with pytest.raises(FetchError, match=r"within 0\.5 s"):
        fetch(f"{site}/{page}", io.BytesIO(), FetchLimits(max_bytes=1 << 20, seconds=0.5, private=True))
    assert time.monotonic() - start < 2


def test_a_server_that_never_answers_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(FetchError, match=r"within 0\.3 s"):
        port = silent.getsockname()[1]
        fetch(f"http://127.0.0.1:{port}/", io.BytesIO(), FetchLimits(max_bytes=10, seconds=0.3, private=True))


def test_a_slow_resolver_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: time.sleep(1) or [])
    start = time.monotonic()
    with pytest.raises(FetchError, match="can be found"):
        fetch("http://slow.example/", io.BytesIO(), FetchLimits(max_bytes=10, seconds=0.2, private=True))
    assert time.monotonic() - start < 0.8


@pytest.mark.parametrize("page", ["cut", "missing", "loop"])
def test_bad_answers(site: str, page: str) -> None:
    with pytest.raises(FetchError):
        _fetch(f"{site}/{page}")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(FetchError, match=r"answer from 127\.0\.0\.1"):
        _fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/a.jpg",
        "gopher://example.org/",
        "//example.org/a.jpg",
        "/etc/passwd",
        "photo.jpg",
        "http://",
        "http:///photo.jpg",
        "http://[::1/photo.jpg",
        "http://example.org:99999/",
        "http://example.org:port/",
        "http://user:secret@example.org/",
        "http://user@example.org/",
        "http://@example.org/",
        "http://example.org/a b",
        "http://example.org/\r\nX-Injected: 1",
        "http://example.org\\@127.0.0.1/",
        "http://example.org/\0",
        "http://" + "a" * 64 + ".org/",
        "http://example.org/" + "a" * 10_000,
    ],
)
def test_urls_that_cannot_be_used(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_get", _never)
    with pytest.raises(FetchError, match="url: expected"):
        _fetch(url)


def _never(*args: Any) -> None:
    raise AssertionError("a connection was made")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "\uff11\uff12\uff17.0.0.1",
        "\u2460\u2461\u2466.0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fec0::1]",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
    ],
)
def test_no_private_address_is_reached(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_connect", _never)
    with pytest.raises(FetchError):
        _fetch(f"http://{host}/", PUBLIC_ONLY)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


def _resolves_to(*addresses: str) -> Callable[..., list[Any]]:
    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return getaddrinfo


def test_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _resolves_to("8.8.8.8", "127.0.0.1"))
    monkeypatch.setattr(fetching, "_connect", _never)
    with pytest.raises(FetchError, match="public internet"):
        _fetch("http://mixed.example/", PUBLIC_ONLY)


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first look-up is public, every later one is not."""
    look_ups: list[str] = []
    connections: list[tuple[str, int]] = []

    def rebinding(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        look_ups.append(host)
        return _resolves_to("93.184.215.14" if len(look_ups) == 1 else "127.0.0.1")(host, port)

    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        connections.append(address)
        raise ConnectionRefusedError("test")

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(FetchError, match="answer from rebinding"):
        _fetch("http://rebinding.example/photo", PUBLIC_ONLY)
    assert look_ups == ["rebinding.example"]
    assert connections == [("93.184.215.14", 80)]


def test_a_redirect_to_a_private_address_is_refused(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(site.rpartition(":")[2])
    public = "93.184.215.14"
    real_connection = socket.create_connection
    real_look_up = socket.getaddrinfo
    reached: list[str] = []

    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        reached.append(address[0])
        return real_connection(("127.0.0.1", port), timeout)

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        return _resolves_to(public)(host, port) if host == "public.example" else real_look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "create_connection", create_connection)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(FetchError, match=r"public internet, received 127\.0\.0\.1"):
        _fetch(f"http://public.example/away?http://127.0.0.1:{port}/photo", PUBLIC_ONLY)
    with pytest.raises(FetchError, match="http, https or data URI"):
        _fetch("http://public.example/away?file:///etc/passwd", PUBLIC_ONLY)
    assert set(reached) == {public}


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


def test_https_is_cut_off_too(certificate: Path, tls_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_tls_context", lambda: ssl.create_default_context(cafile=str(certificate)))
    limits = FetchLimits(max_bytes=1 << 20, seconds=0.5, private=True)
    with pytest.raises(FetchError, match=r"within 0\.5 s"):
        _fetch(f"https://photos.example:{tls_port}/slow_body", limits)


def test_data_uris() -> None:
    encoded = base64.b64encode(CONTENT).decode()
    assert _fetch(f"data:image/jpeg;base64,{encoded}", PUBLIC_ONLY) == CONTENT
    assert _fetch(f"DATA:;BASE64,{encoded.replace('=', '%3D').replace('+', '%2B')}") == CONTENT
    assert _fetch("data:,a%20b") == b"a b"
    assert _fetch("data:;base64,YQ") == b"a"


@pytest.mark.parametrize(
    "uri", ["data:", "data:image/png;base64", "data:;base64,a b=", "data:;base64,YWJjZ", "data:;base64,ä"]
)
def test_bad_data_uris(uri: str) -> None:
    with pytest.raises(FetchError, match="url: expected"):
        _fetch(uri)


@pytest.mark.parametrize("uri", ["data:," + "x" * 101, "data:;base64," + "YWJj" * 40, "data:," + "%20" * 10_000])
def test_large_data_uris(uri: str) -> None:
    with pytest.raises(FetchTooLargeError):
        _fetch(uri, FetchLimits(max_bytes=100))
