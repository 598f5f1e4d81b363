"""Work for clients of a real server that disconnect, or of a server that is stopped, is cancelled."""

import contextlib
import io
import signal
import socket
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.deepaas_server import Server, running_server
from tests.support.photos import photo
from tests.support.small_model import write_small_model
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PHOTO = photo(size=(64, 48))
# A file while it waits; smaller uploads wait in memory.
LARGE = PHOTO + bytes(1 << 19)
# Far below the time that the zips take.
SECONDS = 15.0


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def server(tmp_path: Path, scratch: Path) -> Iterator[Server]:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    write_small_model(home / "models" / "small")
    with running_server(home, TMPDIR=str(scratch)) as running:
        yield running


@pytest.fixture(scope="module")
def long_work() -> bytes:
    """A zip of a megabyte that keeps a worker busy for longer than a test lasts."""
    stream = io.BytesIO()
    large = photo(form="PNG", size=(1500, 1000))
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(5000):
            archive.writestr(f"{index}.png", large)
    return stream.getvalue()


def _send(server: Server, name: str, content: bytes) -> socket.socket:
    """Send a whole upload, and do not wait for the answer."""
    address = urlsplit(server.url)
    connection = socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=30)
    part = f'--xx\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
    body = part + content + b"\r\n--xx--\r\n"
    head = f"POST {address.path}/predict/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=xx\r\n\r\n".encode() + body)
    return connection


def uploads(scratch: Path) -> list[Path]:
    """Temporary files of the service: it keeps their folder until it ends."""
    return [path for path in scratch.rglob("*") if path.is_file()]


@contextlib.contextmanager
def _all_busy(server: Server, scratch: Path, long_work: bytes) -> Iterator[list[socket.socket]]:
    """Clients for whom every worker is at work, until they hang up or this ends."""
    before = {worker: worker.cpu_times().user for worker in server.workers()}
    clients = [_send(server, "long.zip", long_work) for _ in before]
    try:
        wait_until(lambda: all(worker.cpu_times().user > used + 0.3 for worker, used in before.items()), SECONDS)
        wait_until(lambda: not uploads(scratch), SECONDS)
        yield clients
    finally:
        for client in clients:
            client.close()


def _log(server: Server) -> str:
    return (server.home / "server.log").read_text()


def test_requests_of_disconnected_clients_are_cancelled_and_queued_ones_never_start(
    server: Server, scratch: Path, long_work: bytes
) -> None:
    workers = server.workers()
    assert len(workers) == 2
    with _all_busy(server, scratch, long_work) as clients:
        waiting = _send(server, "waiting.zip", long_work)
        wait_until(lambda: uploads(scratch), SECONDS)
        waiting.close()
        wait_until(lambda: "is cancelled" in _log(server), SECONDS)
        assert uploads(scratch) == []
        for client in clients:
            client.close()
        hung_up = time.monotonic()
        assert server.predict(PHOTO).status_code == 200
        assert time.monotonic() - hung_up < SECONDS
    wait_until(lambda: max(worker.cpu_percent(0.5) for worker in workers) < 20, SECONDS)
    assert _log(server).count("its request is cancelled") == 3
    assert _log(server).count("refused with 503: the client disconnected") == 2
    assert "Error handling request" not in _log(server)
    # They have loaded the model, and trainings that run in the background are theirs.
    assert server.workers() == workers
    assert uploads(scratch) == []


def test_a_stopped_server_answers_pending_requests_and_leaves_no_upload(
    server: Server, scratch: Path, long_work: bytes
) -> None:
    with _all_busy(server, scratch, long_work) as clients, ThreadPoolExecutor(3) as others:
        waiting = [others.submit(server.predict, LARGE) for _ in range(3)]
        wait_until(lambda: len(uploads(scratch)) == 3, SECONDS)
        server.process.send_signal(signal.SIGTERM)
        answers = [answer.result(SECONDS) for answer in waiting]
        assert [answer.status_code for answer in answers] == [503] * 3
        assert "stopping" in answers[0].json()["message"]
        assert uploads(scratch) == []
        for client in clients:
            client.close()
        wait_until(lambda: not server.process.is_running() or server.process.status() == psutil.STATUS_ZOMBIE, SECONDS)
    assert uploads(scratch) == []
