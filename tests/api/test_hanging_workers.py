"""Workers that make no progress are replaced, and slow photos keep no other client from its answer."""

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

import numpy as np
import onnx
import psutil
import pytest
import requests
from onnx import TensorProto, helper, numpy_helper

from model.bundle import open_bundle, write_manifest
from model.bundle_files import ONNX_MODEL
from tests.support.deepaas_server import Server, running_server
from tests.support.photos import photo
from tests.support.slow_photos import scan_bomb
from tests.support.small_model import write_small_model
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PHOTO = photo(size=(64, 48))
# Takes about a second.
BOMB = scan_bomb(90, 4000)
PHOTO_SECONDS = 0.4
WORKER_SECONDS = 5.0


@pytest.fixture(scope="module")
def silent() -> Iterator[socket.socket]:
    """A web server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, silent: socket.socket) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "small", created="2026-02-01T00:00:00Z")
    write_small_model(home / "models" / "endless")
    _never_end(home / "models" / "endless")
    limits = {"TOPGRAFT_PHOTO_SECONDS": f"{PHOTO_SECONDS}", "TOPGRAFT_WORKER_SECONDS": f"{WORKER_SECONDS}"}
    limits |= {"TOPGRAFT_ALLOW_PRIVATE_URLS": "1", "TOPGRAFT_URL_PORTS": str(silent.getsockname()[1])}
    with running_server(home, **limits) as running:
        yield running


def _never_end(directory: Path) -> None:
    """Let the network of a model run a loop of 2^40 rounds."""
    manifest = open_bundle(directory).manifest
    network = onnx.load(directory / ONNX_MODEL)
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [value("round", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("x", TensorProto.FLOAT, [])],
        [value("go_on", TensorProto.BOOL, []), value("y", TensorProto.FLOAT, [])],
    )
    graph = network.graph
    for name, constant in (("rounds", np.int64(2**40)), ("true", np.bool_(True)), ("zero", np.float32(0))):
        graph.initializer.append(numpy_helper.from_array(np.asarray(constant), name))
    last = graph.node[-1]
    before, result = "before", last.output[0]
    last.output[0] = before
    graph.node.append(helper.make_node("Loop", ["rounds", "true", "zero"], ["nothing"], body=body))
    graph.node.append(helper.make_node("Add", [before, "nothing"], [result]))
    onnx.save(network, directory / ONNX_MODEL)
    write_manifest(directory, manifest)


def _post(server: Server, content: bytes, name: str = "a.jpg", **options: str) -> requests.Response:
    files = {"image": (name, content)}
    return requests.post(f"{server.url}/predict/", params=options, files=files, timeout=60)


def _timed(server: Server, content: bytes) -> tuple[int, str, float]:
    start = time.monotonic()
    response = _post(server, content)
    return response.status_code, response.text, time.monotonic() - start


def test_a_slow_photo_is_refused_in_time_and_the_workers_stay(server: Server) -> None:
    workers = server.workers()
    status, message, seconds = _timed(server, BOMB)
    assert status == 413 and "decoding took longer" in message
    assert PHOTO_SECONDS <= seconds < 6 * PHOTO_SECONDS + 10
    assert server.workers() == workers


def _decoding(server: Server) -> list[psutil.Process]:
    """Processes that are decoding, or starting to."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [one for one in server.decoding_processes() if one.status() == psutil.STATUS_RUNNING]
    return []


def test_others_are_answered_while_more_slow_photos_than_workers_are_decoded(server: Server) -> None:
    assert _timed(server, PHOTO)[0] == 200
    with ThreadPoolExecutor(8) as clients:
        bombs = [clients.submit(_timed, server, BOMB) for _ in range(8)]
        wait_until(lambda: len(_decoding(server)) >= 2, 30)
        statuses = [_timed(server, PHOTO)[0] for _ in range(5)]
        assert not all(bomb.done() for bomb in bombs)
        assert statuses == [200] * 5
        assert [bomb.result()[0] for bomb in bombs] == [413] * 8


def test_others_are_answered_while_more_downloads_than_workers_wait(server: Server, silent: socket.socket) -> None:
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/photo.jpg"

    def download() -> requests.Response:
        return requests.post(f"{server.url}/predict/", params={"url": url}, timeout=120)

    with contextlib.ExitStack() as connections, ThreadPoolExecutor(20) as clients:
        waiting = [clients.submit(download) for _ in range(4)]
        accepted = [connections.enter_context(silent.accept()[0]) for _ in waiting]
        assert [_timed(server, PHOTO)[0] for _ in range(3)] == [200] * 3
        more = [clients.submit(download) for _ in range(12)]
        refused = wait_until(lambda: [one for one in more if one.done() and one.result().status_code == 503], 60)
        assert "at most 4 downloads at the same time" in refused[0].result().json()["message"]
        assert refused[0].result().headers["Retry-After"]
        assert _timed(server, PHOTO)[0] == 200
        assert not any(one.done() for one in waiting)
        silent.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted.append(connections.enter_context(silent.accept()[0]))
        silent.settimeout(60)
        for connection in accepted:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PHOTO) + PHOTO)
        assert [one.result().status_code for one in waiting] == [200] * 4


def test_a_slow_photo_in_a_zip_is_an_error_beside_the_answers_for_the_others(server: Server) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in (("a.jpg", PHOTO), ("bomb.jpg", BOMB), ("b.jpg", PHOTO)):
            archive.writestr(name, content)
    answer = _post(server, stream.getvalue(), "a.zip").json()
    assert ["error" in item for item in answer["predictions"]] == [False, True, False]
    assert "decoding took longer" in answer["predictions"][1]["error"]


def test_a_client_that_hangs_up_frees_its_decoding_process(server: Server) -> None:
    address = urlsplit(server.url)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(100):
            archive.writestr(f"{number}.jpg", BOMB)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=30) as connection:
        part = b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a.zip"\r\n\r\n'
        body = part + stream.getvalue() + b"\r\n--xx--\r\n"
        head = f"POST {address.path}/predict/ HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=xx\r\n\r\n".encode() + body)
        wait_until(lambda: _decoding(server), 30)
    # Together the photos would take more than a minute.
    wait_until(lambda: "refused with 503: the client disconnected" in (server.home / "server.log").read_text(), 10)
    wait_until(lambda: not _decoding(server), 10)


@pytest.mark.parametrize("busy", [False, True])
def test_a_stopped_worker_is_replaced(server: Server, busy: bool) -> None:
    before = server.workers()
    with ThreadPoolExecutor(2) as clients:
        waiting = [clients.submit(_post, server, PHOTO, model="endless") for _ in range(busy * 2)]
        for worker in before:
            worker.send_signal(signal.SIGSTOP)
        assert _timed(server, PHOTO)[0] == 200
        assert [one.result().status_code for one in waiting] == [503] * len(waiting)
    wait_until(lambda: len(server.workers()) == 2 and not set(before) & set(server.workers()), 30)


def test_a_network_that_never_ends_is_ended_and_others_are_answered(server: Server) -> None:
    start = time.monotonic()
    with ThreadPoolExecutor(2) as clients:
        endless = [clients.submit(_post, server, PHOTO, model="endless") for _ in range(2)]
        assert _timed(server, PHOTO)[0] == 200
        answers = [one.result() for one in endless]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert "made no progress for 5 s" in answers[0].json()["message"]
    assert time.monotonic() - start < 60
    wait_until(lambda: len(server.workers()) == 2, 30)
    assert _timed(server, PHOTO)[0] == 200
