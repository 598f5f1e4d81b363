"""A `deepaas-run` on loopback, with Topgraft or with a plug-in that returns a constant."""

import contextlib
import dataclasses
import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.support.ports import free_port
from tests.support.processes import program, stop_with_children

WORKERS = 2
CONSTANT = "constant"
_PATIENCE = 120.0
_BOUNDARY = "benchmark-boundary"

_CONSTANT_PLUGIN = """
from marshmallow import fields, validate

ANSWER = {
    "status": "OK",
    "model": "constant",
    "labels": ["a", "b", "c", "d", "e"],
    "probabilities": [0.9, 0.04, 0.03, 0.02, 0.01],
}


def get_metadata():
    return {"name": "constant", "author": "-", "license": "-"}


def get_train_args():
    return {}


def get_predict_args():
    return {"image": fields.Field(required=True, metadata={"type": "file", "location": "form"})}


def warm():
    pass


def predict(image):
    return ANSWER


def train():
    return {}
"""


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        seconds_to_ready: seconds from its start to its first response, with the model loaded.
    """

    module: str
    port: int
    process: psutil.Process
    seconds_to_ready: float

    def connection(self) -> "contextlib.closing[http.client.HTTPConnection]":
        """A connection for several requests, as a context manager."""
        return contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60))

    def request(self, method: str, path: str) -> Any:
        """Send a request without a body and return the JSON response; `path` is relative to the module."""
        return _request(self.port, method, f"/v2/models/{self.module}{path}")

    def train(self, options: str) -> tuple[float, dict[str, Any]]:
        """Train with options as a query string; return the seconds until it is done, and the result."""
        started = time.perf_counter()
        uuid = self.request("POST", f"/train/?{options}")["uuid"]
        while (training := self.request("GET", f"/train/{uuid}"))["status"] == "running":
            time.sleep(0.1)
        seconds = time.perf_counter() - started
        if training["status"] != "done":
            raise RuntimeError(f"the training failed: {training}")
        return seconds, training["result"]["output"]


@dataclasses.dataclass(frozen=True)
class Upload:
    """Encoded predict request with a photo."""

    path: str
    body: bytes
    content_type: str = f"multipart/form-data; boundary={_BOUNDARY}"


def photo_upload(module: str, photo: bytes, model: str = "") -> Upload:
    """Build the multipart form that a browser sends; `model` selects one of several models."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    path = f"/v2/models/{module}/predict/" + (f"?model={model}" if model else "")
    return Upload(path, head.encode() + photo + f"\r\n--{_BOUNDARY}--\r\n".encode())


def send(connection: http.client.HTTPConnection, upload: Upload, keep_alive: bool) -> None:
    """Send the request and wait for the response.

    Raises:
        RuntimeError: the response is an error.
    """
    headers = {"Content-Type": upload.content_type, "Connection": "keep-alive" if keep_alive else "close"}
    connection.request("POST", upload.path, upload.body, headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"expected status 200, received {response.status}: {content[:500]!r}")


@contextlib.contextmanager
def running_server(module: str, home: Path, supervised: bool = False, **variables: str) -> Iterator[Server]:
    """Start `deepaas-run` with two workers, wait until it answers, stop it with all its children.

    Args:
        module: `topgraft` or `constant`.
        home: working directory, with server.log; for `topgraft`, the workspace.
        supervised: whether to start it by `topgraft serve`; the server process is then that of the supervisor.
        variables: environment variables of the server.
    """
    environment = os.environ | {"DEEPAAS_V2_MODEL": module, "TOPGRAFT_HOME": str(home)} | variables
    if module == CONSTANT:
        environment["PYTHONPATH"] = str(_install_constant_plugin(home))
    port = free_port()
    command = [program("deepaas-run"), "--listen-port", str(port), "--config-file", os.devnull]
    if supervised:
        command = [program("topgraft"), "serve", "--port", str(port)]
    started = time.perf_counter()
    with open(home / "server.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--workers", str(WORKERS)], env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_it_answers(process, port, module, home / "server.log")
        yield Server(module, port, psutil.Process(process.pid), time.perf_counter() - started)
    finally:
        stop_with_children(process)


def _install_constant_plugin(home: Path) -> Path:
    """Install a module and the entry point that DEEPaaS loads, as pip would."""
    packages = home / "packages"
    metadata = packages / "constant_plugin-1.0.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (packages / "constant_plugin.py").write_text(_CONSTANT_PLUGIN, encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: constant-plugin\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[deepaas.v2.model]\n{CONSTANT} = constant_plugin\n", encoding="utf-8")
    return packages


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", port: int, module: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"deepaas-run ended:\n{log.read_text()}")
        with contextlib.suppress(OSError):
            _request(port, "GET", f"/v2/models/{module}/")
            return
        time.sleep(0.02)
    raise TimeoutError(f"deepaas-run did not answer within {_PATIENCE:.0f} s:\n{log.read_text()}")


def _request(port: int, method: str, path: str) -> Any:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        content = response.read()
    if response.status != 200:
        raise RuntimeError(f"{method} {path}: expected status 200, received {response.status}: {content[:500]!r}")
    return json.loads(content)
