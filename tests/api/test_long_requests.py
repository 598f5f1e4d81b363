"""Requests with long values: a real server refuses them, answers other clients meanwhile, and keeps little of them."""

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.support.deepaas_server import Server, running_server
from tests.support.photos import photo
from tests.support.small_model import write_small_model

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
AS_FILE = '; filename="a"'
GZIP = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
JSON, FORM = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=xx"}
# Other tests share the processors.
SECONDS_OF_STALL = 2.0


def field(name: str, content: bytes, more: str = "") -> bytes:
    return f'--xx\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"


def long_json(**values: Any) -> bytes:
    return json.dumps(values).encode()


# Name -> route, function for the body, headers, statuses.
REQUESTS: dict[str, tuple[str, Callable[[], bytes], dict[str, str], set[int]]] = {
    "choice of 62 MB": ("train", lambda: long_json(backbone="x" * 62_000_000), JSON, {413}),
    "choice just within the limit": ("train", lambda: long_json(backbone="x" * 1_000_000), JSON, {422}),
    "text just within the limit": ("train", lambda: long_json(dataset="x" * 1_000_000), JSON, {422}),
    "form of 62 MB": ("train", lambda: b"backbone=" + b"x" * 62_000_000, FORM, {413}),
    "multipart of 62 MB": ("train", lambda: field("backbone", b"x" * 62_000_000) + b"--xx--", MULTIPART, {413}),
    "multipart text within the limit": (
        "train",
        lambda: field("name", b"x" * 900_000) + b"--xx--",
        MULTIPART,
        {422},
    ),
    "multipart of many files": (
        "train",
        lambda: field("a", b"x", AS_FILE) * 9_000 + b"--xx--",
        MULTIPART,
        {400},
    ),
    "gzip bomb": (
        "train",
        lambda: gzip.compress(long_json(backbone="x" * 200_000_000)),
        GZIP,
        {413},
    ),
    "many keys": ("train", lambda: long_json(**{f"key{n}": n for n in range(40_000)}), JSON, {400}),
    "many fields": ("train", lambda: b"&".join(b"a%d=1" % n for n in range(90_000)), FORM, {413}),
    "long list": ("train", lambda: long_json(backbone=["x"] * 100_000), JSON, {400}),
    "list just within the limit": ("train", lambda: long_json(backbone=["x" * 80] * 9_000), JSON, {422}),
    "deep": ("train", lambda: b"[" * 500_000, JSON, {400}),
    "deep within the limit": ("train", lambda: b'{"a":' * 9_000 + b"1" + b"}" * 9_000, JSON, {400}),
    "digits": ("train", lambda: b'{"epochs": ' + b"1" * 1_000_000 + b"}", JSON, {400}),
    "large number": ("train", lambda: b'{"epochs": 1' + b"0" * 4_000 + b"}", JSON, {422}),
    "exponent": ("train", lambda: b'{"learning_rate": 1e999999999}', JSON, {422}),
    "predict: model of 62 MB": ("predict", lambda: long_json(model="x" * 62_000_000), JSON, {422}),
    "predict: url of 62 MB": ("predict", lambda: long_json(url="x" * 62_000_000), JSON, {400}),
    "predict: form of 62 MB": ("predict", lambda: b"explain_class=" + b"x" * 62_000_000, FORM, {422}),
    "predict: escapes": ("predict", lambda: b"url=" + b"%41" * 20_000_000, FORM, {400}),
    "predict: multipart of 200 MB": (
        "predict",
        lambda: field("url", b"x" * 200_000_000) + b"--xx--",
        MULTIPART,
        {413},
    ),
    "predict: many keys": ("predict", lambda: b"[" + b"{}," * 9_000_000 + b"{}]", JSON, {400}),
    "predict: many fields": ("predict", lambda: b"a=&" * 20_000_000, FORM, {413}),
    "predict: many parts": ("predict", lambda: field("a", b"") * 100_000 + b"--xx--", MULTIPART, {400}),
    "other route": ("", lambda: b"x" * 62_000_000, JSON, {405, 413}),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "small")
    with running_server(home) as running:
        yield running


class Probe:
    """A client that asks for the metadata again and again; `longest` is its longest wait in seconds."""

    def __init__(self, server: Server) -> None:
        self.longest = 0.0
        self._server = server
        self._ended = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._ask)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _ask(self) -> None:
        with requests.Session() as session:
            while not self._ended.wait(0.02):
                start = time.perf_counter()
                assert session.get(f"{self._server.root}/v2/", timeout=60).ok
                self.longest = max(self.longest, time.perf_counter() - start)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_long_request_is_refused_and_other_clients_are_answered(name: str, server: Server) -> None:
    route, make_body, headers, statuses = REQUESTS[name]
    body = make_body()
    before = server.process.memory_info().rss
    probe = Probe(server)
    with probe.running():
        url = f"{server.url}/{route}/" if route else f"{server.url}/"
        response = requests.post(url, data=body, headers=headers, timeout=60)
    assert response.status_code in statuses, response.text[:500]
    assert len(response.content) < 10_000
    assert probe.longest < SECONDS_OF_STALL
    assert server.process.memory_info().rss - before < 400 * MEGABYTE


@pytest.mark.parametrize("name", ["Accept", "Content-Type", "Content-Encoding", "X-Other", "Cookie"])
def test_long_header_values_are_refused_or_ignored(name: str, server: Server) -> None:
    for length in (8_000, 100_000):
        response = requests.post(f"{server.url}/predict/", headers={name: "x" * length}, timeout=30)
        assert 400 <= response.status_code < 500
        assert len(response.content) < 10_000


@pytest.mark.parametrize("parameter", ["url", "model", "explain_class", "other"])
def test_long_query_strings_are_refused(parameter: str, server: Server) -> None:
    for length in (7_000, 100_000):
        response = requests.post(f"{server.url}/predict/", params={parameter: "x" * length}, timeout=30)
        assert 400 <= response.status_code < 500
        assert len(response.content) < 1_000


def test_refused_trainings_are_forgotten_and_the_list_is_short(server: Server) -> None:
    for _ in range(60):
        values = {"dataset": "x" * 4_000, "group_pattern": "x" * 1_000, "images_directory": "x" * 4_000}
        response = requests.post(f"{server.url}/train/", json=values, timeout=30)
        assert response.status_code in (200, 503)
    time.sleep(1)
    listed = requests.get(f"{server.url}/train/", timeout=30)
    assert len(listed.json()) <= 120
    assert len(listed.content) < 500_000
    deadline = time.monotonic() + 60
    while any(one["status"] == "running" for one in requests.get(f"{server.url}/train/", timeout=30).json()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    requests.post(f"{server.url}/train/", json={"epochs": 0}, timeout=30)
    assert len(requests.get(f"{server.url}/train/", timeout=30).json()) <= 21


def test_swagger_shows_the_maximum_length_of_every_text(server: Server) -> None:
    paths = requests.get(f"{server.root}/swagger.json", timeout=30).json()["paths"]
    for route in ("train", "predict"):
        parameters = paths[f"/v2/models/topgraft/{route}/"]["post"]["parameters"]
        texts = [one for one in parameters if one["type"] == "string" and "enum" not in one]
        assert texts
        assert [one["name"] for one in texts if "maxLength" not in one] == []


def test_nothing_long_is_in_the_log(server: Server) -> None:
    lines = (server.home / "server.log").read_text(errors="replace").splitlines()
    assert max(map(len, lines)) < 20_000


def test_a_photo_is_still_classified(server: Server) -> None:
    assert server.predict(photo()).status_code == 200
