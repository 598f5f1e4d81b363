"""Slow and many clients of a web server: closed in time, without disturbing the others."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from model.web import connections
from model.web.connections import ClientLimits, limit_connections

LIMITS = ClientLimits(head=0.4, silence=0.4, response=0.4, slow_after=0.8, bytes_per_second=1000)
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
LARGE = 64 << 20
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def _server() -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.Response:
        if "wait" in request.query:
            await asyncio.sleep(1.5)
        if "large" in request.query:
            return web.Response(body=bytes(LARGE))
        with contextlib.suppress(ConnectionError):  # as `api.incoming` does
            return web.Response(text=str(len(await request.read())))
        return web.Response(status=400)

    application = web.Application()
    limit_connections(application, LIMITS)
    application.router.add_route("*", "/", answer)
    loop = asyncio.get_running_loop()
    create_server = loop.create_server
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
        loop.create_server = create_server  # type: ignore[method-assign]


def _run(use: Callable[[int], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, most: int = 100) -> None:
    monkeypatch.setattr(connections, "_SECONDS_BETWEEN_CHECKS", 0.05)
    monkeypatch.setattr(connections, "_capacity", lambda: (most, 4))

    async def run() -> None:
        async with _server() as port:
            await use(port)

    asyncio.run(run())


async def _open(port: int, *parts: bytes) -> Client:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 12)
    for part in parts:
        writer.write(part)
    await writer.drain()
    return reader, writer


async def _is_closed(client: Client, seconds: float) -> bool:
    try:
        content = await asyncio.wait_for(client[0].read(1 << 10), seconds)
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return content == b""


async def _ask(port: int) -> tuple[bytes, float]:
    """Status line of an honest client's answer, and the time that it took."""
    start = time.perf_counter()
    reader, writer = await _open(port, HEAD, b"Connection: close\r\n\r\n")
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return line, time.perf_counter() - start


@pytest.mark.parametrize(
    "parts", [(), (b"G",), (HEAD,), (BODY,), (BODY, b"x" * 1000)], ids=["nothing", "byte", "head", "no body", "body"]
)
def test_a_client_that_stalls_is_closed_in_time(parts: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(port: int) -> None:
        assert await _is_closed(await _open(port, *parts), 5)

    _run(use, monkeypatch)


@pytest.mark.parametrize("start", [b"", HEAD, BODY], ids=["line", "headers", "body"])
def test_a_client_that_sends_byte_by_byte_is_closed_in_time(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(port: int) -> None:
        reader, writer = await _open(port, start)
        begun = time.perf_counter()
        with contextlib.suppress(ConnectionError):
            while time.perf_counter() - begun < 5 and not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        assert time.perf_counter() - begun < 4

    _run(use, monkeypatch)


def test_a_client_that_does_not_read_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(port: int) -> None:
        client = await _open(port, HEAD.replace(b"/ ", b"/?large "), b"\r\n")
        await asyncio.sleep(2)
        received = 0
        with contextlib.suppress(ConnectionError):
            while block := await client[0].read(1 << 20):
                received += len(block)
        assert received < LARGE

    _run(use, monkeypatch)


def test_patient_work_and_idle_connections_are_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(port: int) -> None:
        waiting = await _open(port, HEAD.replace(b"/ ", b"/?wait "), b"\r\n")
        idle = await _open(port, HEAD, b"\r\n")
        await idle[0].readuntil(b"\r\n\r\n0")
        slow = await _open(port, BODY)
        for _ in range(20):
            slow[1].write(b"x" * 5000)
            await asyncio.sleep(0.05)
        assert (await slow[0].readline()).startswith(b"HTTP/1.1 200")
        assert (await waiting[0].readline()).startswith(b"HTTP/1.1 200")
        assert not await _is_closed(idle, 0.5)
        idle[1].write(HEAD + b"\r\n")
        assert (await asyncio.wait_for(idle[0].readline(), 5)).startswith(b"HTTP/1.1 200")

    _run(use, monkeypatch)


@pytest.mark.parametrize("parts", [(), (HEAD,), (BODY,), (HEAD, b"\r\n")], ids=["nothing", "head", "body", "idle"])
def test_many_silent_clients_do_not_keep_others_out(
    parts: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(port: int) -> None:
        silent = [await _open(port, *parts) for _ in range(60)]
        for _ in range(5):
            line, seconds = await _ask(port)
            assert line.startswith(b"HTTP/1.1 200") and seconds < 2
        assert len(silent) == 60

    _run(use, monkeypatch, most=10)
    assert sum("10 connections are open" in message for message in caplog.messages) == 1
    assert len(caplog.messages) < 5


def test_an_upload_in_progress_is_not_displaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(port: int) -> None:
        upload = await _open(port, BODY)
        for _ in range(20):
            upload[1].write(b"x" * 5000)
            await asyncio.sleep(0.01)
            await _open(port, HEAD)
        assert (await asyncio.wait_for(upload[0].readline(), 5)).startswith(b"HTTP/1.1 200")

    _run(use, monkeypatch, most=10)


def test_requests_in_work_are_not_displaced_but_further_ones_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(port: int) -> None:
        working: list[Any] = [await _open(port, HEAD.replace(b"/ ", b"/?wait "), b"\r\n") for _ in range(10)]
        await asyncio.sleep(0.3)
        # The answer is lost if the client sends its request after the connection was closed.
        with contextlib.suppress(ConnectionError):
            assert (await _ask(port))[0] in (b"HTTP/1.1 503 Service Unavailable\r\n", b"")
        for reader, _ in working:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    _run(use, monkeypatch, most=10)


def test_the_number_of_connections_leaves_descriptors_free() -> None:
    most, batch = connections._capacity()
    assert connections._MIN_CONNECTIONS <= most <= connections.MAX_CONNECTIONS
    assert batch >= 4


def test_malformed_requests_are_logged_in_one_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("aiohttp.server"), "filters", [])

    async def use(port: int) -> None:
        for start in (b"GET / HTTP/1.1\r\n", b"GET / HTTP/9\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n") * 5:
            reader, writer = await _open(port, start, b"a b: c" * 1000, b"\r\n\r\n")
            assert b"400" in await asyncio.wait_for(reader.readline(), 5)
            writer.close()

    _run(use, monkeypatch)
    [line] = [record for record in caplog.records if record.name == "aiohttp.server"]
    assert "malformed request refused: 400" in line.getMessage()
    assert line.exc_info is None and len(line.getMessage()) < 400


@pytest.mark.parametrize("character", ["a", '"', "%22"])
def test_long_paths_and_headers_are_cut_in_the_log(
    character: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    long = (character * 5000)[:5000].encode()

    async def use(port: int) -> None:
        head = HEAD.replace(b"/ ", b"/?" + long + b" ") + b"User-Agent: " + long + b"\r\nReferer: " + long + b"\r\n"
        reader, writer = await _open(port, head, b"Connection: close\r\n\r\n")
        assert b"200" in await asyncio.wait_for(reader.readline(), 5)
        writer.close()

    _run(use, monkeypatch)
    lines = [record.getMessage() for record in caplog.records if record.name == "aiohttp.access"]
    assert lines and all(len(line) <= 1000 for line in lines)
    assert character != "a" or " 200 " in lines[0]
