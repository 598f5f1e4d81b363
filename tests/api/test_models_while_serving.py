"""Models are added, removed, replaced and damaged under load: valid predictions or clear errors, no restart."""

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, cycle
from pathlib import Path

import pytest
import requests

from model.bundle_files import MANIFEST, ONNX_MODEL
from model.promotion import promote, roll_back
from model.workspace import Workspace
from tests.support.deepaas_server import Server, running_server
from tests.support.photos import photo
from tests.support.small_model import write_small_model

pytestmark = pytest.mark.slow

CLIENTS = 6
SECONDS = 20
PHOTO = photo()


class Models:
    """A folder of models in which nothing stays as it is, but for `stable`, the oldest."""

    def __init__(self, home: Path) -> None:
        self.workspace = Workspace(home)
        self._versions = count()
        self.put("stable")

    def put(self, name: str) -> None:
        """Put a new version in its place at once, as a training and an import do."""
        new, old = self._new(name), self.workspace.models / f".old-{next(self._versions)}"
        if (self.workspace.models / name).exists():
            (self.workspace.models / name).rename(old)
        new.rename(self.workspace.models / name)
        shutil.rmtree(old, ignore_errors=True)

    def copy_over(self, name: str) -> None:
        """Write a new version over the old one, file by file, as `cp -r` does: for a while it is neither."""
        new = self._new(name)
        for file in (ONNX_MODEL, MANIFEST):
            shutil.copyfile(new / file, self.workspace.models / name / file)
            time.sleep(0.1)
        shutil.rmtree(new)

    def flip(self, name: str) -> None:
        """Change one bit of the network."""
        network = self.workspace.models / name / ONNX_MODEL
        content = bytearray(network.read_bytes())
        content[len(content) // 2] ^= 1
        network.write_bytes(content)

    def cut(self, name: str) -> None:
        """Truncate the network file to half its size."""
        network = self.workspace.models / name / ONNX_MODEL
        network.write_bytes(network.read_bytes()[: network.stat().st_size // 2])

    def spoil_manifest(self, name: str) -> None:
        (self.workspace.models / name / MANIFEST).write_text("{")

    def remove(self, name: str) -> None:
        shutil.rmtree(self.workspace.models / name)

    def _new(self, name: str) -> Path:
        version = next(self._versions)
        staged = self.workspace.models / f".new-{version}"
        created = "2026-01-01T00:00:00Z" if name == "stable" else f"2026-02-01T00:00:{version % 60:02}Z"
        classes = (f"{name} {version} 0", f"{name} {version} 1", f"{name} {version} 2")
        write_small_model(staged, classes, created, always=version % 3)
        return staged

    def never_rest(self, stop: threading.Event) -> int:
        """Go through all changes over and over; how many there were."""
        steps = cycle(
            (
                lambda: self.put("newest"),
                lambda: self.put("swapped"),
                lambda: self.flip("newest"),
                lambda: self.put("newest"),
                lambda: promote(self.workspace, "swapped"),
                lambda: self.cut("swapped"),
                lambda: self.copy_over("swapped"),
                lambda: self.spoil_manifest("newest"),
                lambda: self.put("swapped"),
                lambda: self.remove("swapped"),
                lambda: roll_back(self.workspace),
                lambda: self.remove("newest"),
            )
        )
        for done in count():
            if stop.is_set() and done % 12 == 0:
                return done
            next(steps)()
            time.sleep(0.08)
        raise AssertionError("unreachable")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    (home / "models").mkdir()
    Models(home)
    with running_server(home) as running:
        yield running


def test_every_request_gets_predictions_of_an_intact_model_or_a_clear_error(server: Server) -> None:
    models = Models(server.home)
    processes = {process.pid for process in server.process.children()}
    stop = threading.Event()
    with ThreadPoolExecutor(CLIENTS + 1) as threads:
        changing = threads.submit(models.never_rest, stop)
        clients = [threads.submit(_ask, server, stop, number) for number in range(CLIENTS)]
        time.sleep(SECONDS)
        stop.set()
        changes = changing.result()
        seen = sum((client.result() for client in clients), Counter[tuple[str, int]]())
    assert changes > 50 and seen.total() > 500, (changes, seen)
    # While `stable` is there, latest is never without an answer.
    assert {status for name, status in seen if name == "latest"} == {200}, seen
    assert {status for name, status in seen if name == "newest"} == {200, 404, 503}, seen
    assert {process.pid for process in server.process.children()} == processes
    log = (server.home / "server.log").read_text()
    assert "Traceback" not in log
    assert "skipping a damaged model" in log


def test_a_damaged_model_is_named_in_the_answer_and_in_the_metadata(server: Server) -> None:
    models = Models(server.home)
    models.put("newest")
    assert server.metadata()["latest"] == "newest" and server.metadata()["warnings"] == []
    models.cut("newest")
    for _ in range(4):
        answer = server.predict(PHOTO).json()
        assert answer["model"] == "stable" and "newest" in answer["warnings"][0]
    refused = server.predict(PHOTO, model="newest")
    assert refused.status_code == 503 and "newest" in refused.json()["message"]
    metadata = server.metadata()
    assert metadata["latest"] == "stable" and "newest" in metadata["warnings"][0]
    models.put("newest")
    assert "warnings" not in server.predict(PHOTO).json()


def _ask(server: Server, stop: threading.Event, number: int) -> "Counter[tuple[str, int]]":
    seen: Counter[tuple[str, int]] = Counter()
    names = cycle(("latest", "newest", "latest", "swapped"))
    with requests.Session() as session:
        for _ in range(number):
            next(names)
        while not stop.is_set():
            name = next(names)
            response = session.post(
                f"{server.url}/predict/", params={"model": name}, files={"image": ("a.jpg", PHOTO)}, timeout=10
            )
            seen[name, response.status_code] += 1
            _check(name, response)
    return seen


def _check(name: str, response: requests.Response) -> None:
    if response.status_code != 200:
        assert response.status_code in (404, 503) and response.json()["message"], response.text
        return
    answer = response.json()
    assert name in ("latest", answer["model"])
    labels = [label.split() for label in answer["labels"]]
    assert {(model, version) for model, version, _ in labels} == {(answer["model"], labels[0][1])}, response.text
    # The network of this version, and of no other, always answers this class.
    assert labels[0][2] == str(int(labels[0][1]) % 3), json.dumps(answer)
