"""Misbehaving servers, a private one that must not be reached, and a lying name resolver."""

import contextlib
import dataclasses
import gzip
import io
import random
import socket
import struct
import threading
import time
import urllib.parse
import zipfile
import zlib
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable, Iterator
from socket import create_connection, getaddrinfo  # the real ones, whatever a test replaces
from typing import Any

import pytest

from tests.support.photos import photo

# The names that the resolver of the test knows: each resolution takes the next answer, the last one stays.
PUBLIC = "93.184.215.14"
NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "public.example": ((PUBLIC,),),
    "xn--mller-kva.example": ((PUBLIC,),),
    "private.example": (("127.0.0.1",),),
    "six.example": (("::1",),),
    "mixed.example": ((PUBLIC, "127.0.0.1"),),
    "mapped.example": (("::ffff:127.0.0.1",),),
    "nat64.example": (("64:ff9b::7f00:1",),),
    "zero.example": (("0.0.0.0",),),
    "metadata.example": (("169.254.169.254",),),
    "rebinding.example": ((PUBLIC,), ("127.0.0.1",)),
    "flapping.example": (("127.0.0.1",), (PUBLIC,)),
}
PHOTO = photo()
_OK = "HTTP/1.1 200 OK\r\n"


@dataclasses.dataclass(frozen=True)
class Script:
    """Behaviour of a server on a connection: wait, send, then repeat something until the client disconnects."""

    send: bytes
    repeat: bytes | None = None
    pause: float = 0.0
    wait: float = 0.0


def answer(body: bytes, *headers: str, status: str = _OK) -> Script:
    return Script(head(*headers, status=status) + body)


def head(*headers: str, status: str = _OK) -> bytes:
    return (status + "".join(f"{header}\r\n" for header in headers) + "\r\n").encode()


def redirect(location: str, wait: float = 0.0) -> Script:
    return Script(head(f"Location: {location}", status="HTTP/1.1 302 Found\r\n"), wait=wait)


