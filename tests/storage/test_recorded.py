"""What a real Nextcloud answered, replayed: its listing, its zip of a folder, its refusals."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from model.errors import StorageBusyError, StorageRefusedError
from model.files.partial_zip import keep_whole_members
from model.storage import open_storage, parse_place
from model.storage.nextcloud import fetch_zip, unpack_zip
from tests.support.storage_servers import obscured, use

RECORDED = json.loads(Path(__file__).with_name("nextcloud_exchanges.json").read_text(encoding="utf-8"))


@contextmanager
def replay(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """A server that answers everything as the Nextcloud answered one request, as `rshare:`; the requests it got."""
    recorded = RECORDED[name]
    answer = recorded["response"]
    body = base64.b64decode(answer["body_base64"]) if "body_base64" in answer else answer["body"].encode()
    requests: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def handle_any(self) -> None:
            requests.append((self.command, self.path))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(answer["status"], answer["reason"])
            for header, value in answer["headers"]:
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PROPFIND = do_PUT = do_MOVE = do_MKCOL = do_HEAD = handle_any

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = recorded["request"]["path"].partition("run1")[0].rstrip("/")
    settings = {"TYPE": "webdav", "VENDOR": "nextcloud", "USER": "u", "PASS": obscured("p")}
    use(monkeypatch, {f"RCLONE_CONFIG_RSHARE_{name}": value for name, value in settings.items()})
    monkeypatch.setenv("RCLONE_CONFIG_RSHARE_URL", f"http://127.0.0.1:{server.server_port}{root}")
    try:
        yield requests
    finally:
        server.shutdown()
        server.server_close()


def test_its_listing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with replay("37_publicdav_propfind", monkeypatch):
        entries = open_storage("rshare:run1").list()
    assert [(entry.name, entry.size) for entry in entries] == [("README.md", 5), ("model.tar.xz", 200_000)]
    assert entries[0].modified == 1795227061.0


def test_its_zip_of_a_folder_is_unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[int] = []
    place = parse_place("rshare:run1")
    with replay("33b_zip_two", monkeypatch) as requests:
        assert fetch_zip(place, tmp_path / "run1.zip", told.append)
    assert requests[0][0] == "GET" and requests[0][1].endswith("/run1/") and told == [285]
    assert (unpack_zip(tmp_path / "run1.zip", place, tmp_path / "run1") / "README.md").read_bytes() == b"card\n"


def test_what_is_whole_of_its_zip_is_kept_where_it_breaks_off(tmp_path: Path) -> None:
    content = base64.b64decode(RECORDED["33b_zip_two"]["response"]["body_base64"])
    kept = []
    for end in range(len(content)):
        (tmp_path / "broken.zip").write_bytes(content[:end])
        kept.append(keep_whole_members(tmp_path / "broken.zip", {"README.md": 5}, "run1/", tmp_path / "out"))
    # Its only member ends where its sum does.
    end = content.index(b"PK\x01\x02")
    assert kept == [[]] * end + [["README.md"]] * (len(content) - end)
    assert (tmp_path / "out" / "README.md").read_bytes() == b"card\n"


@pytest.mark.parametrize(
    ("name", "error"), [("43_pw_dav_nopw", StorageRefusedError), ("56_expired_dav", StorageBusyError)]
)
def test_its_refusals_are_told_apart(name: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    with replay(name, monkeypatch) as requests, pytest.raises(error):
        open_storage("rshare:run1").list()
    assert len(requests) == (1 if error is StorageRefusedError else 4), "a refusal is never tried again"


def test_what_is_no_zip_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with replay("60_deleted_dav", monkeypatch), pytest.raises(StorageBusyError):
        fetch_zip(parse_place("rshare:run1"), tmp_path / "x.zip", lambda done: None)
    with replay("23_page", monkeypatch):
        assert not fetch_zip(parse_place("rshare:run1"), tmp_path / "x.zip", lambda done: None)
