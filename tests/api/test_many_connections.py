"""A real server and a real web page with 64 file descriptors: half-sent requests keep no honest client out."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.command import COMMAND, environment_of_tests
from tests.support.deepaas_server import Server, running_server
from tests.support.photos import photo
from tests.support.ports import free_port
from tests.support.small_model import write_small_model
from tests.support.waiting import answers, wait_until

pytestmark = pytest.mark.slow

FEW_FILES = ("prlimit", "--nofile=64:64")
PREDICT = b"POST /v2/models/topgraft/predict/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=xx\r\nContent-Length: 9000000\r\n\r\n"
FILE = b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n' + b"x" * 3_000_000
HALVES = {
    "nothing": b"",
    "heads": b"GET / HTTP/1.1\r\nHost: 127",
    "bodies": PREDICT + FORM,
    "files": PREDICT + FORM + FILE,
    "answered": b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "small")
    with running_server(home, prefix=FEW_FILES) as running:
        yield running


@contextlib.contextmanager
def _halves(port: int, sent: bytes, count: int = 90) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            client.settimeout(2)
            with contextlib.suppress(OSError):  # closed by the server, to make room
                client.sendall(sent)
        yield


def _longest_wait(ask: Callable[[], requests.Response]) -> float:
    longest = 0.0
    for _ in range(5):
        start = time.perf_counter()
        assert ask().status_code == 200
        longest = max(longest, time.perf_counter() - start)
    return longest


@pytest.mark.parametrize("sent", HALVES.values(), ids=HALVES)
def test_an_honest_client_of_the_service_is_answered_soon(sent: bytes, server: Server) -> None:
    with _halves(int(urlsplit(server.root).port or 0), sent):
        assert _longest_wait(lambda: server.predict(photo())) < 2
    log = server.home / "server.log"
    assert log.stat().st_size < 1_000_000
    assert "out of system resource" not in log.read_text()


def test_an_honest_visitor_of_the_page_is_answered_soon(server: Server, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    command = [*FEW_FILES, *COMMAND, "page", "--port", str(port), "--api", server.root]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment_of_tests(tmp_path) | {"HOME": os.environ["HOME"]})

    try:
        wait_until(lambda: answers(url), seconds=30)
        for sent in HALVES.values():
            with _halves(port, sent):
                assert _longest_wait(lambda: requests.get(f"{url}api/model", timeout=10)) < 2
    finally:
        process.terminate()
        process.wait(10)
