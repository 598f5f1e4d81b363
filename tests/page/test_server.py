"""The server of the demo page: it serves its own files and forwards two kinds of request unchanged."""

import asyncio
import contextlib
import dataclasses
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from pathlib import Path

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from model.errors import ConfigError
from model.page import forwarding, service
from model.page.server import make_app
from model.page.service import checked_url
from model.web.static_files import CONTENT_TYPES
from tests.support.ports import free_port

STATIC = Path(str(resources.files("model.page") / "static"))
PHOTO = bytes(range(256)) * 1000
HEADERS = {"Accept": "application/json", "Content-Type": "application/octet-stream"}

Page = TestClient[web.Request, web.Application]


@dataclasses.dataclass
class Seen:
    """A request as received by the service."""

    path: str
    query: dict[str, str]
    accept: str | None
    fields: list[tuple[str | None, str | None, bytes]]


class Service:
    """Fake of DEEPaaS that records its requests and sends the configured answers."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self._ok
        self._server = TestServer(self._app())

    async def start(self, port: int) -> str:
        self._server.port = port
        await self._server.start_server()
        return str(self._server.make_url("")).rstrip("/")

    async def stop(self) -> None:
        await self._server.close()

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        fields = []
        if request.content_type == "multipart/form-data":
            async for part in await request.multipart():
                fields.append((part.name, part.filename, bytes(await part.read())))
        self.seen.append(Seen(request.path, dict(request.query), request.headers.get("Accept"), fields))
        return await self.answer(request)

    async def _ok(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "OK", "models": [], "latest": None})


def page_test(test: Callable[[Page, Service], Awaitable[None]]) -> Callable[[], None]:
    """Run a test with the page before a service."""

    def run() -> None:
        async def main() -> None:
            async with a_page() as (page, behind):
                await test(page, behind)

        asyncio.run(main())

    run.__name__ = test.__name__
    return run


@contextlib.asynccontextmanager
async def a_page() -> AsyncIterator[tuple[Page, Service]]:
    behind = Service()
    url = await behind.start(free_port())
    try:
        async with TestClient(TestServer(make_app(url))) as page:
            behind.seen.clear()
            yield page, behind
    finally:
        await behind.stop()


@page_test
async def test_the_page_and_its_files_are_served(page: Page, behind: Service) -> None:
    for path, content_type in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/base.css", "text/css"),
        ("/queue.js", "text/javascript"),
    ]:
        response = await page.get(path)
        assert (response.status, response.content_type) == (200, content_type)
    assert (await (await page.get("/")).read()) == (STATIC / "index.html").read_bytes()
    assert behind.seen == []


@page_test
async def test_no_other_path_is_served_or_forwarded(page: Page, behind: Service) -> None:
    paths = ["/api/train", "/api/predict/", "/api/model/../train", "/v2/models/topgraft/", "/v2/models/topgraft/train/"]
    paths += ["/service.py", "/static/page.js", "/..%2fserver.py", "/%2e%2e/server.py", "/index.html"]
    for path in paths:
        for method in ("GET", "POST", "DELETE"):
            response = await page.request(method, path, data=b"x" if method == "POST" else None, headers=HEADERS)
            assert response.status == 404, (method, path)
    for method, path in [("GET", "/api/predict"), ("POST", "/api/model"), ("DELETE", "/api/model"), ("PUT", "/")]:
        assert (await page.request(method, path)).status == 405
    assert behind.seen == []


@page_test
async def test_every_response_forbids_external_scripts_and_sniffing(page: Page, behind: Service) -> None:
    for path in ("/", "/page.js", "/api/model", "/nothing-here"):
        headers = (await page.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in headers


@page_test
async def test_a_photo_is_forwarded_unchanged(page: Page, behind: Service) -> None:
    query = {"name": "été 🦠.jpg", "model": "pets", "top_k": "3", "neighbours": "2"}
    response = await page.post("/api/predict", params=query, data=PHOTO, headers=HEADERS)
    assert (await response.json())["status"] == "OK"
    [seen] = behind.seen
    assert seen.path == "/v2/models/topgraft/predict/"
    assert seen.query == {"model": "pets", "top_k": "3", "neighbours": "2"}
    assert seen.accept == "application/json"
    assert seen.fields == [("image", "été 🦠.jpg", PHOTO)]


@page_test
async def test_any_file_name_is_forwarded(page: Page, behind: Service) -> None:
    names = [
        'a"; name="url".jpg',
        "a\r\nX-Injected: 1.jpg",
        "../../etc/passwd",
        "a\x00b.jpg",
        "x" * 5000,
        "",
        "C:\\a.jpg",
    ]
    for name in names:
        response = await page.post("/api/predict", params={"name": name}, data=b"photo", headers=HEADERS)
        assert response.status == 200, name
        [(field, filename, content)] = behind.seen.pop().fields
        assert (field, content) == ("image", b"photo")
        assert filename and len(filename) <= 200
        assert not set("\r\n\x00/\\") & set(filename)


@page_test
async def test_unexpected_requests_are_refused_without_reaching_the_service(page: Page, behind: Service) -> None:
    form = FormData({"url": "http://169.254.169.254/"})
    form.add_field("image", b"x", filename="x")
    refused = [
        (400, {"params": {"url": "http://169.254.169.254/"}, "data": b"x", "headers": HEADERS}),
        (400, {"params": {"accept": "text/csv"}, "data": b"x", "headers": HEADERS}),
        (415, {"data": form, "headers": {"Accept": "application/json"}}),
        (415, {"data": b"x", "headers": HEADERS | {"Content-Type": "text/plain"}}),
        (406, {"data": b"x", "headers": HEADERS | {"Accept": "text/html"}}),
        (411, {"data": _endless(), "headers": HEADERS}),
    ]
    for status, request in refused:
        response = await page.post("/api/predict", **request)
        assert response.status == status
        assert (await response.json())["message"].strip()
    assert behind.seen == []


async def _endless() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"x"


@page_test
async def test_a_photo_that_is_too_large_is_refused_by_its_length(page: Page, behind: Service) -> None:
    reader, writer = await asyncio.open_connection(page.host, page.port)
    length = forwarding.MAX_IMAGE_BYTES + 1
    head = f"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
    writer.write((head + "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()) + "\r\n").encode())
    assert b"413" in await reader.readline()
    writer.close()
    assert behind.seen == []


@page_test
async def test_cross_site_requests_are_refused(page: Page, behind: Service) -> None:
    for site in ("cross-site", "same-site"):
        response = await page.post("/api/predict", data=b"x", headers=HEADERS | {"Sec-Fetch-Site": site})
        assert response.status == 403
        assert (await page.get("/", headers={"Sec-Fetch-Site": site})).status == 200
    assert behind.seen == []


@page_test
async def test_a_temporary_error_has_retry_after(page: Page, behind: Service) -> None:
    async def stop(_request: web.Request) -> web.Response:
        return web.json_response({"message": "the service is stopping"}, status=503, headers={"Retry-After": "5"})

    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"message": "damaged"}, status=503)

    for answer, seconds in ((stop, "5"), (refuse, None)):
        behind.answer = answer
        response = await page.post("/api/predict", data=b"x", headers=HEADERS)
        assert (response.status, response.headers.get("Retry-After")) == (503, seconds)


@page_test
async def test_an_error_of_the_service_is_forwarded_with_its_message(page: Page, behind: Service) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"message": "no model 'pets'"}, status=404)

    behind.answer = refuse
    response = await page.post("/api/predict", data=b"x", headers=HEADERS)
    assert (response.status, await response.json()) == (404, {"message": "no model 'pets'"})


@page_test
async def test_answers_of_a_server_other_than_deepaas_are_not_forwarded(page: Page, behind: Service) -> None:
    async def html(_request: web.Request) -> web.Response:
        return web.Response(text="<script>alert(1)</script>", content_type="text/html")

    async def redirect(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async def trouble(_request: web.Request) -> web.Response:
        raise web.HTTPInternalServerError(text="500: got itself in trouble")

    for answer, status in [(html, 502), (redirect, 502), (trouble, 500)]:
        behind.seen.clear()
        behind.answer = answer
        response = await page.get("/api/model")
        assert (response.status, response.content_type) == (status, "application/json")
        assert "script" not in await response.text()
        assert len(behind.seen) == 1


def test_a_response_that_is_too_large_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_ANSWER_BYTES", 10_000)

    async def large(_request: web.Request) -> web.Response:
        return web.json_response({"models": ["x" * 10_000]})

    async def main() -> None:
        async with a_page() as (page, behind):
            behind.answer = large
            response = await page.get("/api/model")
            assert response.status == 502
            assert "10000 bytes" in (await response.json())["message"]

    asyncio.run(main())


def test_a_request_to_a_slow_service_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SECONDS_FOR_METADATA", 0.2)

    async def main() -> None:
        async with a_page() as (page, behind):
            behind.answer = lambda _request: asyncio.sleep(30)  # type: ignore[assignment,return-value]
            response = await page.get("/api/model")
            assert response.status == 504
            assert "--workers 2" in (await response.json())["message"]

    asyncio.run(main())


@page_test
async def test_a_disconnected_client_cancels_the_request_to_the_service(page: Page, behind: Service) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def wait(_request: web.Request) -> web.Response:
        asked.set()
        try:
            await asyncio.sleep(30)  # cancelled when the connection is closed
        finally:
            ended.set()
        return web.json_response({})

    behind.answer = wait
    asking = asyncio.create_task(page.post("/api/predict", data=PHOTO, headers=HEADERS))
    await asyncio.wait_for(asked.wait(), 5)
    asking.cancel()
    await asyncio.wait_for(ended.wait(), 5)


def test_each_change_of_the_service_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "model.page")

    async def main() -> None:
        port = free_port()
        async with TestClient(TestServer(make_app(f"http://127.0.0.1:{port}"))) as page:
            for _ in range(3):
                response = await page.get("/api/model")
                assert response.status == 502
                assert service.START in (await response.json())["message"]
            behind = Service()
            await behind.start(port)
            assert (await page.get("/api/model")).status == 200
            await behind.stop()

    asyncio.run(main())
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("model.page")]
    assert len(logged) == 2
    assert "No DEEPaaS service answers" in logged[0] and service.START in logged[0]
    assert "answers" in logged[1]


@pytest.mark.parametrize(
    "url", ["127.0.0.1:5000", "ftp://a/", "http://", "http://a:99999", "http://a/?b", "http://[", ""]
)
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--api"):
        checked_url(url)


def test_an_address_may_have_a_path() -> None:
    assert checked_url("https://example.org/deepaas/") == "https://example.org/deepaas"


def test_the_page_has_no_external_references_and_writes_no_html() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]|@import|url\(", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|style=|onclick=", text)


def test_every_file_of_the_page_can_be_served() -> None:
    assert {path.suffix for path in STATIC.iterdir()} <= set(CONTENT_TYPES)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", (STATIC / "base.css").read_text(encoding="utf-8"), re.S)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", blocks[scheme == "dark"]))
    on_any_ground = [
        (text, ground) for text in ("ink", "soft") for ground in ("ground", "card", "pale", "wash", "warm")
    ]
    # WCAG 2.2: 4.5 to 1 for text, 3 to 1 for what must be seen to be used.
    for text, ground in [*on_any_ground, ("blue", "pale"), ("orange", "card"), ("on-blue", "blue")]:
        assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for mark, ground in [("edge", "card"), ("edge", "pale"), ("bar", "card"), ("dim", "line"), ("bar", "line")]:
        assert _contrast(colours[mark], colours[ground]) >= (2 if mark == "dim" else 3), (mark, ground)


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
