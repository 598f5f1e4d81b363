"""The command `topgraft page`."""

import asyncio
import signal
import socket
import subprocess
from pathlib import Path

from aiohttp import ClientSession

from model.page import service
from tests.support.command import COMMAND, environment_of_tests, heed_interrupts
from tests.support.ports import free_port


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    port, api = free_port(), free_port()
    process = _page("--port", port, "--api", f"http://127.0.0.1:{api}", cwd=tmp_path)
    try:
        assert process.stderr is not None
        said = [process.stderr.readline(), process.stderr.readline()]
        assert any("No DEEPaaS service answers" in line and service.START in line for line in said)
        assert any(f"http://127.0.0.1:{port}/" in line for line in said)
        assert asyncio.run(_status(f"http://127.0.0.1:{port}/")) == 200
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_a_port_in_use_is_a_usage_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = _page("--port", port, "--api", f"http://127.0.0.1:{free_port()}", cwd=tmp_path)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"port {port}" in said and "--port 8081" in said


async def _status(url: str) -> int:
    async with ClientSession() as session, session.get(url) as response:
        return response.status


def _page(*arguments: object, cwd: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "page", *map(str, arguments)],
        cwd=cwd,
        env=environment_of_tests(cwd),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
