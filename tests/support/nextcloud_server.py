"""A Nextcloud on loopback: files by a real `rclone serve webdav`, the share API replayed as a real one answered.

`nextcloud_server.json` holds exchanges recorded from Nextcloud 31. What is asked must be what was asked then, word for
word but for the path; the answers are those of then, with the token of then.
"""

import base64
import contextlib
import dataclasses
import http.client
import http.server
import json
import os
import re
import signal
import socket
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.files.checksums import file_checksum
from tests.support.storage_servers import NEXTCLOUD_ROOT, PASSWORD, USER, Fault, StorageServer, webdav_server

RECORDED = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
TOKEN = RECORDED["01_create_file_share"]["answer"]["ocs"]["data"]["token"]
FOLDER, NAME = "pub/run1", "model"
SHARED = f"/{FOLDER}/{NAME}.tar.xz"
_UPLOADS = f"/remote.php/dav/uploads/{USER}/"


@dataclasses.dataclass
class Nextcloud:
    """A running server.

    Attributes:
        url: without a slash at the end.
        files: the server of its files.
        shared: path of the file that `shared_file` gives.
        shares: the links there are, as the share API lists them; `file_source` is the ID of the file.
        ids: path -> ID of the file.
        chunks: path -> content, of large files on their way.
        asked: `METHOD path` of the requests to the share API and to links.
        requests: `METHOD path` of all requests.
        refuses: whether it takes the password for wrong.
        page: what a link answers in place of the file, such as a page that asks for a password.
        max_body: bytes of a request that a proxy in front of it lets through.
        principal: user that the password belongs to; empty: the server does not say.
        faults: the first that fits a request counts; `kill` ends the process with the ID `status` before the request is
            handled, `kill after` after it, and `lost answer` handles it without an answer.
    """

    url: str
    files: StorageServer
    shared: str
    shares: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    chunks: dict[str, bytes] = dataclasses.field(default_factory=dict)
    asked: list[str] = dataclasses.field(default_factory=list)
    refuses: bool = False
    page: bytes = b""
    ids: dict[str, int] = dataclasses.field(default_factory=dict)
    max_body: int = 1 << 40
    principal: str = USER
    faults: list[Fault] = dataclasses.field(default_factory=list)
    requests: list[str] = dataclasses.field(default_factory=list)

    @property
    def root(self) -> Path:
        """The folder with the user's files."""
        return self.files.folder

    @property
    def shared_file(self) -> Path:
        """The one file that there may be links to."""
        return self.root / self.shared[1:]

    def id_of(self, path: str) -> int:
        """ID of the file at a path below the user's files."""
        return self.ids.setdefault(path, 1 + max(self.ids.values(), default=100))

    def is_linked(self, share: dict[str, Any]) -> bool:
        """Whether the file of a share still has its ID."""
        return (self.root / share["path"][1:]).is_file() and self.id_of(share["path"]) == share["file_source"]

    def fault_for(self, method: str, path: str) -> Fault | None:
        """The fault that is meant for a request, used up by one."""
        for fault in self.faults:
            if fault.times > 0 and fault.method in ("", method) and fault.where in urllib.parse.unquote(path):
                fault.times -= 1
                return fault
        return None

    def environment(self) -> dict[str, str]:
        """The variables that make it the remote `rshare:`."""
        return self.files.environment(url=self.url + NEXTCLOUD_ROOT, vendor="nextcloud")


