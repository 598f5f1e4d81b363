"""The scripts of the pods of Argo Workflows, run by a shell."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from model.files.checksums import file_sha256
from model.files.packing import pack_folder
from model.pipelines.argo_pods import check_template, finish_template, promote_template
from model.pipelines.dataset_checksum import dataset_checksum
from model.pipelines.pipeline_file import find_pipeline, read_pipeline
from model.pipelines.steps import Pipeline
from tests.labels.label_studio_tasks import boxed_tasks
from tests.support.command import COMMAND, ROOT, environment_of_tests

# Stands for `topgraft`: writes down its arguments; the exit status of `promote` is that in a file.
RECORDING = """#!/bin/sh
echo "$*" >> calls
case "$2" in
show) [ -e "has-$3" ] ;;
promote) printf '{"latest": "run-1-B"}'; exit "$(cat status 2>/dev/null || echo 0)" ;;
esac
"""


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return read_pipeline(find_pipeline("traffic-signs"))


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    return folder


def run_script(
    template, folder: Path, programs: Path, values: dict[str, str] | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    environment = {**environment_of_tests(folder), "PATH": path, **variables}
    given = template.container.args or []
    for name, value in (values or {}).items():
        given = [text.replace(f"{{{{inputs.parameters.{name}}}}}", value) for text in given]
    command = [*template.container.command, *given]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def candidates(tmp_path: Path, programs: Path) -> Path:
    write_program(programs / "topgraft", RECORDING)
    folder = tmp_path / "work"
    (folder / "candidates").mkdir(parents=True)
    for name in ("A", "B"):
        (folder / "candidates" / f"{name}.tar.xz").touch()
    return folder


def promote(pipeline: Pipeline, folder: Path, programs: Path) -> "subprocess.CompletedProcess[str]":
    template = promote_template(pipeline, pipeline.promotion, pipeline.steps[-2])
    return run_script(template, folder, programs, RUN="run-1")


@pytest.mark.parametrize("status", ["0", "6"])
def test_all_candidates_are_compared_at_once_and_only_the_best_is_kept(
    pipeline: Pipeline, candidates: Path, programs: Path, status: str
) -> None:
    # 6: none is better.
    (candidates / "status").write_text(status)
    assert promote(pipeline, candidates, programs).returncode == 0
    assert (candidates / "calls").read_text().splitlines() == [
        "models show run-1-A",
        "import candidates/A.tar.xz --name run-1-A",
        "models show run-1-B",
        "import candidates/B.tar.xz --name run-1-B",
        "models promote run-1-A run-1-B --if-better signs.tar --json",
        "models remove run-1-A --yes",
    ]


def test_names_of_files_are_no_commands(pipeline: Pipeline, candidates: Path, programs: Path) -> None:
    names = {"dataset": "my $(touch hacked) 'signs'.tar", "model": "m.tar;touch hacked"}
    assert pipeline.promotion is not None
    template = promote_template(pipeline, dataclasses.replace(pipeline.promotion, **names), pipeline.steps[-2])
    assert run_script(template, candidates, programs, RUN="run-1").returncode == 0
    assert f"--if-better {names['dataset']} --json" in (candidates / "calls").read_text()
    assert not (candidates / "hacked").exists()


def test_a_second_attempt_does_not_import_a_model_again(pipeline: Pipeline, candidates: Path, programs: Path) -> None:
    (candidates / "has-run-1-A").touch()
    assert promote(pipeline, candidates, programs).returncode == 0
    calls = (candidates / "calls").read_text()
    assert ("import candidates/A" in calls, "import candidates/B" in calls) == (False, True)


def test_a_failed_comparison_fails_the_pod_with_its_status(
    pipeline: Pipeline, candidates: Path, programs: Path
) -> None:
    (candidates / "status").write_text("5")
    assert promote(pipeline, candidates, programs).returncode == 5
    assert "remove" not in (candidates / "calls").read_text()


@pytest.mark.slow  # kernels of Jupyter
def test_labels_are_due_for_a_training_until_one_succeeded_and_photos_keep_their_splits(
    pipeline: Pipeline, tmp_path: Path, programs: Path
) -> None:
    python, option, code = COMMAND
    write_program(programs / "topgraft", f"#!/bin/sh\nexec '{python}' {option} '{code}' \"$@\"\n")
    workspace, folder, photos = tmp_path / "workspace", tmp_path / "work", tmp_path / "photos"
    for path in (workspace, folder, photos):
        path.mkdir(parents=True)
    export = tmp_path / "export.json"
    tasks = boxed_tasks(photos, 16)
    check, finish = check_template(pipeline, pipeline.promotion), finish_template(pipeline)
    values = {"labels": str(export), "images": str(photos), "seed": "0"}

    def is_due() -> str:
        ran = run_script(check, folder, programs, values, TOPGRAFT_HOME=str(workspace), PYTHONPATH=str(ROOT))
        assert ran.returncode == 0, ran.stderr
        return (folder / "changed").read_text()

    def splits() -> dict[str, str]:
        with tarfile.open(folder / "signs.tar") as tar:
            rows = tar.extractfile("origin.csv").read().decode().splitlines()
        return {row["photo"]: row["split"] for row in csv.DictReader(rows)}

    export.write_text(json.dumps(tasks[:-1]))
    assert is_due() == "true"
    former = splits()
    # The training failed: the labels are the same, and it is still due.
    assert is_due() == "true"
    checksum = (folder / "checksum").read_text().strip()
    ran = run_script(finish, folder, programs, TOPGRAFT_HOME=str(workspace), CHECKSUM=checksum)
    assert ran.returncode == 0, ran.stderr
    tasks[0]["annotations"][0]["updated_at"] = "2031-01-01T00:00:00Z"
    export.write_text(json.dumps(tasks[:-1]))
    assert is_due() == "false"
    export.write_text(json.dumps(tasks))
    assert is_due() == "true"
    assert {photo: split for photo, split in splits().items() if photo in former} == former
    assert len(splits()) == len(former) + 1


def test_a_checksum_of_a_packed_dataset_is_that_of_images_classes_and_splits(tmp_path: Path) -> None:
    def checksum(**files: str) -> str:
        for name, content in {"images/a.jpg": "a", "dataset_files/train.txt": "a", "origin.csv": "x", **files}.items():
            (tmp_path / "signs" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "signs" / name).write_text(content)
        pack_folder(tmp_path / "signs", tmp_path / "signs.tar")
        return dataset_checksum(tmp_path / "signs.tar")

    assert checksum() == checksum(**{"origin.csv": "y"})
    assert len({checksum(), *(checksum(**{name: "b"}) for name in ("images/a.jpg", "dataset_files/train.txt"))}) == 3
    assert dataset_checksum(tmp_path / "signs") != dataset_checksum(tmp_path / "signs.tar")
    (tmp_path / "other").write_text("no archive")
    assert dataset_checksum(tmp_path / "other") == file_sha256(tmp_path / "other")
