"""A Nextcloud on loopback: files by a real `rclone serve webdav`, the share API replayed as a real one answered.

`data/nextcloud.json` holds exchanges recorded from Nextcloud 31. What is asked must be what was asked then, word for
word; the answers are those of then, with the token of then.
"""

import base64
import contextlib
import dataclasses
import hashlib
import http.client
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

RECORDED = json.loads((Path(__file__).parent / "data" / "nextcloud.json").read_text(encoding="utf-8"))
USER, PASSWORD = "alice", "app-password of alice"
TOKEN = RECORDED["01_create_file_share"]["answer"]["ocs"]["data"]["token"]
FILES = f"/remote.php/dav/files/{USER}"
FOLDER, NAME = "pub/run1", "model"
SHARED = f"/{FOLDER}/{NAME}.tar.xz"


@dataclasses.dataclass
class Nextcloud:
    """A running server.

    Attributes:
        url: without a slash at the end.
        root: the folder with the user's files.
        shares: the links there are, as the share API lists them.
        asked: `METHOD path` of the requests to the share API and to links.
        refuses: whether it takes the password for wrong.
        page: what a link answers in place of the file, such as a page that asks for a password.
    """

    url: str
    root: Path
    webdav: int = 0
    shares: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    asked: list[str] = dataclasses.field(default_factory=list)
    refuses: bool = False
    page: bytes = b""


