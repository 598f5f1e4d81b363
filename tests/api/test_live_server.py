"""The plug-in in a real server: train, predict with the new model, refuse, stop, resume."""

import io
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from PIL import Image

from model.runs import unfinished_trainings
from model.workspace import Workspace
from tests.support.deepaas_server import Server, environment, make_workspace, running_server
from tests.support.photos import photo
from tests.support.processes import processes_below, program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

QUICK = {"dataset": "photos", "epochs": 20}
# Longer than any test waits.
ENDLESS = {"dataset": "photos", "fine_tune": "top", "fine_tune_epochs": 1000, "patience": 10_000}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(make_workspace(tmp_path_factory.mktemp("home"))) as running:
        yield running


@pytest.fixture(scope="module")
def trained(server: Server) -> dict[str, Any]:
    """The training of the model `first`, when it is over."""
    return server.wait_for_training(server.start_training(name="first", **QUICK))


@pytest.fixture(scope="module")
def real_photo(server: Server) -> bytes:
    return next(path for path in sorted((server.home / "data" / "photos" / "images").rglob("*.jp*g"))).read_bytes()


def test_prediction_without_a_model_is_an_error(server: Server) -> None:
    response = server.predict(photo())
    assert response.status_code == 503
    assert "train" in response.json()["message"]
    assert server.metadata()["models"] == []


def test_a_running_training_shows_its_progress(server: Server) -> None:
    uuid = server.start_training(name="watched", **QUICK)
    running = wait_until(lambda: server.metadata()["trainings"], seconds=120)
    assert running[0]["name"] == "watched"
    assert running[0]["phase"]
    assert running[0]["state"] == "running"
    assert {"epoch", "epochs", "eta_seconds", "per_second", "unit"} <= set(running[0])
    over = server.wait_for_training(uuid)
    assert over["status"] == "done", over
    assert server.metadata()["trainings"] == []


def test_predict_with_the_new_model_without_a_restart(
    server: Server, trained: dict[str, Any], real_photo: bytes
) -> None:
    assert trained["status"] == "done", trained
    assert trained["result"]["output"]["model"] == "first"
    report = requests.get(server.root + trained["result"]["output"]["report"], timeout=30)
    assert report.headers["Content-Type"].startswith("text/html") and "first" in report.text
    assert f"report of first: {report.url}" in (server.home / "server.log").read_text()
    metadata = server.metadata()
    assert metadata["latest"] == "first"
    assert "first" in [listed["name"] for listed in metadata["models"]]
    response = server.predict(real_photo)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["status"], answer["model"]) == ("OK", "first")
    assert len(answer["labels"]) == len(answer["probabilities"]) == 5
    assert answer["predictions"][0]["image"] == "photo.jpg"


@pytest.mark.usefixtures("trained")
def test_the_same_photo_gets_the_same_bytes(server: Server, real_photo: bytes) -> None:
    for accept in ("application/json", "text/csv", "image/png"):
        answers = {server.predict(real_photo, accept).content for _ in range(4)}
        assert len(answers) == 1, accept


@pytest.mark.usefixtures("trained")
def test_predictions_in_other_formats(server: Server, real_photo: bytes) -> None:
    figure = server.predict(real_photo, "image/png")
    assert figure.headers["content-type"] == "image/png"
    # Without it, Swagger UI shows the figure in place.
    assert "content-disposition" not in figure.headers
    assert Image.open(io.BytesIO(figure.content)).format == "PNG"
    table = server.predict(real_photo, "text/csv")
    assert table.text.startswith("image,label,probability")
    assert server.predict(real_photo, "*/*").json()["status"] == "OK"


@pytest.mark.usefixtures("trained")
def test_neither_server_nor_workers_load_tensorflow(server: Server, real_photo: bytes) -> None:
    for _ in range(4):
        server.predict(real_photo)
    for process in (server.process, *server.process.children(recursive=True)):
        assert not [mapped.path for mapped in process.memory_maps() if "tensorflow" in mapped.path]


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("content", "options", "status"),
    [
        (b"not an image", {}, 415),
        (photo()[:200], {}, 415),
        (b"", {}, 400),
        (None, {}, 400),
        (photo(), {"url": "https://example.org/a.jpg"}, 400),
        (None, {"url": "http://169.254.169.254/latest/meta-data"}, 400),
        (None, {"url": "file:///etc/passwd"}, 400),
        (photo(), {"model": "nosuch"}, 404),
        (photo(), {"model": "../../etc"}, 404),
        (photo(), {"top_k": 0}, 422),
    ],
)
def test_bad_input_is_refused_and_the_next_request_works(
    server: Server, real_photo: bytes, content: bytes | None, options: dict[str, Any], status: int
) -> None:
    response = server.predict(content, **options)
    assert response.status_code == status, response.text
    if status != 422:
        assert response.json()["message"]
    # Both workers.
    for _ in range(2):
        assert server.predict(real_photo).status_code == 200


@pytest.mark.usefixtures("trained")
def test_text_in_the_file_field_is_refused(server: Server, real_photo: bytes) -> None:
    import requests

    response = requests.post(f"{server.url}/predict/", data={"image": "/etc/passwd"}, timeout=30)
    assert response.status_code == 400
    assert "uploaded file" in response.json()["message"]
    assert server.predict(real_photo).status_code == 200


def test_a_failed_training_reports_the_cause(server: Server) -> None:
    training = server.wait_for_training(server.start_training(dataset="nosuch"))
    assert training["status"] == "error"
    assert "nosuch" in training["message"]


