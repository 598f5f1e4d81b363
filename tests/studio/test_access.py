"""Attacks on the studio: without a session, with a forged one, from other sites, and by a name of another site."""

import http.client
import json
import re
import time
from urllib.parse import urlsplit

import pytest
import requests

from model.studio.access import SECONDS_OF_A_SESSION, Access
from model.workspace import Workspace
from tests.support.command import topgraft
from tests.support.ports import free_port
from tests.support.studio_server import Studio, running_studio

pytestmark = pytest.mark.slow

DATA = ("/api/state", "/api/events", "/api/trainings", "/api/training-options", "/api/trainings/a/log", "/api/anything")
CHANGES = ("/api/trainings", "/api/trainings/a/cancel", "/api/link")


def post(studio: Studio, path: str, headers: dict[str, str], cookies: dict[str, str] | None = None) -> int:
    body = {"dataset": "photos"}
    return requests.post(studio.url[:-1] + path, json=body, headers=headers, cookies=cookies, timeout=10).status_code


def cookie(studio: Studio) -> dict[str, str]:
    return studio.session().cookies.get_dict()


@pytest.mark.parametrize("path", DATA)
def test_data_need_a_session(studio: Studio, path: str) -> None:
    assert requests.get(studio.url[:-1] + path, timeout=10).status_code == 401


@pytest.mark.parametrize("path", CHANGES)
def test_changes_need_a_session(studio: Studio, path: str) -> None:
    assert post(studio, path, {}) == 401


def test_a_forged_cookie_opens_nothing(studio: Studio) -> None:
    [(name, value)] = cookie(studio).items()
    ends, nonce, signature = value.split(".")
    later = f"{int(ends) + 1}.{nonce}.{signature}"
    for forged in (
        "",
        ".",
        "..",
        later,
        f"{ends}.{nonce}.",
        f"{ends}.{nonce}.{'0' * 64}",
        f"{ends}.x.{signature}",
        "é",
    ):
        headers = {"Cookie": f"{name}={forged}".encode()}
        assert requests.get(f"{studio.url}api/state", headers=headers, timeout=10).status_code == 401, forged
    assert requests.get(f"{studio.url}api/state", cookies={name: value}, timeout=10).ok


