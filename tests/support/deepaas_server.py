"""A real `deepaas-run` with two workers and Topgraft's plug-in, on a free port of this machine."""

import contextlib
import dataclasses
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import requests

from model.synthesis.composition import write_demo_dataset
from tests.support.ports import free_port
from tests.support.processes import processes_below, program, stop_with_children
from tests.support.waiting import answers, wait_until

REAL_DATASET = Path(__file__).resolve().parents[3] / "shared" / "datasets" / "phytoplankton-mini"


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: of the module, without a slash at the end.
        root: of the server, where Swagger UI is.
        home: the workspace.
        process: of the server itself.
    """

    root: str
    home: Path
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"{self.root}/v2/models/topgraft"

    def metadata(self) -> dict[str, Any]:
        return requests.get(f"{self.url}/", timeout=30).json()

    def predict(
        self, content: bytes | None = None, accept: str = "application/json", **options: Any
    ) -> requests.Response:
        files = None if content is None else {"image": ("photo.jpg", content)}
        return requests.post(
            f"{self.url}/predict/", params=options, files=files, headers={"accept": accept}, timeout=60
        )

    def workers(self) -> list[psutil.Process]:
        """The worker processes that run."""
        return processes_below(self.process, "spawn_main")

    def decoding_processes(self) -> list[psutil.Process]:
        """The children of workers that decode photos which may take long, or wait for such."""
        return processes_below(self.process, "model.dataset.decoding_child")

    def start_training(self, **options: Any) -> str:
        """The uuid of a training that was accepted."""
        response = requests.post(f"{self.url}/train/", params=options, timeout=30)
        assert response.status_code == 200, response.text
        return response.json()["uuid"]

    def training(self, uuid: str) -> dict[str, Any]:
        response = requests.get(f"{self.url}/train/{uuid}", timeout=30)
        assert response.status_code == 200, response.text
        return response.json()

    def wait_for_training(self, uuid: str) -> dict[str, Any]:
        return wait_until(lambda: self._when_over(uuid), seconds=240)

    def _when_over(self, uuid: str) -> dict[str, Any] | None:
        training = self.training(uuid)
        return None if training["status"] == "running" else training


def environment(home: Path, **variables: str) -> dict[str, str]:
    return os.environ | {
        "DEEPAAS_V2_MODEL": "topgraft",
        "TOPGRAFT_HOME": str(home),
        "TOPGRAFT_TENSORBOARD": "0",
        "TOPGRAFT_DATA_ROOTS": str(REAL_DATASET.parent),
        **variables,
    }


def make_workspace(home: Path) -> Path:
    """A workspace whose dataset `photos` is real where the datasets folder is beside the checkout, else drawn."""
    (home / "models").mkdir(parents=True)
    (home / "data").mkdir()
    if REAL_DATASET.is_dir():
        (home / "data" / "photos").symlink_to(REAL_DATASET)
    else:
        write_demo_dataset(home / "data" / "photos", images_per_class=12)
    return home


@contextlib.contextmanager
def running_server(home: Path, base_path: str = "", prefix: Sequence[str] = (), **variables: str) -> Iterator[Server]:
    """Start the server, wait until it answers, stop it with all its children.

    Args:
        prefix: a command that runs the server, such as `prlimit`.
    """
    port = free_port()
    log = home / "server.log"
    with open(log, "wb") as output:
        options = ["--listen-port", str(port), "--workers", "2", "--base-path", base_path]
        process = subprocess.Popen(
            [*prefix, program("deepaas-run"), *options, "--config-file", os.devnull],
            env=environment(home, **variables),
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}{base_path}", home, psutil.Process(process.pid))
    try:
        wait_until(lambda: _answers(server, process, log), seconds=90)
        yield server
    finally:
        stop_with_children(process)


def _answers(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return answers(f"{server.url}/")
