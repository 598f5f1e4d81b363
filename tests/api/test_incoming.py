"""Requests as they arrive in the server's own process."""

import asyncio
import encodings.aliases
import gzip
import json
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, web

from api import incoming
from api.body_memory import BodyMemory
from api.cancellation import cancel_if_disconnected
from api.forms import CHARSETS
from api.incoming import MIDDLEWARES, check_request, guard_server

FORM = {"Content-Type": "multipart/form-data; boundary=xx"}
JSON = {"Content-Type": "application/json"}
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
FILE = b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
END = b"\r\n--xx--\r\n"
LARGE = 3 << 20


async def _sizes(request: web.Request) -> web.Response:
    """Answers how large what came is, as a handler of DEEPaaS would read it."""
    if request.content_type == "application/json":
        return web.json_response(len(json.dumps(await request.json())))
    form = await request.post()
    sizes = {name: len(part if isinstance(part, str) else part.file.read()) for name, part in form.items()}
    return web.json_response(sizes)


def _answers(send: Callable[[int], Awaitable[Any]], client_max_size: int = 0) -> Any:
    """Result of `send`, called with the port of a server like DEEPaaS's."""

    async def run() -> Any:
        application = web.Application(client_max_size=client_max_size, middlewares=[check_request])
        below = web.Application()
        below.router.add_post("/predict/", _sizes)
        application.add_subapp("/v2", below)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return await send(runner.addresses[0][1])
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def _post(body: Any, headers: dict[str, str], client_max_size: int = 0) -> tuple[int, Any]:
    async def send(port: int) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{port}/v2/predict/"
        async with ClientSession() as client, client.post(url, data=body, headers=headers) as response:
            return response.status, await response.json()

    return _answers(send, client_max_size)


@pytest.fixture(autouse=True)
def limit_of_two_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_MAX_UPLOAD_MB", "1")