def test_delete_stops_the_training_and_its_child_process(
    server: Server, trained: dict[str, Any], real_photo: bytes
) -> None:
    import requests

    assert trained["status"] == "done", trained
    before = {child.pid for child in server.process.children(recursive=True)}
    uuid = server.start_training(name="endless", **ENDLESS)
    wait_until(lambda: [one for one in server.metadata()["trainings"] if one["phase"] == "fine_tune"], seconds=300)
    started = [child for child in server.process.children(recursive=True) if child.pid not in before]
    assert started

    second = server.training(server.start_training(name="second", **QUICK))
    second = server.wait_for_training(second["uuid"])
    assert second["status"] == "error"
    assert "endless" in second["message"]
    assert server.predict(real_photo).status_code == 200

    answer = requests.delete(f"{server.url}/train/{uuid}", timeout=30)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    wait_until(lambda: not any(_is_alive(child) for child in started), seconds=30)
    [deleted] = [one for one in server.metadata()["trainings"] if one["name"] == "endless"]
    assert deleted["state"] == "cancelled"
    assert "topgraft resume endless" in deleted["message"]
    assert "endless" not in [listed["name"] for listed in server.metadata()["models"]]
    # The worker that takes the place of the killed one is cold, but works.
    for _ in range(4):
        assert server.predict(real_photo).status_code == 200
    again = server.wait_for_training(server.start_training(name="again", **QUICK))
    assert again["status"] == "done", again.get("message", again)


def test_a_training_killed_for_lack_of_memory_names_the_options_to_lower(
    server: Server, trained: dict[str, Any], real_photo: bytes
) -> None:
    """The out-of-memory killer of the kernel sends this signal, and to the largest process."""
    assert trained["status"] == "done", trained
    uuid = server.start_training(name="hungry", **ENDLESS)
    wait_until(lambda: _phase(server, "hungry") not in (None, "start"), seconds=120)
    [child] = processes_below(server.process, "model.runs.process")
    child.kill()
    over = server.wait_for_training(uuid)
    assert over["status"] == "error"
    assert "memory" in over["message"] and "batch_size" in over["message"]
    [killed] = [one for one in server.metadata()["trainings"] if one["name"] == "hungry"]
    assert killed["state"] == "killed" and "topgraft resume hungry" in killed["message"]
    for _ in range(4):
        assert server.predict(real_photo).status_code == 200


def test_a_restarted_service_resumes_interrupted_trainings(tmp_path: Path) -> None:
    home = make_workspace(tmp_path / "home")
    with running_server(home) as before:
        before.start_training(name="batch", auto_resume=True, **ENDLESS)
        wait_until(lambda: _phase(before, "batch") == "fine_tune", seconds=300)
        processes = [before.process, *before.process.children(recursive=True)]
        before.process.terminate()
        wait_until(lambda: not any(_is_alive(process) for process in processes), seconds=60)
    [left] = unfinished_trainings(Workspace(home))
    assert (left.name, left.state) == ("batch", "interrupted")

    with running_server(home) as after:
        wait_until(lambda: _phase(after, "batch") == "fine_tune", seconds=300)
        [again] = after.metadata()["trainings"]
        assert (again["name"], again["state"], again["automatic_starts"]) == ("batch", "running", 1)
        [training] = processes_below(after.process, "model.runs.process")
        # No request waits for it: deleting another training, which kills a worker, leaves it alone.
        for worker in after.workers():
            worker.kill()
        time.sleep(4)
        assert _phase(after, "batch") == "fine_tune"
        cancelled = subprocess.run(
            [program("topgraft"), "models", "cancel", "batch"], env=environment(home), timeout=30
        )
        assert cancelled.returncode == 0
        assert [one["state"] for one in after.metadata()["trainings"]] == ["cancelled"]
        assert not _is_alive(training)


def _phase(server: Server, name: str) -> str | None:
    return next((one["phase"] for one in server.metadata()["trainings"] if one["name"] == name), None)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_no_temporary_file_is_left(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, server: Server, trained: dict[str, Any], real_photo: bytes
) -> None:
    home = tmp_path_factory.mktemp("other")
    (home / "data").mkdir()
    shutil.copytree(server.home / "models", home / "models")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with running_server(home, TMPDIR=str(scratch)) as other:
        before = set(scratch.iterdir())
        assert other.predict(real_photo).status_code == 200
        assert other.predict(real_photo[:500]).status_code == 415
        assert other.predict(real_photo, model="nosuch").status_code == 404
        assert set(scratch.iterdir()) == before


def test_the_plug_in_works_with_the_command_line_of_deepaas(
    tmp_path: Path, server: Server, trained: dict[str, Any], real_photo: bytes
) -> None:
    home = make_workspace(tmp_path / "home")

    def deepaas_cli(output: str, *arguments: str) -> Path:
        path = tmp_path / output
        subprocess.run(
            [program("deepaas-cli"), "--deepaas_method_output", str(path), *arguments],
            env=environment(home),
            check=True,
            timeout=240,
            capture_output=True,
        )
        return path

    result = json.loads(deepaas_cli("train.json", "train", "--dataset", "photos", "--name", "by-cli").read_text())
    assert result["result"]["output"]["model"] == "by-cli"
    image = tmp_path / "photo.jpg"
    image.write_bytes(real_photo)
    answer = json.loads(deepaas_cli("answer.json", "predict", "--image", str(image), "--top_k", "2").read_text())
    assert (answer["model"], len(answer["labels"])) == ("by-cli", 2)
    assert answer["predictions"][0]["image"] == "photo.jpg"
    figure = deepaas_cli("answer.png", "predict", "--image", str(image), "--accept", "image/png")
    assert Image.open(figure).format == "PNG"
    assert deepaas_cli("answer.csv", "predict", "--image", str(image), "--accept", "text/csv").stat().st_size
    assert image.read_bytes() == real_photo
