"""A real server and a real web page with 64 file descriptors: half-sent requests keep no honest client out."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.command import COMMAND, environment_of_tests
from tests.support.deepaas_server import Server, running_server
from tests.support.hostile_requests import HALVES, half_sent
from tests.support.photos import photo
from tests.support.ports import free_port
from tests.support.small_model import write_small_model
from tests.support.waiting import answers, wait_until

pytestmark = pytest.mark.slow

FEW_FILES = ("prlimit", "--nofile=64:64")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "small")
    with running_server(home, prefix=FEW_FILES) as running:
        yield running


def _longest_wait(ask: Callable[[], requests.Response]) -> float:
    longest = 0.0
    for _ in range(5):
        start = time.perf_counter()
        answer = ask()
        assert answer.status_code == 200, answer.text
        longest = max(longest, time.perf_counter() - start)
    return longest


@pytest.mark.parametrize("sent", HALVES.values(), ids=HALVES)
def test_an_honest_client_of_the_service_is_answered_soon(sent: bytes, server: Server) -> None:
    with half_sent(int(urlsplit(server.root).port or 0), sent):
        # The benchmark of attacks measures seconds on a quiet machine.
        assert _longest_wait(lambda: server.predict(photo())) < 10
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
            with half_sent(port, sent):
                assert _longest_wait(lambda: requests.get(f"{url}api/model", timeout=10)) < 2
    finally:
        process.terminate()
        process.wait(10)