def test_complete_and_small_requests_are_handled() -> None:
    assert _post(FILE + b"x" * 1000 + END, FORM) == (200, {"image": 1000})
    assert _post(b'{"a": 1}', {"Content-Type": "application/json"}) == (200, 8)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (FILE + b"x" * LARGE + END, FORM),
        (gzip.compress(FILE + b"x" * LARGE + END), FORM | {"Content-Encoding": "gzip"}),
        (b'"' + b"x" * LARGE + b'"', {"Content-Type": "application/json"}),
        (b"url=" + b"x" * LARGE, {"Content-Type": "application/x-www-form-urlencoded"}),
    ],
    ids=["file", "packed", "json", "form"],
)
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused(body: bytes, headers: dict[str, str], announced: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield body

    status, answer = _post(body if announced else chunks(), headers)
    assert status == 413
    assert "at most 2097152 bytes" in answer["message"]
    assert "TOPGRAFT_MAX_UPLOAD_MB" in answer["message"]


def test_a_content_length_that_is_too_large_is_refused_before_the_body() -> None:
    async def send(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v2/predict/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n")
        answer = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        return answer

    assert _answers(send).startswith(b"HTTP/1.1 413")


TEXTS = {
    "JSON": (JSON, b'{"url": "' + b"x" * 700_000, b'"}'),
    "form": (URLENCODED, b"url=" + b"x" * 700_000, b""),
    "multipart": (FORM, b'--xx\r\nContent-Disposition: form-data; name="url"\r\n\r\n' + b"x" * 700_000, END),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_long_texts_of_all_clients_share_a_limited_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    headers, beginning, end = TEXTS[kind]
    monkeypatch.setattr(incoming, "_memory", BodyMemory(1_000_000))

    async def send(port: int) -> list[int]:
        url = f"http://127.0.0.1:{port}/v2/predict/"
        async with ClientSession() as client:

            async def post(body: Any, kind: dict[str, str]) -> int:
                async with client.post(url, data=body, headers=kind) as response:
                    return response.status

            statuses = []
            stalled = await _half_sent(port, headers, beginning)
            while (status := await post(beginning + end, headers)) != 503:
                await asyncio.sleep(0.05)
            statuses.append(status)
            # Short texts and files are still handled.
            statuses += [await post(b'{"a": 1}', JSON), await post(FILE + b"x" * 900_000 + END, FORM)]
            stalled.close()
            while (status := await post(beginning + end, headers)) == 503:
                await asyncio.sleep(0.05)
            return [*statuses, status]

    assert _answers(send) == [503, 200, 200, 200]


async def _half_sent(port: int, headers: dict[str, str], beginning: bytes) -> asyncio.StreamWriter:
    """A client that has sent the beginning of a longer body."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST /v2/predict/ HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 900000\r\n\r\n".encode() + beginning)
    await writer.drain()
    return writer


@pytest.mark.parametrize("packing", ["deflate", "nosuch"])
def test_only_gzip_is_accepted_as_content_encoding(packing: str) -> None:
    """An aiohttp server never finishes reading a body compressed with deflate."""

    async def send(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"Content-Type: application/json\r\nContent-Encoding: {packing}\r\nContent-Length: 1\r\n\r\n"
        writer.write(f"POST /v2/predict/ HTTP/1.1\r\nHost: x\r\n{head}".encode())
        await asyncio.sleep(0.05)
        writer.write(b"x")
        answer = await asyncio.wait_for(reader.read(500), 5)
        writer.close()
        return answer

    answer = _answers(send)
    assert answer.startswith(b"HTTP/1.1 400") and b"gzip" in answer


def test_a_lower_limit_of_the_server_applies() -> None:
    assert _post(FILE + b"x" * 2000 + END, FORM, client_max_size=1000)[0] == 413


# Those that are read, and others.
KINDS = ("application/json", "application/x-www-form-urlencoded", "image/png", "text/plain", "")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"no boundary", FORM),
        (b"--xx\r\nContent-Disposition: form-data\r\n\r\nno name" + END, FORM),
        (b"--xx\r\nno header\r\n\r\nabc" + END, FORM),
        (b"--xx\r\nContent-Type: multipart/mixed; boundary=yy\r\n\r\n--yy\r\n\r\na\r\n--yy--" + END, FORM),
        (FILE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: nosuch\r\n\r\n") + b"abc" + END, FORM),
        (b'--xx\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff\xfe' + END, FORM),
        (FILE, {"Content-Type": "multipart/form-data"}),
        (b"a=1", {"Content-Type": "application/x-www-form-urlencoded; charset=nosuch"}),
        (b"a=\xff", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b"{}", JSON | {"Content-Type": "application/json; charset=nosuch"}),
        (b"{}", JSON | {"Content-Type": "application/json; charset=base64"}),
        (b"{}", JSON | {"Content-Type": "application/json; charset=undefined"}),
        (b"{", JSON),
        (b'{"a": "\xff"}' + b"x" * 10_000, JSON),
        (b'{"a": ' + b"1" * 5000 + b"}", JSON),
        (b"[" * 100_000 + b"]" * 100_000, JSON),
        (b'{"a": ' * 50_000, {"Content-Type": "application/geo+json"}),
        *((b"not packed", {"Content-Type": kind, "Content-Encoding": "gzip"}) for kind in KINDS),
    ],
)
def test_malformed_requests_are_client_errors(body: bytes, headers: dict[str, str]) -> None:
    status, answer = _post(body, headers)
    assert (status, "expected" in answer["message"]) == (400, True), answer
    assert len(answer["message"]) < 500


# All codecs of Python that encode texts: some take seconds for a hundred kilobytes.
OTHER_CHARSETS = sorted(
    name
    for name in {*encodings.aliases.aliases.values(), "idna", "punycode", "unicode_escape", "undefined"}
    if name not in ("ascii", "latin_1", "utf_8", "utf_16", "cp1252")
)


@pytest.mark.parametrize("charset", OTHER_CHARSETS)
def test_texts_in_charsets_that_no_client_uses_are_refused_unread(charset: str) -> None:
    field = b'--xx\r\nContent-Disposition: form-data; name="model"\r\n'
    bodies = [
        (b"a=1", f"application/x-www-form-urlencoded; charset={charset}"),
        (b"{}", f"application/json; charset={charset}"),
        (field + f"Content-Type: text/plain; charset={charset}\r\n\r\na".encode() + END, FORM["Content-Type"]),
    ]
    for body, kind in bodies:
        status, answer = _post(body, {"Content-Type": kind})
        assert status == 400 and "expected a charset such as utf-8" in answer["message"], (kind, answer)


@pytest.mark.parametrize("charset", sorted(CHARSETS))
def test_texts_in_charsets_of_clients_are_read(charset: str) -> None:
    body = "a=é".encode(charset) if "ascii" not in charset else b"a=ee"
    if charset != "utf-16":  # Of forms, Python reads the names as ASCII.
        kind = f"application/x-www-form-urlencoded; charset={charset.upper()}"
        assert _post(body, {"Content-Type": kind}) == (200, {"a": 1 + ("ascii" in charset)})
    assert _post("{}".encode(charset), {"Content-Type": f"application/json; charset={charset}"}) == (200, 2)


@pytest.mark.parametrize("preamble", [b"\r\n" * 1000, b"\n" * 1000, b"text\r\n" * 1000, b"x" * 1_000_000 + b"\r\n"])
def test_a_long_text_before_the_first_field_is_refused(preamble: bytes) -> None:
    status, answer = _post(preamble + FILE + b"abc" + END, FORM)
    assert status == 400 and "expected a form" in answer["message"]


def test_a_few_lines_before_the_first_field_are_skipped() -> None:
    assert _post(b"\r\n\r\nThis is a form.\r\n" + FILE + b"abc" + END, FORM) == (200, {"image": 3})


def test_a_disconnected_client_is_no_server_error(caplog: pytest.LogCaptureFixture) -> None:
    async def send(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "POST /v2/predict/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        writer.write(f"{head}Content-Type: {FORM['Content-Type']}\r\n\r\n".encode() + FILE + b"half")
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.close()
        await asyncio.sleep(0.2)

    caplog.set_level("INFO")
    _answers(send)
    assert "disconnected" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def _ends(path: str) -> list[str]:
    """Ends of the handler of `path` after its client disconnected."""
    ends: list[str] = []
    begun = asyncio.Event()

    async def handle(_: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.sleep(0.3)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        ends.append("finished")
        return web.Response()

    async def run() -> None:
        application = web.Application(middlewares=[cancel_if_disconnected])
        application.router.add_post("/{name}/", handle)
        runner = web.AppRunner(application, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            _, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
            writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
            await begun.wait()
            writer.close()
            await asyncio.sleep(0.5)
        finally:
            await runner.cleanup()

    asyncio.run(run())
    return ends


def test_only_predictions_are_cancelled_when_the_client_disconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.cancellation._SECONDS_BETWEEN_CHECKS", 0.05)
    assert _ends("/predict/") == ["cancelled"]
    assert _ends("/train/") == ["finished"]


def test_the_middleware_is_added_to_deepaas_once(monkeypatch: pytest.MonkeyPatch) -> None:
    application = web.Application()
    monkeypatch.setitem(sys.modules, "deepaas.api", types.SimpleNamespace(APP=application))
    guard_server()
    guard_server()
    assert list(application.middlewares) == list(MIDDLEWARES)


def test_without_a_server_no_middleware_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepaas.api", types.SimpleNamespace(APP=None))
    guard_server()
    monkeypatch.delitem(sys.modules, "deepaas.api")
    guard_server()
    assert "deepaas.api" not in sys.modules
