"""Requests of the view *Share*: downloads, programs that run against the service, and publishing."""

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import requests

from model.studio.files import FORMATS
from tests.studio.conftest import ModelStudio
from tests.support.nextcloud_server import FOLDER, NAME, TOKEN
from tests.support.storage_servers import PASSWORD
from tests.support.studio_models import DATASET
from tests.support.waiting import answers, wait_until

pytestmark = pytest.mark.slow


def test_an_archive_is_prepared_once_and_downloaded(models: ModelStudio) -> None:
    path = f"api/models/{NAME}/download/archive"
    early = models.get(path)
    assert early.status_code == 409 and "Prepare" in early.json()["message"]
    task = models.finished(models.post(path))
    assert task["state"] == "done", task
    answer = models.get(path)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{NAME}.tar.xz"'
    assert len(answer.content) == task["result"]["bytes"]
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        assert f"{NAME}/manifest.json" in archive.getnames()
    rows = {row["format"]: row for row in models.get(f"api/models/{NAME}/downloads").json()["formats"]}
    assert list(rows) == list(FORMATS)
    assert rows["archive"]["bytes"] == len(answer.content) and rows["keras"]["bytes"] is None


def test_a_network_is_exported_with_a_program_that_runs_it(models: ModelStudio) -> None:
    assert models.finished(models.post(f"api/models/{NAME}/download/onnx"))["state"] == "done"
    with zipfile.ZipFile(io.BytesIO(models.get(f"api/models/{NAME}/download/onnx").content)) as packed:
        assert set(packed.namelist()) == {f"{NAME}-onnx/{name}" for name in ("classes.txt", "model.onnx", "predict.py")}
    left = [path.name for path in (models.studio.home / "models" / ".studio" / "downloads" / NAME).rglob("*-onnx")]
    assert left == []


def test_a_format_that_is_not_possible_is_explained(models: ModelStudio) -> None:
    task = models.finished(models.post(f"api/models/{NAME}/download/litert"))
    assert task["state"] == "failed" and "model.keras" in task["message"]
    assert models.post(f"api/models/{NAME}/download/exe").status_code == 400


@pytest.mark.parametrize("language", ["curl", "python"])
def test_programs_run_against_the_service(models: ModelStudio, language: str, tmp_path: Path) -> None:
    source = models.get(f"api/models/{NAME}/snippets").json()[language]
    service = models.get("api/state").json()["service"]["address"]
    wait_until(lambda: answers(f"{service}/v2/models/topgraft/"), 90, models.studio.process)
    photo = models.studio.home / "data" / DATASET / "green" / "2.png"
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    command = ["bash", "-c", source] if language == "curl" else [sys.executable, "-c", source]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "green" in finished.stdout


def test_a_model_is_published_by_the_steps_that_were_planned(models: ModelStudio) -> None:
    path = f"api/models/{NAME}/publication"
    before = models.get(path).json()
    assert before["remotes"] == ["rshare"] and before["published"] is None
    options = {"to": f"rshare:{FOLDER}", "title": "Colours", "license": "CC-BY-4.0"}
    plan = models.finished(models.post(f"{path}/plan", **options))
    assert len(plan["result"]) == 5 and plan["result"][0].startswith("1. pack"), plan
    assert not list((models.cloud.root / FOLDER).iterdir())

    task = models.finished(models.post(path, **options))
    assert task["state"] == "done", task
    link = f"{models.cloud.url}/s/{TOKEN}/download"
    assert task["result"]["link"]["url"] == link
    assert requests.get(link, timeout=30).ok
    published = models.get(path).json()["published"]
    assert (published["link"], published["place"]) == (link, f"rshare:{FOLDER}/{NAME}.tar.xz")
    child = models.studio.home / "published" / NAME / published["child"]
    assert link in (child / "Dockerfile").read_text()


def test_no_credential_is_in_any_answer_or_log(models: ModelStudio) -> None:
    answers = [models.get(f"api/models/{NAME}/publication").text, models.get("api/tasks").text]
    log = models.studio.log.read_text()
    for secret in (PASSWORD, models.cloud.environment()["RCLONE_CONFIG_RSHARE_PASS"]):
        assert secret not in "".join([*answers, log])


def test_options_that_cannot_be_published_are_explained(models: ModelStudio) -> None:
    path = f"api/models/{NAME}/publication"
    assert models.post(path, to="").status_code == 400
    assert models.post(path, to="rshare:x", password="secret").status_code == 400
    assert models.post(path, to=["rshare:x"]).status_code == 400
    for options, part in [({"to": "other:x"}, "other"), ({"to": "rshare:x", "expires": "2020-01-01"}, "future")]:
        task = models.finished(models.post(f"{path}/plan", **options))
        assert task["state"] == "failed" and part in task["message"]
