"""The proxy example: Debian's nginx with `docker/nginx.conf` in front of a real server."""

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.deepaas_server import Server, running_server
from tests.support.nginx import PASSWORD, TOKEN, USER, Proxy, running_proxy
from tests.support.photos import photo
from tests.support.ports import free_port
from tests.support.small_model import CLASSES, write_small_model

pytestmark = pytest.mark.slow

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PREDICT = "/v2/models/topgraft/predict/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "small")
    with running_server(home) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_proxy(tmp_path_factory.mktemp("proxy"), int(urlsplit(server.root).port or 0)) as running:
        yield running


def _request(proxy: Proxy, method: str, path: str, **options: Any) -> requests.Response:
    return requests.request(
        method, proxy.root + path, verify=str(proxy.certificate), timeout=30, allow_redirects=False, **options
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}0"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "default"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/ui", "/swagger.json", "/v2/models/topgraft/", "/nosuch"])
def test_invalid_credentials_are_refused(proxy: Proxy, path: str, headers: dict[str, str]) -> None:
    response = _request(proxy, "GET", path, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="Topgraft"'


def test_a_wrong_password_is_refused(proxy: Proxy) -> None:
    assert _request(proxy, "GET", "/v2/models/topgraft/", auth=(USER, "wrong")).status_code == 401
    assert _request(proxy, "GET", "/v2/models/topgraft/", auth=("eve", PASSWORD)).status_code == 401


@pytest.mark.parametrize("secret", [{"headers": BEARER}, {"auth": (USER, PASSWORD)}], ids=["token", "password"])
def test_predict_with_valid_credentials(proxy: Proxy, secret: dict[str, Any]) -> None:
    assert _request(proxy, "GET", "/v2/models/topgraft/", **secret).json()["latest"] == "small"
    response = _request(proxy, "POST", PREDICT, files={"image": ("photo.jpg", photo())}, **secret)
    assert response.status_code == 200
    assert set(response.json()["labels"]) == set(CLASSES)
    refused = _request(proxy, "POST", PREDICT, files={"image": ("a.jpg", b"text")}, **secret)
    assert (refused.status_code, "message" in refused.json()) == (415, True)


def test_swagger_ui_loads_behind_the_proxy(proxy: Proxy) -> None:
    response = requests.get(f"{proxy.root}/ui", verify=str(proxy.certificate), headers=BEARER, timeout=30)
    assert response.status_code == 200
    assert response.url.startswith(proxy.root)
    described = _request(proxy, "GET", "/swagger.json", headers=BEARER).json()
    assert PREDICT in described["paths"]
    # Without them, the page asks the server that it came from.
    assert not {"host", "schemes"} & set(described)


@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_that_is_too_large_is_refused(proxy: Proxy, announced: bool) -> None:
    body = b"x" * (3 << 20)
    response = _request(proxy, "POST", PREDICT, data=body if announced else iter([body]), headers=BEARER)
    assert response.status_code == 413
    assert "smaller request" in response.json()["message"]


def test_http_is_redirected_to_https(proxy: Proxy) -> None:
    response = requests.post(proxy.plain + PREDICT + "?top_k=1", data="x", timeout=30, allow_redirects=False)
    assert response.status_code == 308
    assert response.headers["Location"] == f"https://localhost{PREDICT}?top_k=1"


def test_outdated_tls_versions_are_refused(proxy: Proxy) -> None:
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    address = urlsplit(proxy.root)
    with (
        socket.create_connection(("127.0.0.1", int(address.port or 0))) as link,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(link, server_hostname="localhost")


def test_credentials_are_not_forwarded_to_the_service(tmp_path: Path) -> None:
    upstream = socket.create_server(("127.0.0.1", 0))
    with upstream, running_proxy(tmp_path, upstream.getsockname()[1]) as proxy:
        upstream.settimeout(10)
        context = ssl.create_default_context(cafile=str(proxy.certificate))
        plain = socket.create_connection(("127.0.0.1", int(urlsplit(proxy.root).port or 0)))
        with context.wrap_socket(plain, server_hostname="localhost") as link:
            link.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            received = upstream.accept()[0].recv(1 << 16)
    assert received.startswith(b"GET / ")
    assert TOKEN.encode() not in received


def test_an_unreachable_service_is_a_bad_gateway(tmp_path: Path) -> None:
    with running_proxy(tmp_path, free_port()) as proxy:
        response = _request(proxy, "GET", "/v2/models/topgraft/", headers=BEARER)
    assert response.status_code == 503
    assert "does not answer" in json.loads(response.text)["message"]
    assert response.headers["Retry-After"].isdecimal()
    assert "max-age" in response.headers["Strict-Transport-Security"]


@pytest.mark.browser
def test_swagger_ui_predicts_behind_the_proxy(proxy: Proxy) -> None:
    from tests.support.browser import Operation, running_chromium

    with running_chromium() as browser:
        context = browser.new_context(
            ignore_https_errors=True, http_credentials={"username": USER, "password": PASSWORD}
        )
        page = context.new_page()
        page.goto(f"{proxy.root}/api")
        predict = Operation(page, "post", "predict/")
        predict.row("image").locator("input[type=file]").set_input_files(
            {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo()}
        )
        assert predict.execute() == 200
        assert predict.answer()["model"] == "small"
