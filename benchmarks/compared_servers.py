"""Servers of one network, each started as its documentation says: Topgraft, a bare process, LitServe and BentoML."""

import contextlib
import dataclasses
import http.client
import importlib.metadata
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from benchmarks.server import CONSTANT, WORKERS, Upload, photo_upload, running_server, send
from model.resources import available_processors
from tests.support.ports import free_port
from tests.support.processes import program, stop_with_children, tree_megabytes, tree_processor_seconds
from tests.support.separate_environments import separate_environment

MODEL = "signs"
"""Name of the model that all servers serve."""

_LITSERVE = ("litserve==0.2.19", "python-multipart==0.0.34")
_BENTOML = ("bentoml==1.4.40",)
# Packages that decode and predict: of the versions of this environment.
_SHARED = ("numpy", "onnxruntime", "pillow")
_ROOT = Path(__file__).resolve().parents[1]
_PATIENCE = 60.0


class Running:
    """The processes of one server under test.

    Args:
        processes: with their children; each listens on one of the `ports`.
        path: of a prediction.
    """

    def __init__(self, processes: Sequence[psutil.Process], ports: Sequence[int], path: str) -> None:
        self._processes = processes
        self._ports = itertools.cycle(ports)
        self._path = path

    def connection(self) -> "contextlib.closing[http.client.HTTPConnection]":
        """A connection for several requests, to the next of its processes."""
        return contextlib.closing(http.client.HTTPConnection("127.0.0.1", next(self._ports), timeout=60))

    def upload(self, photo: bytes) -> Upload:
        """A prediction of a photo."""
        return dataclasses.replace(photo_upload("", photo), path=self._path)

    def processor_seconds(self) -> float:
        """Processor time of all processes so far."""
        return sum(map(tree_processor_seconds, self._processes))

    def megabytes(self) -> tuple[float, float]:
        """PSS and RSS of all processes."""
        pss, rss = zip(*map(tree_megabytes, self._processes), strict=True)
        return sum(pss), sum(rss)


@contextlib.contextmanager
def running_deepaas(module: str, home: Path) -> Iterator[Running]:
    """Topgraft, or the constant answer, in DEEPaaS with two workers."""
    with running_server(module, home) as server:
        yield Running([server.process], [server.port], photo_upload(module, b"").path)


@contextlib.contextmanager
def running_bare(model: Path, processes: int, home: Path) -> Iterator[Running]:
    """As many aiohttp processes, which share the processors and the clients evenly."""
    threads = max(1, available_processors() // processes)
    ports = [free_port() for _ in range(processes)]
    command = [sys.executable, "-m", "benchmarks.other_servers.bare"]
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(_started([*command, str(port)], model, threads, home)) for port in ports]
        yield _ready(Running(started, ports, "/predict"))


@contextlib.contextmanager
def running_litserve(model: Path, home: Path) -> Iterator[Running]:
    """LitServe with two workers."""
    python, port = _environment("litserve", _LITSERVE) / "python", free_port()
    command = [str(python), "-m", "benchmarks.other_servers.lit", str(port), str(WORKERS)]
    with _started(command, model, available_processors(), home) as process:
        yield _ready(Running([process], [port], "/predict"))


@contextlib.contextmanager
def running_bentoml(model: Path, home: Path) -> Iterator[Running]:
    """BentoML with two workers."""
    bentoml, port = _environment("bentoml", _BENTOML) / "bentoml", free_port()
    command = [str(bentoml), "serve", "benchmarks.other_servers.bento:Classifier", "--working-dir", str(_ROOT)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    variables = {"BENCHMARK_WORKERS": str(WORKERS), "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    with _started(command, model, available_processors(), home, variables) as process:
        yield _ready(Running([process], [port], "/predict"))


def constant_home(directory: Path) -> Path:
    """A folder for the server of the constant answer."""
    home = directory / CONSTANT
    home.mkdir(exist_ok=True)
    return home


def train(home: Path, precision: str) -> Path:
    """Train a model unless it is there, and return its folder."""
    model = home / "models" / MODEL
    if not model.exists():
        command = [program("topgraft"), "train", "--dataset", "signs", "--name", MODEL, "--workspace", str(home)]
        subprocess.run([*command, "--precision", precision, "--json"], check=True, stdout=subprocess.DEVNULL)
    return model


def _environment(name: str, packages: Sequence[str]) -> Path:
    shared = [f"{package}=={importlib.metadata.version(package)}" for package in _SHARED]
    return separate_environment(name, [*packages, *shared])


@contextlib.contextmanager
def _started(
    command: Sequence[str], model: Path, threads: int, home: Path, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[psutil.Process]:
    home.mkdir(exist_ok=True)
    environment = os.environ | {"BENCHMARK_MODEL": str(model), "BENCHMARK_THREADS": str(threads)} | dict(variables)
    environment["PYTHONPATH"] = str(_ROOT)
    with open(home / "server.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield psutil.Process(process.pid)
    finally:
        stop_with_children(process)


def _ready(server: Running) -> Running:
    """Wait until each process of the server answers; a photo that cannot be read has an answer too."""
    for _ in range(WORKERS):
        _wait_for_answer(server)
    return server


def _wait_for_answer(server: Running) -> Any:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with server.connection() as connection:
                return send(connection, server.upload(b""), keep_alive=False)
        except RuntimeError:
            return None
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
