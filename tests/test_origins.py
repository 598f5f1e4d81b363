"""Requests of other web pages: refused by the middleware that the service and the web page share."""

import asyncio

import pytest
from aiohttp import web

from model.web.origins import origin_check, parse_site
from tests.support.hostile_requests import FOREIGN_HOSTS, JOB, OWN_HOSTS


def _send(method: str, headers: list[tuple[str, str]]) -> tuple[int, str]:
    """Status and answer of one request, with exactly these headers, to a server with the middleware."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"message": "answered"})

    async def run() -> tuple[int, str]:
        application = web.Application(middlewares=[origin_check({"lab.example"})])
        application.router.add_route("*", "/", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
            lines = [f"{method} / HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
            writer.write("\r\n".join([*lines, "Content-Length: 0", "Connection: close", "", ""]).encode("latin-1"))
            head = (await reader.read()).decode("latin-1")
            writer.close()
            return int(head.split()[1]), head
        finally:
            await runner.cleanup()

    return asyncio.run(run())


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_a_name_that_no_other_site_can_have_is_accepted(host: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert _send(method, [("Host", host)])[0] == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_is_refused_with_advice(host: str) -> None:
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        status, answer = _send(method, [("Host", host)])
        assert status in (400, 403)
        assert "answered" not in answer
        assert status == 400 or method == "HEAD" or "TOPGRAFT_ALLOWED_HOSTS" in answer


def test_several_hosts_are_refused() -> None:
    assert _send("GET", [("Host", "localhost"), ("Host", "evil.example")])[0] in (400, 403)


def test_a_long_host_is_quoted_shortly() -> None:
    assert len(_send("GET", [("Host", "x" * 8000 + ".example")])[1]) < 10_000


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([("Origin", "http://localhost:5000")], 200),
        ([("Origin", "https://localhost:5000")], 200),
        ([("Origin", "http://LOCALHOST:5000")], 200),
        ([("Origin", "http://localhost:8080")], 403),
        ([("Origin", "http://localhost")], 403),
        ([("Origin", "http://127.0.0.1:5000")], 403),
        ([("Origin", "http://evil.example")], 403),
        ([("Origin", "http://evil.example:5000")], 403),
        ([("Origin", "null")], 403),
        ([("Origin", "")], 403),
        ([("Origin", "file://")], 403),
        ([("Origin", "http://localhost:5000@evil.example")], 403),
        ([("Origin", "http://localhost:5000"), ("Origin", "http://evil.example")], 403),
        ([("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")], 403),
        ([("Sec-Fetch-Site", "same-origin")], 200),
        ([("Sec-Fetch-Site", "none")], 200),
        ([("Sec-Fetch-Site", "same-site")], 403),
        ([("Sec-Fetch-Site", "cross-site")], 403),
        ([("Sec-Fetch-Site", "?")], 403),
    ],
)
def test_changes_by_pages_of_other_origins_are_refused(
    method: str, headers: list[tuple[str, str]], status: int
) -> None:
    received, answer = _send(method, [("Host", "localhost:5000"), *headers])
    assert received == status
    assert status == 200 or "TOPGRAFT_ALLOWED_HOSTS" in answer


def test_other_pages_may_link_to_the_server() -> None:
    headers = [("Host", "localhost:5000"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")]
    assert _send("GET", headers)[0] == 200


PREFLIGHT = ("Access-Control-Request-Method", "POST")


def test_a_preflight_of_another_origin_gets_no_permission() -> None:
    origin = ("Origin", "http://evil.example")
    status, answer = _send("OPTIONS", [("Host", "localhost:5000"), origin, PREFLIGHT])
    assert status == 403 and "access-control" not in answer.lower()
    assert "access-control" not in _send("GET", [("Host", "localhost:5000"), origin])[1].lower()


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_pages_of_an_allowed_origin_may_read_answers(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_ALLOWED_HOSTS", "app.example.org")
    origin = ("Origin", "https://app.example.org")
    status, answer = _send(method, [("Host", "localhost:5000"), origin, *([PREFLIGHT] if method == "OPTIONS" else [])])
    assert status == (204 if method == "OPTIONS" else 200)
    assert "Access-Control-Allow-Origin: https://app.example.org" in answer
    assert "Vary: Origin" in answer


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        ("photos.example.org", "photos.example.org", 200),
        ("photos.example.org", "PHOTOS.example.org.:8443", 200),
        ("photos.example.org", "a.photos.example.org", 403),
        ("https://photos.example.org/", "photos.example.org", 200),
        ("photos.example.org:8443", "photos.example.org:8443", 200),
        ("photos.example.org:8443", "photos.example.org", 403),
        ("*.example.org, other.example", "a.b.example.org", 200),
        ("*.example.org", "example.org", 403),
        ("*.example.org", "evilexample.org", 403),
        ("*", "evil.example", 200),
    ],
)
def test_the_operator_allows_further_names(
    allowed: str, host: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_ALLOWED_HOSTS", allowed)
    assert _send("GET", [("Host", host)])[0] == status
    assert _send("POST", [("Host", host), ("Origin", f"https://{host}")])[0] == status


def test_the_public_address_of_the_service_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_SERVICE_URL", "https://photos.example.org/classifier")
    assert _send("POST", [("Host", "photos.example.org"), ("Origin", "https://photos.example.org")])[0] == 200
    assert _send("POST", [("Host", "127.0.0.1:5000"), ("Origin", "https://photos.example.org")])[0] == 200


@pytest.mark.parametrize(
    ("job", "host", "status"),
    [
        (JOB, f"api-{JOB}.site-deployments.cloud.example.eu", 200),
        (JOB, f"www.api-{JOB}.site-deployments.cloud.example.eu", 200),
        (JOB, f"evil.api-{JOB}.example.eu", 403),
        (JOB, "evil.example", 403),
        ("", "evil.example", 403),
        ("short", "api-short.evil.example", 403),
    ],
)
def test_the_address_of_the_platform_is_allowed(
    job: str, host: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOMAD_JOB_ID", job)
    assert _send("POST", [("Host", host), ("Origin", f"https://{host}")])[0] == status


def test_the_host_forwarded_by_a_proxy_counts_only_if_the_proxy_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_ALLOWED_HOSTS", "photos.example.org")
    own = [("Host", "127.0.0.1:5000"), ("X-Forwarded-Host", "photos.example.org")]
    foreign = [("Host", "127.0.0.1:5000"), ("X-Forwarded-Host", "photos.example.org, evil.example")]
    hidden = [("Host", "evil.example"), ("X-Forwarded-Host", "photos.example.org")]
    assert [_send("GET", headers)[0] for headers in (own, foreign, hidden)] == [200, 200, 403]
    monkeypatch.setenv("TOPGRAFT_TRUSTED_PROXIES", "10.0.0.0/8,127.0.0.1")
    assert [_send("GET", headers)[0] for headers in (own, foreign, hidden)] == [200, 403, 200]


def test_a_site_without_a_port_is_that_of_the_default_port() -> None:
    assert parse_site("Example.org.:443") == parse_site("example.org")
    assert parse_site("example.org:8443") != parse_site("example.org")


def test_a_client_without_a_host_is_no_browser() -> None:
    async def run() -> int:
        async def answer(_: web.Request) -> web.Response:
            return web.Response()

        application = web.Application(middlewares=[origin_check()])
        application.router.add_get("/", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            status = int((await reader.readline()).split()[1])
            writer.close()
            return status
        finally:
            await runner.cleanup()

    assert asyncio.run(run()) == 200
