"""Requests with long values: a real server refuses them, answers other clients meanwhile, and keeps little of them."""

import time
from collections.abc import Iterator

import pytest
import requests

from tests.support.deepaas_server import Server, running_server
from tests.support.hostile_requests import REQUESTS
from tests.support.photos import photo
from tests.support.probe import Probe
from tests.support.small_model import write_small_model

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
# Of processor time: other tests share the processors.
SECONDS_OF_STALL = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "small")
    with running_server(home) as running:
        yield running


@pytest.mark.parametrize("name", REQUESTS)
def test_a_long_request_is_refused_and_other_clients_are_answered(name: str, server: Server) -> None:
    route, make_body, headers, statuses = REQUESTS[name]
    body = make_body()
    before = server.process.memory_info().rss
    probe = Probe(lambda: requests.get(f"{server.root}/v2/", timeout=60).ok, server.process)
    with probe.running():
        url = f"{server.url}/{route}/" if route else f"{server.url}/"
        response = requests.post(url, data=body, headers=headers, timeout=60)
    assert response.status_code in statuses, response.text[:500]
    assert len(response.content) < 10_000
    assert probe.failures == 0
    assert probe.busiest < SECONDS_OF_STALL
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
