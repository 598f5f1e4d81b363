"""Remote storage on loopback: rclone's own WebDAV and S3 servers, and a proxy that injects faults."""

import contextlib
import dataclasses
import http.client
import io
import os
import re
import socket
import subprocess
import threading
import zipfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.ports import free_port, is_listening
from tests.support.processes import program
from tests.support.waiting import wait_until

USER, PASSWORD = "alice", "a secret with $ and ä"
ACCESS_KEY, SECRET_KEY = "topgraft-key", "topgraft-secret"
BUCKET = "bucket"
NEXTCLOUD_ROOT = f"/remote.php/dav/files/{USER}"
PATIENCE = 15.0

_NOT_PASSED_ON = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


@dataclasses.dataclass(frozen=True)
class StorageServer:
    """A storage server that runs.

    Attributes:
        url: its address.
        folder: where it keeps its files.
        settings: of a remote for it, as rclone's configuration file names them.
    """

    url: str
    folder: Path
    settings: Mapping[str, str]

    def environment(self, remote: str = "rshare", **changed: str) -> dict[str, str]:
        """The variables that configure it as a remote."""
        settings = {**self.settings, **changed}
        names = {f"RCLONE_CONFIG_{remote.upper()}_{name.upper()}": value for name, value in settings.items()}
        return names | {"RCLONE_CONFIG": os.devnull}


@contextlib.contextmanager
def webdav_server(folder: Path, base: str = "", vendor: str = "other") -> Iterator[StorageServer]:
    """rclone's WebDAV server for the files of a folder, below the path `base`."""
    port = free_port()
    arguments = ["webdav", str(folder), "--user", USER, "--pass", PASSWORD, "--dir-cache-time", "50ms"]
    with _serving(port, *arguments, *(["--baseurl", base] if base else [])):
        url = f"http://127.0.0.1:{port}{base}"
        yield StorageServer(url, folder, _webdav_settings(url, vendor))


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[StorageServer]:
    """rclone's S3 server with one bucket, `BUCKET`, in a folder."""
    port = free_port()
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    with _serving(port, "s3", str(folder), "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"):
        url = f"http://127.0.0.1:{port}"
        keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
        yield StorageServer(url, folder, {"type": "s3", "provider": "Rclone", "endpoint": url, **keys})


@dataclasses.dataclass
class Fault:
    """A fault of requests.

    Attributes:
        method: which requests; empty for all.
        act: `status`, `cut upload`, `cut download`, `corrupt`, `quota` or `hang up`.
        times: how many of them; after that they go well.
        status: of the answer, for `status`.
        where: a part of the path.
        fraction: of the answer, that comes before a `cut download`.
    """

    method: str
    act: str
    times: int = 1_000_000
    status: int = 0
    where: str = ""
    fraction: float = 0.5


