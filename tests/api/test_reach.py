"""What other web pages and a hostile client reach of a real server: neither trainings nor the disk."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.deepaas_server import Server, running_server
from tests.support.photos import photo
from tests.support.small_model import write_small_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    (home / "data" / "root").symlink_to("/")
    write_small_model(home / "models" / "small")
    with running_server(home) as running:
        yield running


def test_a_page_of_another_site_starts_no_training(server: Server) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        response = requests.post(f"{server.url}/train/", headers=headers, timeout=30)
        assert response.status_code == 403
        assert "TOPGRAFT_ALLOWED_HOSTS" in response.json()["message"]
    assert requests.get(f"{server.url}/train/", timeout=30).json() == []


@pytest.mark.parametrize("path", ["/", "/ui", "/swagger.json", "/v2/models/", "/v2/models/topgraft/", "/nosuch"])
def test_no_answer_is_given_under_a_foreign_name(path: str, server: Server) -> None:
    port = urlsplit(server.root).port
    headers = {"Host": f"evil.example:{port}"}
    response = requests.get(server.root + path, headers=headers, timeout=30, allow_redirects=False)
    assert response.status_code == 403 and "topgraft" not in response.text


def test_programs_and_swagger_ui_still_work(server: Server) -> None:
    assert server.predict(photo()).status_code == 200
    assert requests.get(f"{server.root}/ui", timeout=30).ok
    own = {"Origin": server.root, "Sec-Fetch-Site": "same-origin"}
    response = requests.post(f"{server.url}/predict/", headers=own, files={"image": ("a.jpg", photo())}, timeout=30)
    assert response.status_code == 200


@pytest.mark.parametrize("option", ["dataset", "import_from"])
@pytest.mark.parametrize("value", ["/", "/root", "/nowhere", "root", "root/etc", "../..", "~", "/proc", "/etc/passwd"])
def test_a_training_does_not_read_the_disk(option: str, value: str, server: Server) -> None:
    start = time.monotonic()
    training = server.wait_for_training(server.start_training(**{option: value}))
    assert training["status"] == "error"
    assert training["message"].startswith(f"{option}: expected remote:path, or a path in data/")
    assert time.monotonic() - start < 10
