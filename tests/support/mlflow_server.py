"""A real `mlflow server` from a virtual environment of its own, and a proxy that spoils what it says."""

import contextlib
import dataclasses
import http.client
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import requests

from tests.support.http_server import answer, http_server
from tests.support.ports import free_port
from tests.support.separate_environments import separate_environment
from tests.support.waiting import wait_until

# What people have who load a registered model: MLflow and what the model's requirements.txt asks for.
PACKAGES = ("mlflow>=3.1,<4", "onnx>=1.17,<2", "onnxruntime>=1.20,<2")
SECONDS_TO_START = 120

Refuse = Callable[[str, str], int | None]


@dataclasses.dataclass(frozen=True)
class MlflowServer:
    """A running server: its address, and the Python of its environment."""

    address: str
    python: Path

    def get(self, endpoint: str, /, **parameters: Any) -> dict[str, Any]:
        """The JSON answer of the REST API."""
        answer = requests.get(f"{self.address}/api/2.0/mlflow/{endpoint}", params=parameters, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """The runs of an experiment."""
        found = self.get("experiments/get-by-name", experiment_name=experiment)["experiment"]["experiment_id"]
        answer = requests.post(
            f"{self.address}/api/2.0/mlflow/runs/search", json={"experiment_ids": [found]}, timeout=30
        )
        return answer.json().get("runs", [])

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """Step and value of every point of a metric."""
        points = self.get("metrics/get-history", run_id=run_id, metric_key=metric)["metrics"]
        return [(point["step"], point["value"]) for point in points]

    def artifacts(self, run_id: str, folder: str = "") -> set[str]:
        """The files and folders of one folder of a run."""
        listed = self.get("artifacts/list", run_id=run_id, path=folder)
        return {file["path"] for file in listed.get("files", [])}

    def execute(self, code: str, *arguments: object) -> str:
        """Run Python in the environment of the server, as a user of its models would; return its output."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        ran = subprocess.run(
            [self.python, "-c", code, *map(str, arguments)],
            env=environment | {"MLFLOW_TRACKING_URI": self.address, "MLFLOW_DISABLE_TELEMETRY": "true"},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@contextlib.contextmanager
def running_mlflow_server(directory: Path) -> Iterator[MlflowServer]:
    """Start a server that keeps everything in `directory`; end it and all its processes."""
    python = separate_environment("mlflow", PACKAGES) / "python"
    address = f"http://127.0.0.1:{free_port()}"
    command = [
        *(python, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{directory / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", directory / "artifacts", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", address.rpartition(":")[2]),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW"))}
    environment |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment |= {"PATH": f"{python.parent}:{environment['PATH']}"}
    log = directory / "server.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, cwd=directory, start_new_session=True
        )
    try:
        _wait_for(address, process, log)
        yield MlflowServer(address, python)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def spoiling_proxy(server: MlflowServer, refuse: Refuse) -> Iterator[str]:
    """A server that passes requests on to the real one, but those for which `refuse(method, path)` names a status.

    A status of 0 closes the connection without an answer.
    """

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = refuse(self.command, self.path)
            if status == 0:
                self.close_connection = True
            elif status is not None:
                answer(self, status, b"no")
            else:
                self.forward(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

        def forward(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection.request(self.command, self.path, body, headers)
            answered = connection.getresponse()
            answer(self, answered.status, answered.read())
            connection.close()

        def log_message(self, *_: object) -> None:
            pass

    with http_server(Proxy) as address:
        yield address


def _wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    def is_healthy() -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{address}/health", timeout=5).status_code == 200
        return False

    try:
        wait_until(is_healthy, SECONDS_TO_START, process)
    except AssertionError as error:
        raise AssertionError(f"mlflow server did not start: {log.read_text()[-2000:]}") from error
