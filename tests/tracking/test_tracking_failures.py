"""Experiment tracking without a server, and with one that fails, hangs or is something else: a warning at most."""

import base64
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil
import pytest

from model.bundle import open_bundle
from model.errors import ConfigError
from model.tracking.experiment_tracking import (
    TrackingServer,
    add_tracking,
    check_server,
    tracking_server,
)
from tests.support.http_server import http_server
from tests.support.mlflow_server import answer
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.tracking.test_experiment_tracking import result_of

PASSWORD = "hunter2/@%"


class Answering(BaseHTTPRequestHandler):
    """Answers each request with one status and body, after a while; records its clients."""

    status, body, seconds = 200, b"{}", 0.0
    users: list[str]

    def do_GET(self) -> None:
        self.users.append(self.headers.get("Authorization", ""))
        time.sleep(self.seconds)
        answer(self, self.status, self.body)

    do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass


def answering(status: int = 200, body: bytes = b"{}", seconds: float = 0.0) -> type[Answering]:
    return type("Fixed", (Answering,), {"status": status, "body": body, "seconds": seconds, "users": []})


@pytest.fixture
def hanging() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def warning_of(directory: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Log the model to `address`; the warning that this ends with, the model and all else being as before."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("http://", "http://me:hunter2%2F%40%25@"))
    environment, children = dict(os.environ), psutil.Process().children(recursive=True)
    result = add_tracking(result_of(directory))
    open_bundle(directory).verify()
    assert dict(os.environ) == environment
    assert psutil.Process().children(recursive=True) == children
    assert result.mlflow is None and result.warnings[0] == "an earlier one"
    [warning] = result.warnings[1:]
    assert "hunter2" not in warning
    assert warning.endswith("The model is complete. To log it later: topgraft models track small")
    return warning


def test_without_an_address_nothing_is_logged(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = result_of(finished)
    assert add_tracking(result) is result
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert add_tracking(result) is result


def test_a_server_that_is_down_is_a_warning(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warning = warning_of(finished, f"http://127.0.0.1:{free_port()}", monkeypatch)
    assert "Connection refused" in warning and "MLFLOW_TRACKING_URI is its address" in warning


def test_a_server_that_never_answers_is_a_warning(
    finished: Path, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "timed out" in warning_of(finished, hanging, monkeypatch)


def test_the_time_limit_applies_to_any_wait_of_the_client(
    finished: Path, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "500")
    monkeypatch.setenv("TOPGRAFT_MLFLOW_SECONDS", "4")
    start = time.monotonic()
    assert "more than 4 s (TOPGRAFT_MLFLOW_SECONDS)" in warning_of(finished, hanging, monkeypatch)
    assert time.monotonic() - start < 8


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b"Who are you?", "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}', "MLFLOW_EXPERIMENT_NAME"),
        (500, b"oops", "500"),
        (200, b"<html>a shop</html>", "JSON"),
    ],
)
def test_a_refusal_of_the_server_is_a_warning_with_the_remedy(
    finished: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, expected: str
) -> None:
    handler = answering(status, body)
    with http_server(handler) as address:
        assert expected in warning_of(finished, address, monkeypatch)
    name, _, encoded = handler.users[0].partition(" ")
    assert (name, base64.b64decode(encoded).decode()) == ("Basic", f"me:{PASSWORD}")
    assert len(handler.users) == 1


def test_a_missing_client_library_is_a_warning(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert "topgraft[mlflow]" in warning_of(finished, "http://127.0.0.1:1", monkeypatch)


def test_a_full_disk_is_a_warning_with_the_file(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/run.json")

    monkeypatch.setattr("model.tracking.experiment_tracking.log_model", fail)
    warning = warning_of(finished, "http://127.0.0.1:1", monkeypatch)
    assert warning.startswith("No space left on device: '/tmp/run.json'. The model is complete.")


@pytest.mark.parametrize("address", ["htp://me:hunter2@example.org", "127.0.0.1:5000", "sqlite:///x.db", "http://"])
def test_an_unsupported_address_is_a_warning(finished: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(ConfigError, match="such as http://127") as raised:
        tracking_server()
    assert "hunter2" not in raised.value.message
    assert raised.value.message in add_tracking(result_of(finished)).warnings[1]


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_an_invalid_time_limit_falls_back_to_the_default(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("TOPGRAFT_MLFLOW_SECONDS", seconds)
    server = tracking_server()
    assert server is not None and server.seconds == 60.0


def test_empty_variables_count_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRACKING_USERNAME", "TRACKING_PASSWORD", "EXPERIMENT_NAME"):
        monkeypatch.setenv(f"MLFLOW_{name}", "")
    monkeypatch.setenv("TOPGRAFT_MLFLOW_SECONDS", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org/base/")
    assert tracking_server() == TrackingServer("https://mlflow.example.org/base", "", "", "topgraft", 60.0)


def test_the_check_distinguishes_a_server_from_other_addresses(hanging: str) -> None:
    unknown = b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}'
    for status, body, expected in ((404, unknown, ""), (200, b"{}", ""), (404, b"no", "404"), (401, b"no", "USERNAME")):
        with http_server(answering(status, body)) as address:
            said = check_server(TrackingServer(address))
            assert expected in said and bool(expected) == bool(said)
    assert "cannot be reached" in check_server(TrackingServer(f"http://127.0.0.1:{free_port()}"))
    start = time.monotonic()
    assert "cannot be reached" in check_server(TrackingServer(hanging))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_logging_process_ends_with_its_parent(
    finished: Path, hanging: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", hanging)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "500")
    code = "import sys; from pathlib import Path; from model.tracking.experiment_tracking import add_tracking\n"
    code += "from model.training_result import TrainingResult\n"
    code += "add_tracking(TrainingResult('small', Path(sys.argv[1]), {}, (), 1.0))"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(finished)], stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    wait_until(lambda: psutil.Process(parent.pid).children() != [], 30)
    [child] = psutil.Process(parent.pid).children()
    wait_until(lambda: child.net_connections() != [], 30)
    parent.send_signal(number)
    _, said = parent.communicate(timeout=30)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 30)
    open_bundle(finished).verify()
    if number == signal.SIGINT:
        assert "small: logging to MLflow was stopped. To log it later: topgraft models track small" in said
        assert list(temporary.iterdir()) == []


def heed_interrupts() -> None:
    """Restore the default handling of SIGINT, which shells disable for background commands."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
