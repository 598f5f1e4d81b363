"""The scripts of the pods of Argo Workflows, run by a shell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.pipelines.argo_pods import check_template, finish_template, promote_template
from model.pipelines.pipeline_file import find_pipeline, read_pipeline
from model.pipelines.steps import Pipeline
from tests.labels.label_studio_tasks import boxed_tasks
from tests.support.command import COMMAND, environment_of_tests

# Stands for `topgraft`: writes down its arguments; the exit status of `promote` is that of a file of the model's name.
RECORDING = """#!/bin/sh
echo "$*" >> calls
case "$2" in
show) [ -e "has-$3" ] ;;
promote) exit "$(cat "status-$3" 2>/dev/null || echo 0)" ;;
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


def run_script(template, folder: Path, programs: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    environment = {**environment_of_tests(folder), "PATH": path, **variables}
    command = template.container.command
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


def test_each_candidate_is_imported_and_promoted_if_better(
    pipeline: Pipeline, candidates: Path, programs: Path
) -> None:
    # 6: the first one is not better.
    (candidates / "status-run-1-A").write_text("6")
    assert promote(pipeline, candidates, programs).returncode == 0
    assert (candidates / "calls").read_text().splitlines() == [
        "models show run-1-A",
        "import candidates/A.tar.xz --name run-1-A",
        "models promote run-1-A --if-better signs.tar",
        "models show run-1-B",
        "import candidates/B.tar.xz --name run-1-B",
        "models promote run-1-B --if-better signs.tar",
    ]


def test_a_second_attempt_does_not_import_a_model_again(pipeline: Pipeline, candidates: Path, programs: Path) -> None:
    (candidates / "has-run-1-A").touch()
    assert promote(pipeline, candidates, programs).returncode == 0
    calls = (candidates / "calls").read_text()
    assert ("import candidates/A" in calls, "import candidates/B" in calls) == (False, True)


def test_a_failed_comparison_fails_the_pod_with_its_status(
    pipeline: Pipeline, candidates: Path, programs: Path
) -> None:
    (candidates / "status-run-1-A").write_text("5")
    assert promote(pipeline, candidates, programs).returncode == 5
    assert "run-1-B" not in (candidates / "calls").read_text()


@pytest.mark.slow
def test_labels_are_due_for_a_training_until_one_succeeded(pipeline: Pipeline, tmp_path: Path, programs: Path) -> None:
    python, option, code = COMMAND
    write_program(programs / "topgraft", f"#!/bin/sh\nexec '{python}' {option} '{code}' \"$@\"\n")
    workspace, folder, photos = tmp_path / "workspace", tmp_path / "work", tmp_path / "photos"
    for path in (workspace / "data", workspace / "models", folder, photos):
        path.mkdir(parents=True)
    export = tmp_path / "export.json"
    tasks = boxed_tasks(photos)
    check, finish = check_template(pipeline, pipeline.retraining), finish_template(pipeline)
    variables = {"TOPGRAFT_HOME": str(workspace), "LABELS": str(export), "IMAGES": str(photos)}

    def is_due() -> str:
        ran = run_script(check, folder, programs, **variables)
        assert ran.returncode == 0, ran.stderr
        return (folder / "changed").read_text()

    export.write_text(json.dumps(tasks[:-1]))
    assert is_due() == "true"
    # The training failed: the labels are the same, and it is still due.
    assert is_due() == "true"
    assert run_script(finish, folder, programs, **variables).returncode == 0
    assert is_due() == "false"
    export.write_text(json.dumps(tasks))
    assert is_due() == "true"
