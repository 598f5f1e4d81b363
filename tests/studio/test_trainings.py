"""Trainings of the studio: progress, curves, log, cancelling, resuming, the queue, and a studio that is killed."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.ports import free_port
from tests.support.shapes import write_shapes
from tests.support.studio_server import Studio, running_studio
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

SHORT = {"preset": "quick", "image_size": 64, "epochs": 5}
# Minutes of small steps of a head: it trains until it is stopped, and needs no TensorFlow.
ENDLESS = {
    **{"image_size": 64, "folds": 0, "l2": 0.01, "epochs": 10_000, "patience": 10_000},
    **{"mixup": 0.2, "batch_size": 1, "checkpoint_minutes": 0},
}
SECONDS = 60


class Client:
    """A user of a studio."""

    def __init__(self, studio: Studio) -> None:
        self.url, self.session = studio.url[:-1], studio.session()

    def get(self, path: str) -> Any:
        return self.session.get(self.url + path, timeout=10).json()

    def post(self, path: str, **body: Any) -> requests.Response:
        return self.session.post(self.url + path, json=body, timeout=15)

    def train(self, **options: Any) -> str:
        answer = self.post("/api/trainings", dataset="shapes", **options)
        assert answer.status_code == 201, answer.text
        return answer.json()["name"]

    def training(self, name: str) -> dict[str, Any] | None:
        return next((row for row in self.get("/api/trainings") if row["name"] == name), None)

    def state(self, name: str) -> str:
        row = self.training(name)
        return row["state"] if row else ""

    def is_learning(self, name: str) -> bool:
        row = self.training(name)
        return row is not None and row["phase"] == "head" and row["epoch"] > 0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_shapes(home / "data" / "shapes", 12)
    return home


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[Client]:
    with running_studio(home) as studio:
        yield Client(studio)


def test_a_training_becomes_a_model_with_curves(client: Client) -> None:
    name = client.train(name="short", **SHORT)
    wait_until(lambda: client.training(name) is None, SECONDS)
    state = client.get("/api/state")
    assert [(model["name"], model["latest"]) for model in state["models"]] == [("short", True)]
    curves = client.get("/api/trainings/short/curves")
    assert [row["epoch"] for row in curves] == list(range(1, len(curves) + 1)) and len(curves) > 1
    assert all(0 <= row["val_accuracy"] <= 1 for row in curves)


def test_a_second_training_is_queued_and_both_can_be_cancelled_and_resumed(client: Client) -> None:
    first, second = client.train(name="first", **ENDLESS), client.train(name="second", **ENDLESS)
    assert client.state(second) == "queued"
    wait_until(lambda: client.is_learning(first), SECONDS)
    assert client.get(f"/api/trainings/{first}/curves")
    assert "features" in client.get(f"/api/trainings/{first}/log")["log"]
    for name in (second, first):
        assert client.post(f"/api/trainings/{name}/cancel").ok
        assert client.state(name) == "cancelled"
    assert client.post(f"/api/trainings/{first}/resume").ok
    wait_until(lambda: client.state(first) == "running", SECONDS)
    client.post(f"/api/trainings/{first}/cancel")
    for name in (first, second):
        assert client.post(f"/api/trainings/{name}/remove").ok
    assert client.get("/api/trainings") == []


@pytest.mark.parametrize(
    ("status", "options"),
    [
        (400, {"epochs": 0}),
        (400, {"no_such_option": 1}),
        (400, {"name": "../x"}),
        (400, {"resume": "first"}),
        (400, {"import_from": "/etc"}),
        (400, {"dataset": "/etc"}),
        (400, {"dataset": "../models"}),
        (400, {"images_directory": "../../.."}),
    ],
)
def test_options_that_cannot_be_used_are_refused_with_the_reason(client: Client, status: int, options: dict) -> None:
    answer = client.post("/api/trainings", **{"dataset": "shapes"} | options)
    assert (answer.status_code, client.get("/api/trainings")) == (status, [])
    assert next(iter(options)) in answer.json()["message"]


@pytest.mark.parametrize("action", ["cancel", "resume", "remove"])
@pytest.mark.parametrize("name", ["missing", "..%2f..%2fdata", ".running", "%3Cscript%3E"])
def test_only_trainings_can_be_named(client: Client, home: Path, action: str, name: str) -> None:
    assert client.post(f"/api/trainings/{name}/{action}").status_code == 400
    assert (home / "data" / "shapes").is_dir()


@pytest.mark.parametrize("path", ["log", "curves"])
def test_only_files_of_trainings_can_be_read(client: Client, path: str) -> None:
    assert client.session.get(f"{client.url}/api/trainings/..%2f..%2fdata/{path}", timeout=10).status_code == 400


def test_a_training_without_photos_says_why(client: Client, home: Path) -> None:
    (home / "data" / "empty").mkdir()
    name = client.post("/api/trainings", dataset="empty", name="empty").json()["name"]
    wait_until(lambda: client.state(name) == "failed", SECONDS / 4)
    failed = client.training(name)
    assert "empty" in failed["message"] and not failed["resumable"]
    assert client.post(f"/api/trainings/{name}/remove").ok
    assert client.get("/api/trainings") == []


def test_a_killed_studio_resumes_its_training_when_it_starts_again(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data" / "shapes", 12)
    port = free_port()
    with running_studio(tmp_path, port=port) as studio:
        before = Client(studio)
        name = before.train(**ENDLESS)
        wait_until(lambda: before.is_learning(name), SECONDS)
        epoch = before.training(name)["epoch"]
        studio.process.kill()
        studio.process.wait()
    with running_studio(tmp_path, port=port) as studio:
        # The browser that was open has the cookie still, and shows the training again.
        wait_until(lambda: before.is_learning(name) and before.training(name)["epoch"] > epoch, SECONDS)
        assert before.post(f"/api/trainings/{name}/cancel").ok


def test_a_training_of_the_command_line_is_shown_and_can_be_cancelled(client: Client, home: Path) -> None:
    import subprocess

    from tests.support.command import COMMAND, environment_of_tests

    options = [f"--{key.replace('_', '-')}={value}" for key, value in ENDLESS.items()]
    arguments = ["train", "--dataset", "shapes", "--name", "by-command", *options]
    running = subprocess.Popen([*COMMAND, *arguments], cwd=home, env=environment_of_tests(home))
    try:
        wait_until(lambda: client.is_learning("by-command"), SECONDS)
        assert client.post("/api/trainings/by-command/cancel").ok
        assert running.wait(20) == 130
    finally:
        running.kill()
    assert client.state("by-command") == "cancelled"
    client.post("/api/trainings/by-command/remove")


def test_events_are_sent_while_a_training_changes(client: Client) -> None:
    with client.session.get(f"{client.url}/api/events", stream=True, timeout=30) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        lines = stream.iter_lines(decode_unicode=True)
        client.train(name="seen", **SHORT)
        started = time.monotonic()
        for line in lines:
            if '"seen"' in line:
                break
            assert time.monotonic() - started < 20
    wait_until(lambda: client.training("seen") is None, SECONDS)
