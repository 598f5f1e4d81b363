"""`topgraft serve`: the service restarts within seconds after any failure, and leaves no processes behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from model.cli import main, serve
from model.errors import ConfigError
from model.supervisor import Address, keep_running
from tests.support.command import ROOT, Run
from tests.support.deepaas_server import Server, environment, make_workspace
from tests.support.photos import photo
from tests.support.ports import free_port
from tests.support.processes import program
from tests.support.small_model import write_small_model
from tests.support.waiting import wait_until

SECONDS = 20.0
# A server that is there at once, and a supervisor without patience.
OTHER_SERVER = """
import sys
from model.supervisor import Address, Patience, keep_running
port = int(sys.argv[1])
command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
limits = {"start": 5, "silence": 1, "answer": 0.5, "between_health_checks": 0.2, "between_exit_checks": 0.1, "stop": 2}
patience = Patience(**limits, pauses=(0.1,))
keep_running(command, {}, Address("127.0.0.1", port, "/"), patience)
"""


def _children(process: psutil.Process) -> list[psutil.Process]:
    return sorted(process.children(recursive=True), key=lambda child: child.create_time())


def _is_served(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=1).ok
    return False


def _is_alive(process: psutil.Process) -> bool:
    """Whether a process is running; orphans stay zombies if no process reaps them."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.contextmanager
def _supervisor(command: list[str], url: str, home: Path) -> Iterator[psutil.Process]:
    process = subprocess.Popen(command, cwd=home, env=environment(home, PYTHONPATH=str(ROOT)))
    try:
        wait_until(lambda: _is_served(url), seconds=60)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[tuple[psutil.Process, str]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    with _supervisor([sys.executable, "-c", OTHER_SERVER, str(port)], url, tmp_path) as process:
        time.sleep(0.5)  # it must have seen the server answer, too
        yield process, url


def test_a_server_that_exits_or_hangs_is_restarted(other: tuple[psutil.Process, str]) -> None:
    supervisor, url = other
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
        [server] = supervisor.children()
        server.send_signal(number)
        wait_until(lambda server=server: server not in supervisor.children() and _is_served(url), seconds=SECONDS)
        assert not _is_alive(server)


def test_the_server_stops_with_its_supervisor(other: tuple[psutil.Process, str]) -> None:
    supervisor, url = other
    [server] = supervisor.children()
    supervisor.kill()
    wait_until(lambda: not _is_alive(server), seconds=SECONDS)
    assert not _is_served(url)


def test_a_server_that_cannot_start_is_not_retried() -> None:
    with pytest.raises(ConfigError, match="status 3"):
        keep_running([sys.executable, "-c", "raise SystemExit(3)"], os.environ, Address("127.0.0.1", free_port(), "/"))


def test_a_port_in_use_is_an_error(run: Run, workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert "--port" in result.stderr


@pytest.mark.slow
def test_the_service_restarts_after_its_main_process_is_killed(tmp_path: Path) -> None:
    home = make_workspace(tmp_path / "home")
    write_small_model(home / "models" / "small")
    port = free_port()
    server = Server(f"http://127.0.0.1:{port}", home, psutil.Process())
    serve = [program("topgraft"), "serve", "--port", str(port)]
    with _supervisor(serve, f"{server.url}/", home) as supervisor:
        [main] = supervisor.children()
        assert server.predict(photo()).status_code == 200
        server.start_training(dataset="photos", name="batch", auto_resume=True)
        wait_until(lambda: [one["state"] for one in server.metadata()["trainings"]] == ["running"], seconds=SECONDS)
        before = _children(supervisor)
        lost: list[requests.RequestException] = []
        hanging = threading.Thread(target=_expect_no_answer, args=(server, lost))
        hanging.start()
        time.sleep(1)

        main.kill()
        hanging.join(5)
        assert not hanging.is_alive() and len(lost) == 1
        wait_until(lambda: _is_served(f"{server.url}/"), seconds=SECONDS)
        assert server.predict(photo()).status_code == 200
        wait_until(lambda: not any(map(_is_alive, before)), seconds=5)
        resumed = wait_until(lambda: [one for one in server.metadata()["trainings"] if one["state"] == "running"], 30)
        assert [(one["name"], one["automatic_starts"]) for one in resumed] == [("batch", 1)]

        left = _children(supervisor)
        os.kill(supervisor.pid, signal.SIGTERM)
        assert supervisor.wait(SECONDS) in (0, None)
        wait_until(lambda: not any(map(_is_alive, left)), seconds=5)


def _expect_no_answer(server: Server, lost: list[requests.RequestException]) -> None:
    """A request whose form never ends, so that it waits for the main process."""
    form = {"Content-Type": "multipart/form-data; boundary=xx"}
    endless = iter(lambda: time.sleep(0.05) or b"x", None)
    try:
        requests.post(f"{server.url}/predict/", data=endless, headers=form, timeout=SECONDS)
    except requests.RequestException as error:
        lost.append(error)


def test_the_service_listens_on_this_machine_only_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(serve, "keep_running", lambda command, environment, address: commands.append(command))
    assert main(["serve", "--workspace", str(tmp_path)]) == 0
    [command] = commands
    assert command[command.index("--listen-ip") + 1] == "127.0.0.1"