class FaultyProxy:
    """Between a WebDAV server and its clients: passes requests on, but for those that a fault is meant for.

    It answers a request for a folder as a zip as a Nextcloud does, where `zips` is set.

    Attributes:
        faults: the first that fits counts.
        seen: method, path and status of every answer.
    """

    def __init__(self, server: StorageServer, zips: bool = False) -> None:
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str, int]] = []
        self.zips = zips
        self.upstream = server
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        parts = urlsplit(server.url)
        self.url = f"http://127.0.0.1:{self._http.server_port}{parts.path}"
        self.settings = {**server.settings, "url": self.url}

    def environment(self, **changed: str) -> dict[str, str]:
        """The variables that configure the server behind it as `rshare:`."""
        return StorageServer(self.url, self.upstream.folder, self.settings).environment(**changed)

    def count(self, method: str, status: int = 0) -> int:
        """Number of requests of a method, with that status if given."""
        return sum(one == method and status in (0, answered) for one, _, answered in self.seen)

    def fault_for(self, method: str, path: str) -> Fault | None:
        """The fault that is meant for a request, used up by one."""
        for fault in self.faults:
            if fault.times > 0 and fault.method in ("", method) and fault.where in unquote(path):
                fault.times -= 1
                return fault
        return None

    def __enter__(self) -> "FaultyProxy":
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    owner: FaultyProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""

    def handle_any(self) -> None:
        """Answer one request."""
        fault = self.owner.fault_for(self.command, self.path)
        if fault is not None and fault.act == "hang up":
            return self._hang_up()
        length = int(self.headers.get("Content-Length") or 0)
        if fault is not None and fault.act == "cut upload":
            self.rfile.read(length // 2)
            return self._hang_up()
        body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(length)
        if fault is not None and fault.act == "status":
            return self._answer(fault.status, {}, b"")
        if fault is not None and fault.act == "quota":
            body_out = _quota(self.path) if b"quota" in body else None
            if body_out:
                return self._answer(207, {"Content-Type": "application/xml"}, body_out)
        if self.owner.zips and self.command == "GET" and self.headers.get("Accept") == "application/zip":
            return self._zip(_cut_of(fault))
        status, headers, content = self._ask(body)
        if fault is not None and fault.act == "corrupt" and content:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        self._answer(status, headers, content, _cut_of(fault))

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do_OPTIONS = handle_any
    do_PROPFIND = do_PROPPATCH = do_MKCOL = do_MOVE = do_COPY = handle_any

    def _chunks(self) -> bytes:
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(str(urlsplit(self.owner.upstream.url).netloc), timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _NOT_PASSED_ON}
            if self.command == "HEAD":
                # Of the content that a HEAD leaves out.
                kept["Content-Length"] = answer.getheader("Content-Length") or "0"
            return answer.status, kept, answer.read()

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes, cut: float = 1.0) -> None:
        self.owner.seen.append((self.command, unquote(self.path), status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content[: int(len(content) * cut)])
        if cut < 1:
            self._hang_up()

    def _zip(self, cut: float) -> None:
        """The folder's files in a folder of its name, as a Nextcloud packs them: the sizes follow each."""
        name = unquote(self.path).removeprefix(urlsplit(self.owner.url).path).strip("/")
        folder = self.owner.upstream.folder / name
        packed = io.BytesIO()
        with zipfile.ZipFile(_Unseekable(packed), "w") as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                archive.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}" if name else path.name)
        self._answer(200, {"Content-Type": "application/zip", "Accept-Ranges": "bytes"}, packed.getvalue(), cut)

    def _hang_up(self) -> None:
        self.owner.seen.append((self.command, unquote(self.path), 0))
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)


class _Unseekable(io.RawIOBase):
    """A stream that can only be written to."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def write(self, content: Any) -> int:
        """Append the bytes."""
        return self._stream.write(content)

    def writable(self) -> bool:
        """Always true."""
        return True


def _cut_of(fault: Fault | None) -> float:
    """Fraction of an answer that is sent."""
    return fault.fraction if fault is not None and fault.act == "cut download" else 1.0


def obscured(password: str) -> str:
    """A password as rclone's settings hold it."""
    ran = subprocess.run([program("rclone"), "obscure", "-"], input=password.encode(), capture_output=True, check=True)
    return ran.stdout.decode().strip()


def _webdav_settings(url: str, vendor: str) -> dict[str, str]:
    return {"type": "webdav", "vendor": vendor, "url": url, "user": USER, "pass": obscured(PASSWORD)}


def _quota(path: str) -> bytes:
    """Answer of a Nextcloud for a folder with a free quota of 1,000 bytes."""
    return (
        '<?xml version="1.0"?><d:multistatus xmlns:d="DAV:"><d:response>'
        f"<d:href>{path}</d:href><d:propstat><d:prop><d:quota-available-bytes>1000</d:quota-available-bytes>"
        "<d:quota-used-bytes>5000</d:quota-used-bytes></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>"
        "</d:response></d:multistatus>"
    ).encode()


@contextlib.contextmanager
def _serving(port: int, *arguments: str) -> Iterator[None]:
    server = subprocess.Popen(
        [program("rclone"), "serve", *arguments, "--addr", f"127.0.0.1:{port}", "--config", os.devnull],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not re.match("RCLONE_", name)},
    )
    try:
        wait_until(lambda: is_listening(port), PATIENCE)
        yield
    finally:
        server.kill()
        server.wait()


def use(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