@contextlib.contextmanager
def nextcloud(root: Path, shared: str = SHARED) -> Iterator[Nextcloud]:
    """Start one whose files are in the new folder `root`."""
    root.mkdir(parents=True)
    with webdav_server(root, NEXTCLOUD_ROOT) as files:
        cloud = Nextcloud("", files, shared)

        class Handler(_Handler):
            nextcloud = cloud

        server = _Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield cloud
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    nextcloud: Nextcloud
    protocol_version = "HTTP/1.1"
    _is_lost = False

    def do_any(self) -> None:
        body = self._body()
        self.nextcloud.requests.append(f"{self.command} {urllib.parse.unquote(self.path)}")
        fault = self.nextcloud.fault_for(self.command, self.path)
        if fault is not None and fault.act == "status":
            self._send(fault.status, {}, b"")
            return
        if fault is None:
            self._answer(body)
            return
        if fault.act == "kill":
            os.kill(fault.status, signal.SIGKILL)
        self._is_lost = self.close_connection = True
        if fault.act in ("lost answer", "kill after"):
            self._answer(body)
        if fault.act == "kill after":
            os.kill(fault.status, signal.SIGKILL)
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, body: bytes) -> None:
        if len(body) > self.nextcloud.max_body:
            self._send(413, {}, b"<html><title>413 Request Entity Too Large</title></html>")
            return
        if self.path.startswith(_UPLOADS):
            self._upload(body)
            return
        if self.path.startswith("/remote.php/"):
            self._files(body)
            return
        if self.path == "/status.php":
            self._json({"installed": True, "versionstring": "31.0.2", "productname": "Nextcloud"})
            return
        self.nextcloud.asked.append(f"{self.command} {self.path}")
        if self.path.startswith("/ocs/"):
            self._shares(body.decode())
        else:
            self._link()

    def do_PATCH(self) -> None:
        """Nextcloud's way to ask for the checksum of an uploaded file."""
        self._body()
        path = urllib.parse.unquote(self.path.removeprefix(NEXTCLOUD_ROOT)).lstrip("/")
        total = file_checksum(self.nextcloud.root / path, "sha1")
        self._send(204, {"OC-Checksum": f"SHA1:{total}"}, b"")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any
    do_PROPFIND = do_MKCOL = do_MOVE = do_COPY = do_OPTIONS = do_PROPPATCH = do_any

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self._read(int(self.headers.get("Content-Length") or 0))
        blocks = []
        while length := int(self.rfile.readline() or b"-1", 16):
            blocks.append(self._read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(blocks)

    def _read(self, length: int) -> bytes:
        content = self.rfile.read(length) if length > 0 else b""
        if len(content) != length:
            raise ConnectionResetError(f"expected {length} bytes of the request, received {len(content)}")
        return content

    def _allowed(self) -> bool:
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {expected}" and not self.nextcloud.refuses

    def _files(self, body: bytes) -> None:
        if not self._allowed():
            self._send(401, {}, b"")
            return
        if self.command == "PROPFIND" and b"current-user-principal" in body:
            self._send(207, {"Content-Type": "application/xml; charset=utf-8"}, _principal(self.nextcloud.principal))
            return
        self._pass_on(self.command, self.path, body)
        if self.command in ("MOVE", "COPY"):
            self._forget(self.headers["Destination"])
        if self.command in ("MOVE", "DELETE"):
            self._forget(self.path)

    def _forget(self, url: str) -> None:
        """What is at this path from now on gets another ID."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(url).path).removeprefix(NEXTCLOUD_ROOT)
        if path in self.nextcloud.ids:
            self.nextcloud.ids[path] = 1 + max(self.nextcloud.ids.values())

    def _pass_on(self, method: str, path: str, body: bytes) -> None:
        """Let the server of files answer."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.nextcloud.files.url).netloc)
        skipped = ("transfer-encoding", "content-length", "connection")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in skipped}
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in skipped}
        if method == "HEAD":
            kept["Content-Length"] = answer.headers.get("Content-Length", "0")
        self._send(answer.status, kept, content)

    def _upload(self, body: bytes) -> None:
        """A large file comes in chunks, and has its name at the end, by one MOVE."""
        if not self._allowed():
            self._send(401, {}, b"")
            return
        chunks, folder = self.nextcloud.chunks, self.path.rpartition("/")[0]
        if self.command == "MOVE":
            names = sorted(path for path in chunks if path.startswith(f"{folder}/"))
            if not names:
                self._send(404, {}, b"")
                return
            content = b"".join(chunks.pop(path) for path in names)
            self._pass_on("PUT", urllib.parse.urlsplit(self.headers["Destination"]).path, content)
            return
        if self.command == "PUT":
            chunks[self.path] = body
        if self.command == "DELETE":
            for path in [path for path in chunks if path.startswith(f"{self.path}/")]:
                del chunks[path]
        self._send(204 if self.command == "DELETE" else 201, {}, b"")

    def _shares(self, body: str) -> None:
        if not self._allowed():
            self._replay("12_create_bad_password")
            return
        assert self.headers["OCS-APIRequest"] == "true" and self.headers["Accept"] == "application/json"
        if self.command == "GET":
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            assert list(query) == ["path"]
            [path] = query["path"]
            listing = json.loads(json.dumps(RECORDED["04_list_path_not_shared"]["answer"]))
            shares = [share for share in self.nextcloud.shares if share["path"] == path]
            listing["ocs"]["data"] = [share for share in shares if self.nextcloud.is_linked(share)]
            exists = (self.nextcloud.root / path[1:]).is_file()
            self._json(listing) if exists else self._replay("05_list_path_missing")
            return
        details = dict(urllib.parse.parse_qsl(body))
        if self.command == "POST":
            expected = dict(urllib.parse.parse_qsl(RECORDED["01_create_file_share"]["request"]["body"]))
            expected["path"] = details["path"]
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
            share["path"], share["file_source"] = details["path"], self.nextcloud.id_of(details["path"])
            if any(other["path"] != details["path"] for other in self.nextcloud.shares):
                share["token"] = f"{TOKEN}{share['id']}"
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
        found = re.match("/(?:index.php/)?s/([^/]+)|/public.php/dav/files/([^/]+)", self.path)
        token = (found[1] or found[2]) if found else ""
        shares = [
            share for share in self.nextcloud.shares if share["token"] == token and self.nextcloud.is_linked(share)
        ]
        if not shares:
            self._replay("54_expired_download")
            return
        share = shares[-1]
        if self.path == f"/s/{token}/download":
            recorded = RECORDED["42_pw_download_nopw" if share["password"] else "20_dl_file"]["headers"]["Location"]
            path = recorded.replace("http://127.0.0.1:8080", "").replace(TOKEN, token)
            self._send(303, {"Location": f"{self.nextcloud.url}{path}"}, b"")
        elif self.path.startswith(f"/public.php/dav/files/{token}/"):
            given = base64.b64decode(self.headers.get("Authorization", "Basic ")[6:]).decode()
            allowed = not share["password"] or given.startswith("anonymous:")
            content = self.nextcloud.page or (self.nextcloud.root / share["path"][1:]).read_bytes()
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
        if self._is_lost:
            return
        self.send_response_only(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


def _principal(user: str) -> bytes:
    """Answer to the question whose the credentials are."""
    href = f"<d:href>/remote.php/dav/principals/users/{urllib.parse.quote(user)}/</d:href>" if user else ""
    return (
        '<?xml version="1.0"?><d:multistatus xmlns:d="DAV:"><d:response><d:href>/remote.php/dav/</d:href><d:propstat>'
        f"<d:prop><d:current-user-principal>{href}</d:current-user-principal></d:prop>"
        "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>"
    ).encode()
