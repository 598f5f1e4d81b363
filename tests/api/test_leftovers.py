"""A thousand requests to a live server, valid, invalid and aborted: no temporary file is left."""

import base64
import io
import socket
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from tests.support.deepaas_server import Server, running_server
from tests.support.photos import photo
from tests.support.small_model import write_small_model
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

REQUESTS = 1000
CLIENTS = 8
PHOTO = photo(size=(640, 480))
# With a limit of 1 MB, and 1 MB for the other fields of the form.
TOO_LARGE = b"x" * (3 << 20)
BROKEN_OFF = 0
_FILE = b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
_END = b"\r\n--xx--\r\n"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def server(scratch: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "small")
    with running_server(home, TMPDIR=str(scratch), TOPGRAFT_MAX_UPLOAD_MB="1") as running:
        yield running


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for index in range(5):
            archive.writestr(f"{index}.jpg", PHOTO)
        archive.writestr("text.jpg", b"text")
    return stream.getvalue()


def _post(server: Server, body: bytes, length: int | None = None, answered: int = 0) -> int:
    """Send a form by hand and hang up: after the body, or after some bytes of the answer."""
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=30) as connection:
        head = f"POST {address.path}/predict/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length or len(body)}\r\n"
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=xx\r\n\r\n".encode() + body)
        if answered:
            return int(connection.recv(answered).split()[1])
    return BROKEN_OFF


def _data_uri(content: bytes) -> str:
    return "data:;base64," + base64.b64encode(content).decode()


# What is sent, and the status that comes back.
KINDS: tuple[tuple[int, Callable[[Server], int]], ...] = (
    (200, lambda server: server.predict(PHOTO).status_code),
    (200, lambda server: server.predict(_zip()).status_code),
    (200, lambda server: server.predict(_zip(), "text/csv").status_code),
    (200, lambda server: requests.post(f"{server.url}/predict/", data={"url": _data_uri(PHOTO)}).status_code),
    (400, lambda server: server.predict(b"").status_code),
    (400, lambda server: server.predict(_zip()[:-40]).status_code),
    (400, lambda server: server.predict(url="http://127.0.0.1:5000/").status_code),
    (400, lambda server: _post(server, b"--xx\r\nno form" + _END, answered=100)),
    (404, lambda server: server.predict(PHOTO, model="nosuch").status_code),
    (413, lambda server: server.predict(TOO_LARGE).status_code),
    (413, lambda server: _post(server, _FILE, length=1 << 40, answered=100)),
    (415, lambda server: server.predict(b"no image").status_code),
    (422, lambda server: server.predict(PHOTO, top_k=0).status_code),
    (BROKEN_OFF, lambda server: _post(server, _FILE, length=1_500_000)),
    (BROKEN_OFF, lambda server: _post(server, _FILE + TOO_LARGE[:1_200_000], length=1_500_000)),
    (BROKEN_OFF, lambda server: _post(server, _FILE + PHOTO + _END)),
    (BROKEN_OFF, lambda server: _post(server, _FILE + _zip() + _END)),
    (200, lambda server: _post(server, _FILE + _zip() + _END, answered=20)),
)


def _send(server: Server, count: int) -> Counter[tuple[int, int]]:
    """Send so many requests, of all kinds, one after another; how often which status was expected and came."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        kinds = [KINDS[index % len(KINDS)] for index in range(count)]
        statuses = clients.map(lambda kind: kind[1](server), kinds)
        return Counter((expected, status) for (expected, _), status in zip(kinds, statuses, strict=True))


def _processes(server: Server) -> list[psutil.Process]:
    return [server.process, *sorted(server.process.children(), key=lambda process: process.pid)]


def _open_files(server: Server) -> int:
    return sum(process.num_fds() for process in _processes(server))


def _memory(server: Server) -> int:
    return sum(process.memory_info().rss for process in _processes(server))


def _rest(server: Server) -> None:
    """Wait until nothing is worked on any more."""
    wait_until(lambda: max(process.cpu_percent(0.1) for process in _processes(server)) < 20, seconds=20)


def test_no_temporary_file_is_left(server: Server, scratch: Path) -> None:
    # Python and its libraries allocate once.
    _send(server, 10 * len(KINDS))
    _rest(server)
    processes, files, memory = _processes(server), _open_files(server), _memory(server)
    counted = _send(server, REQUESTS)
    assert {expected for expected, status in counted if expected != status} == set(), counted
    _rest(server)
    assert list(scratch.iterdir()) == []
    assert _processes(server) == processes
    assert _open_files(server) <= files + 2
    assert _memory(server) < memory + (30 << 20)
    assert "ERROR" not in _log_of_requests(server)


def _log_of_requests(server: Server) -> str:
    return (server.home / "server.log").read_text()


def test_stalled_clients_do_not_block_the_workers(server: Server) -> None:
    address = urlsplit(server.url)
    head = f"POST {address.path}/predict/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
    stalled = []
    try:
        for _ in range(50):
            connection = socket.create_connection((str(address.hostname), int(address.port or 0)))
            connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=xx\r\n\r\n".encode() + _FILE)
            stalled.append(connection)
        started = time.monotonic()
        assert [server.predict(PHOTO).status_code for _ in range(10)] == [200] * 10
        assert time.monotonic() - started < 5
    finally:
        for connection in stalled:
            connection.close()