@contextlib.contextmanager
def nextcloud(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nextcloud]:
    """Start it, and make it the remote `rshare:` of this process."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    program = shutil.which("rclone")
    if program is None:
        pytest.skip("no rclone")
    (root / FOLDER).mkdir(parents=True)
    cloud = Nextcloud("", root)
    with _webdav(program, root) as port, _front(cloud) as front:
        cloud.url, cloud.webdav = f"http://127.0.0.1:{front}", port
        settings = {"TYPE": "webdav", "VENDOR": "nextcloud", "URL": cloud.url + FILES, "USER": USER}
        settings["PASS"] = subprocess.run(
            [program, "obscure", "-"], input=PASSWORD, capture_output=True, text=True, check=True
        ).stdout.strip()
        for name, value in settings.items():
            monkeypatch.setenv(f"RCLONE_CONFIG_RSHARE_{name}", value)
        yield cloud


@contextlib.contextmanager
def _webdav(program: str, root: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = ["--addr", f"127.0.0.1:{port}", "--baseurl", FILES, "--vfs-cache-mode", "off"]
    server = subprocess.Popen([program, "serve", "webdav", str(root), *address], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def _front(cloud: Nextcloud) -> Iterator[int]:
    class Handler(_Handler):
        nextcloud = cloud

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    nextcloud: Nextcloud
    protocol_version = "HTTP/1.1"

    def do_any(self) -> None:
        body = self._body()
        if self.path.startswith("/remote.php/"):
            self._files(body)
            return
        self.nextcloud.asked.append(f"{self.command} {self.path}")
        if self.path.startswith("/ocs/"):
            self._shares(body.decode())
        else:
            self._link()

    def do_PATCH(self) -> None:
        """Nextcloud's way to ask for the sum of a file that was sent."""
        self._body()
        path = urllib.parse.unquote(self.path.removeprefix(FILES)).lstrip("/")
        total = hashlib.sha1((self.nextcloud.root / path).read_bytes()).hexdigest()
        self._send(204, {"OC-Checksum": f"SHA1:{total}"}, b"")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any
    do_PROPFIND = do_MKCOL = do_MOVE = do_COPY = do_OPTIONS = do_PROPPATCH = do_any

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        blocks = []
        while length := int(self.rfile.readline(), 16):
            blocks.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(blocks)

    def _allowed(self) -> bool:
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {expected}" and not self.nextcloud.refuses

    def _files(self, body: bytes) -> None:
        if not self._allowed():
            self._send(401, {}, b"")
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.nextcloud.webdav)
        skipped = ("transfer-encoding", "content-length", "authorization", "connection")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in skipped}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in skipped}
        if self.command == "HEAD":
            kept["Content-Length"] = answer.headers.get("Content-Length", "0")
        self._send(answer.status, kept, content)
        connection.close()

    def _shares(self, body: str) -> None:
        if not self._allowed():
            self._replay("12_create_bad_password")
            return
        assert self.headers["OCS-APIRequest"] == "true" and self.headers["Accept"] == "application/json"
        if self.command == "GET":
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            asked = RECORDED["03_list_by_path"]["request"]["path"]
            assert query == urllib.parse.parse_qs(urllib.parse.urlsplit(asked).query)
            listing = json.loads(json.dumps(RECORDED["04_list_path_not_shared"]["answer"]))
            listing["ocs"]["data"] = self.nextcloud.shares
            is_there = (self.nextcloud.root / SHARED[1:]).is_file()
            self._json(listing) if is_there else self._replay("05_list_path_missing")
            return
        details = dict(urllib.parse.parse_qsl(body))
        if self.command == "POST":
            expected = dict(urllib.parse.parse_qsl(RECORDED["01_create_file_share"]["request"]["body"]))
            assert {name: details.get(name) for name in expected} == expected
        if len(details.get("password", "0123456789")) < 10:
            self._replay("40_create_weak_password")
        elif details.get("expireDate") == "2099-01-01":
            self._replay("47_expire_past")
        else:
            self._json(self._changed(details))

    def _changed(self, details: dict[str, str]) -> Any:
        """The answer of then to a new or changed link, with what is asked for now in it."""
        if self.command == "POST":
            answer = json.loads(json.dumps(RECORDED["01_create_file_share"]["answer"]))
            share = answer["ocs"]["data"]
            share["id"] = str(len(self.nextcloud.shares) + 3)
            self.nextcloud.shares.append(share)
        else:
            answer = json.loads(json.dumps(RECORDED["50_update_expire"]["answer"]))
            share = next(one for one in self.nextcloud.shares if self.path.endswith(f"/{one['id']}"))
            answer["ocs"]["data"] = share
        if "expireDate" in details:
            share["expiration"] = f"{details['expireDate']} 00:00:00"
        if "password" in details:
            share["password"] = RECORDED["41_create_password"]["answer"]["ocs"]["data"]["password"]
        return answer

    def _link(self) -> None:
        """A public link: it answers with a redirect, to the file, or to a page that asks for the password."""
        share = self.nextcloud.shares[-1] if self.nextcloud.shares else None
        if share is None:
            self._replay("54_expired_download")
        elif self.path == f"/s/{TOKEN}/download":
            recorded = RECORDED["42_pw_download_nopw" if share["password"] else "20_dl_file"]["headers"]["Location"]
            path = recorded.replace("http://127.0.0.1:8080", "")
            self._send(303, {"Location": f"{self.nextcloud.url}{path}"}, b"")
        elif self.path.startswith(f"/public.php/dav/files/{TOKEN}/"):
            given = base64.b64decode(self.headers.get("Authorization", "Basic ")[6:]).decode()
            allowed = not share["password"] or given.startswith("anonymous:")
            content = self.nextcloud.page or (self.nextcloud.root / SHARED[1:]).read_bytes()
            self._send(200 if allowed else 401, {}, content if allowed else b"")
        else:
            self._send(200, {"Content-Type": "text/html"}, b"<html>password, please</html>")

    def _replay(self, name: str) -> None:
        recorded = RECORDED[name]
        answer = recorded["answer"]
        content = answer if isinstance(answer, str) else json.dumps(answer)
        self._send(recorded["status"], {"Content-Type": recorded["headers"]["Content-Type"]}, content.encode())

    def _json(self, answer: Any) -> None:
        self._send(200, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(answer).encode())

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""
