"""Recorded answers of a real Nextcloud: its listing, its zip of a folder, its refusals."""

import base64
import contextlib
import json
import struct
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from model.errors import ArchiveError, StorageBusyError, StorageRefusedError
from model.files.streamed_zip import iter_streamed_zip
from model.results import no_progress
from model.storage import Entry, open_storage, parse_place
from model.storage.nextcloud import fetch_as_zip
from tests.support.files import content_of
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


def test_a_recorded_listing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with replay("37_publicdav_propfind", monkeypatch):
        entries = open_storage("rshare:run1").list()
    assert [(entry.name, entry.size) for entry in entries] == [("README.md", 5), ("model.tar.xz", 200_000)]
    assert entries[0].modified == 1795227061.0


CARD = Entry("README.md", 5, 1795227061.0)


def fetch_card(directory: Path) -> bool:
    staging = directory.with_name("staging")
    return fetch_as_zip(parse_place("rshare:run1"), [CARD], ["README.md"], directory.joinpath, staging, no_progress)


def test_a_recorded_zip_of_a_folder_is_unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with replay("33b_zip_two", monkeypatch) as requests:
        assert fetch_card(tmp_path / "run1")
    assert requests[0][0] == "GET" and requests[0][1].endswith("/run1/")
    assert content_of(tmp_path) == {"run1/README.md": b"card\n"}
    assert (tmp_path / "run1" / "README.md").stat().st_mtime == CARD.modified


def test_a_recorded_zip_stores_files_with_sizes_in_data_descriptors() -> None:
    """The reason for a reader of our own: no header has the size of its file."""
    content = base64.b64decode(RECORDED["33b_zip_two"]["response"]["body_base64"])
    flags, method = struct.unpack_from("<2H", content, 6)
    sizes_in_zip64_field = struct.unpack_from("<2Q", content, 30 + len("README.md") + 4)
    assert (bool(flags & 8), method, sizes_in_zip64_field) == (True, zipfile.ZIP_STORED, (0, 0))


def test_an_unlisted_file_of_a_recorded_zip_is_skipped() -> None:
    content = base64.b64decode(RECORDED["33b_zip_two"]["response"]["body_base64"])
    assert list(iter_streamed_zip([content], {}, "run1/", "the zip")) == []


def test_a_truncated_recorded_zip_gives_only_complete_files() -> None:
    content = base64.b64decode(RECORDED["33b_zip_two"]["response"]["body_base64"])
    whole: list[list[bytes]] = []
    for end in range(len(content)):
        whole.append([])
        with contextlib.suppress(ArchiveError):
            for _, blocks in iter_streamed_zip([content[:end]], {"README.md": 5}, "run1/", "the zip"):
                whole[-1].append(b"".join(blocks))
    # Its only file ends where its checksum does.
    end = content.index(b"PK\x01\x02")
    assert whole == [[]] * end + [[b"card\n"]] * (len(content) - end)


@pytest.mark.parametrize(
    ("name", "error"), [("43_pw_dav_nopw", StorageRefusedError), ("56_expired_dav", StorageBusyError)]
)
def test_recorded_refusals_raise_distinct_errors(
    name: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    with replay(name, monkeypatch) as requests, pytest.raises(error):
        open_storage("rshare:run1").list()
    assert len(requests) == (1 if error is StorageRefusedError else 4), "a refusal is never tried again"


def test_a_recorded_response_that_is_no_zip_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with replay("60_deleted_dav", monkeypatch), pytest.raises(StorageBusyError):
        fetch_card(tmp_path / "run1")
    with replay("23_page", monkeypatch):
        assert not fetch_card(tmp_path / "run1")