def test_a_token_opens_one_session(studio: Studio) -> None:
    token = studio.session().post(f"{studio.url}api/link", timeout=10).json()["token"]
    answers = [requests.post(f"{studio.url}api/session", json={"token": token}, timeout=10) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert "Set-Cookie" not in answers[1].headers


def test_the_cookie_is_hidden_from_scripts_and_other_sites(studio: Studio) -> None:
    token = studio.session().post(f"{studio.url}api/link", timeout=10).json()["token"]
    header = requests.post(f"{studio.url}api/session", json={"token": token}, timeout=10).headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(re.split("; ", header))
    proxied = requests.post(
        f"{studio.url}api/session",
        json={"token": studio.session().post(f"{studio.url}api/link", timeout=10).json()["token"]},
        headers={"X-Forwarded-Proto": "https"},
        timeout=10,
    )
    assert "Secure" in proxied.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", [*CHANGES, "/api/session"])
def test_pages_of_other_sites_change_nothing(studio: Studio, path: str, headers: dict[str, str]) -> None:
    """Even with the cookie, as from a browser that ignores SameSite."""
    assert post(studio, path, headers, cookie(studio)) == 403


def test_a_form_of_another_site_changes_nothing(studio: Studio) -> None:
    """A form can send these types without asking the server; an old browser sends no origin."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        body = json.dumps({"dataset": "photos"})
        answer = requests.post(
            f"{studio.url}api/trainings", data=body, headers={"Content-Type": kind}, cookies=cookie(studio), timeout=10
        )
        assert answer.status_code == 400, kind


def test_a_cookie_of_any_bytes_opens_no_session(studio: Studio) -> None:
    [name] = cookie(studio)
    for value in (b"a.\xff", b"\xff.a", b".", b"9" * 5000 + b".", b"1.\xf0\x28."):
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(studio.url).port, timeout=10)
        connection.putrequest("GET", "/api/state")
        connection.putheader("Cookie", f"{name}=".encode() + value)
        connection.endheaders()
        assert connection.getresponse().status == 401, value
        connection.close()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8090", "a b"])
def test_a_name_of_another_site_reaches_nothing(studio: Studio, host: str) -> None:
    """DNS rebinding: the name of another site points to this server, and the browser regards it as that site."""
    for path in ("/", "/app.js", "/api/session", "/api/state"):
        answer = requests.get(studio.url[:-1] + path, headers={"Host": host}, cookies=cookie(studio), timeout=10)
        assert answer.status_code == 403, path


def test_no_answer_allows_other_origins(studio: Studio) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method, path in (("OPTIONS", "/api/trainings"), ("GET", "/api/state"), ("GET", "/")):
        answer = requests.request(method, studio.url[:-1] + path, headers=headers, timeout=10)
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_every_answer_has_the_security_headers(studio: Studio) -> None:
    for path in ("/", "/app.js", "/page/base.css", "/api/state", "/api/session", "/missing", "/..%2f..%2fetc/passwd"):
        headers = requests.get(studio.url[:-1] + path, timeout=10).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in headers


def test_the_token_is_in_no_log(studio: Studio) -> None:
    """It is printed for the user once, and neither requests nor the service write it again."""
    token = re.search(r"#token=(\S+)", studio.log.read_text()).group(1)
    client = studio.session()
    client.get(f"{studio.url}api/missing/{token}", timeout=10)
    logs = [studio.log, *(studio.home / "models" / ".studio").glob("*.log")]
    assert "".join(path.read_text() for path in logs).count(token) == 1


def test_the_key_of_sessions_is_for_its_owner_only(studio: Studio) -> None:
    assert (studio.home / "models" / ".studio" / "session_key").stat().st_mode & 0o777 == 0o600


def test_a_session_outlasts_the_server_but_not_its_time(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import web
    from aiohttp.test_utils import make_mocked_request

    response = web.Response()
    first = Access(Workspace(tmp_path), 1, "")
    first.open_session(response, is_encrypted=False)
    header = {"Cookie": response.cookies[first.cookie].OutputString().partition(";")[0]}
    request = make_mocked_request("GET", "/", headers=header)
    assert Access(Workspace(tmp_path), 1, "").has_session(request)
    assert not Access(Workspace(tmp_path), 1, "a password").has_session(request)
    assert not Access(Workspace(tmp_path), 2, "").has_session(request)
    end = time.time() + SECONDS_OF_A_SESSION + 1
    monkeypatch.setattr(time, "time", lambda: end)
    assert not Access(Workspace(tmp_path), 1, "").has_session(request)


def test_a_key_that_others_can_read_is_not_used(tmp_path) -> None:
    from aiohttp import web
    from aiohttp.test_utils import make_mocked_request

    first = Access(Workspace(tmp_path), 1, "")
    (tmp_path / "models" / ".studio" / "session_key").chmod(0o644)
    response = web.Response()
    first.open_session(response, is_encrypted=False)
    header = {"Cookie": response.cookies[first.cookie].OutputString().partition(";")[0]}
    assert not Access(Workspace(tmp_path), 1, "").has_session(make_mocked_request("GET", "/", headers=header))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_addresses_need_a_password_or_a_proxy(tmp_path, host: str) -> None:
    ran = topgraft("--workspace", tmp_path, "studio", "--host", host, "--port", free_port(), cwd=tmp_path)
    assert ran.returncode == 2 and "TOPGRAFT_STUDIO_PASSWORD" in ran.stderr and "TOPGRAFT_TRUSTED_PROXIES" in ran.stderr


def test_a_password_opens_a_session_and_wrong_ones_wait(tmp_path) -> None:
    with running_studio(tmp_path, "--host", "0.0.0.0", TOPGRAFT_STUDIO_PASSWORD="öffne dich") as studio:
        session = f"{studio.url}api/session"
        started = time.monotonic()
        assert requests.post(session, json={"password": "guess"}, timeout=10).status_code == 401
        assert time.monotonic() - started > 0.9
        client = requests.Session()
        assert client.post(session, json={"password": "öffne dich"}, timeout=10).ok
        exposure = client.get(f"{studio.url}api/state", timeout=10).json()["exposure"]
        assert exposure == {"address": f"0.0.0.0:{studio.url.rsplit(':')[-1][:-1]}", "local": False, "password": True}


def test_without_a_password_only_the_proxy_is_answered(tmp_path) -> None:
    with running_studio(tmp_path, "--host", "0.0.0.0", TOPGRAFT_TRUSTED_PROXIES="192.0.2.1") as studio:
        assert requests.get(studio.url, timeout=10).status_code == 403
        assert requests.post(f"{studio.url}api/session", json={"token": studio.token}, timeout=10).status_code == 403