def pages(port: int) -> dict[str, Script]:
    """Answers of the public server by path; `port` is that of the private server."""
    length = f"Content-Length: {len(PHOTO)}"
    chunked = head("Transfer-Encoding: chunked")
    return {
        "photo.jpg": answer(PHOTO, length),
        "again": redirect(f"http://rebinding.example:{port}/"),
        "loop": redirect("/loop"),
        "slow-loop": redirect("/slow-loop", wait=0.12),
        "nowhere": Script(head(status="HTTP/1.1 302 Found\r\n")),
        "not-utf8": Script(b"HTTP/1.1 302 Found\r\nLocation: /photo\xff.jpg\r\n\r\n"),
        "refresh": answer(b"<html>", f"Refresh: 0; url=http://127.0.0.1:{port}/"),
        "silent": Script(b"", b"", 0.05),
        "slow-head": Script(_OK.encode() + b"X-Slow: ", b"x", 0.05),
        "slow-body": Script(head("Content-Length: 100000"), b"x", 0.05),
        "endless-continue": Script(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        "endless-headers": Script(_OK.encode(), b"X-Header: value\r\n" * 100),
        "endless-header": Script(_OK.encode() + b"X-Header: ", b"x" * (1 << 16)),
        "endless-body": Script(head(), b"x" * (1 << 16)),
        "endless-chunks": Script(chunked, b"10000\r\n" + b"x" * (1 << 16) + b"\r\n"),
        "endless-trailers": Script(chunked + b"0\r\n", b"X-Trailer: value\r\n" * 100),
        "large": Script(head("Content-Length: 1000000000000"), b"x" * (1 << 16)),
        "length-too-large": answer(PHOTO, "Content-Length: 100000"),
        "length-too-small": answer(PHOTO, "Content-Length: 300"),
        "length-negative": answer(PHOTO, "Content-Length: -5"),
        "length-word": answer(PHOTO, "Content-Length: many"),
        "no-length": answer(PHOTO),
        "chunks": Script(chunked + b"%x\r\n" % len(PHOTO) + PHOTO + b"\r\n0\r\n\r\n"),
        "chunks-garbage": Script(chunked + b"garbage\r\n" + PHOTO),
        "chunks-negative": Script(chunked + b"-5\r\n" + PHOTO),
        "chunks-cut": Script(chunked + b"ffff\r\n" + PHOTO),
        "gzip-bomb": answer(gzip.compress(bytes(100_000_000), 1), "Content-Encoding: gzip"),
        "encoding": answer(PHOTO, "Content-Encoding: \x1b[2J"),
        "gzip": answer(gzip.compress(PHOTO)),
        "zip-bomb": answer(_zip_bomb()),
        "pixels": answer(_many_pixels()),
        "html": answer(b"<html>a photo</html>", "Content-Type: image/jpeg"),
        "photo-as-html": answer(PHOTO, "Content-Type: text/html"),
        "empty": answer(b"", "Content-Length: 0"),
        "part": answer(PHOTO, length, status="HTTP/1.1 206 Partial Content\r\n"),
        "error": answer(PHOTO, length, status="HTTP/1.1 500 Oops\r\n"),
        "no-http": Script(PHOTO),
        "escapes": Script(b"\x1b[2J\x1b]0;owned\x07\r\n"),
    }


def _zip_bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(2):
            archive.writestr(f"{index}.jpg", bytes(60 << 20))
    return stream.getvalue()


def _many_pixels() -> bytes:
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@contextlib.contextmanager
def listening(address: str, port: int, take: Callable[[socket.socket, int], None]) -> Iterator[int]:
    """A server that gives each connection and its peer's port to `take`, one after another; its own port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, peer = listener.accept()
                    take(connection, peer[1])

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


class Forbidden:
    """A private server on this machine that must not be reached; it counts its requests."""

    def __init__(self, port: int = 0) -> None:
        # Not one that the system gives out: who was given it before may still call.
        self.port = port or random.randrange(15_000, 30_000)
        self._peers: list[int] = []

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        with contextlib.ExitStack() as listeners:
            # All addresses of this machine: 127.8.9.10 is one as well.
            listeners.enter_context(listening("0.0.0.0", self.port, self._take))
            with contextlib.suppress(OSError):  # where there is no IPv6
                listeners.enter_context(listening("::1", self.port, self._take))
            yield

    def connections(self) -> int:
        """Number of connections so far; they are accepted in order, so that one of our own is the last."""
        with create_connection(("127.0.0.1", self.port)) as own:
            deadline = time.monotonic() + 5
            while own.getsockname()[1] not in self._peers:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            self._peers.remove(own.getsockname()[1])
        return len(self._peers)

    def _take(self, connection: socket.socket, peer: int) -> None:
        self._peers.append(peer)
        threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            connection.recv(1 << 16)
            connection.sendall(head(f"Content-Length: {len(PHOTO)}") + PHOTO)


class Stranger:
    """The public server: what it does is in `pages`, and it records the heads of the requests."""

    def __init__(self, forbidden_port: int) -> None:
        self.heads: list[bytes] = []
        self._pages = pages(forbidden_port)

    def take(self, connection: socket.socket, peer: int) -> None:
        threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            request = connection.recv(1 << 16)
            self.heads.append(request)
            path, _, query = request.split()[1].decode().partition("?")
            play(redirect(urllib.parse.unquote(query)) if path == "/away" else self._pages[path.strip("/")], connection)


def play(script: Script, connection: socket.socket) -> None:
    time.sleep(script.wait)
    connection.sendall(script.send)
    if script.repeat is None:
        # Read before closing: what is unread would reset the connection, and the answer be lost.
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1 << 16)
        return
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        connection.sendall(script.repeat)
        time.sleep(script.pause)


class Network:
    """The resolver and the connections of the process under test.

    Names are resolved from `NAMES`, addresses by the system. Connections to the public address go to the public
    server; those to this machine are made as asked for; any other is noted and fails.

    Attributes:
        resolved_names: the names, in order.
        tried: the addresses that connections were made to, in order.
    """

    def __init__(self, public_port: int) -> None:
        self.resolved_names: list[str] = []
        self.tried: list[str] = []
        self._public_port = public_port

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", self.getaddrinfo)
        network = self

        async def sock_connect(loop: Any, sock: socket.socket, address: tuple[Any, ...]) -> None:
            await connect(loop, sock, network.route(address))

        connect = BaseSelectorEventLoop.sock_connect
        monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", sock_connect)

    def getaddrinfo(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        name = host.rstrip(".").lower()
        if name in NAMES:
            answers = NAMES[name]
            found = answers[min(self.resolved_names.count(name), len(answers) - 1)]
            self.resolved_names.append(name)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]
        numeric = 0 if name == "localhost" else socket.AI_NUMERICHOST
        return getaddrinfo(host, port, *args, **kwargs, flags=numeric)

    def route(self, address: tuple[Any, ...]) -> tuple[Any, ...]:
        """The address that a connection to `address` is made to."""
        self.tried.append(address[0])
        if address[0] == PUBLIC:
            return ("127.0.0.1", self._public_port)
        if address[0].startswith("127.") or address[0] in ("0.0.0.0", "::1"):
            return address
        raise ConnectionRefusedError("no way there")
