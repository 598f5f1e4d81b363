"""Long work of the studio: in child processes that report progress, are not started twice, and end with the server."""

from pathlib import Path
from typing import Any

import psutil
import pytest

from model.studio.tasks import Tasks
from model.workspace import Workspace
from tests.support.colours import write_colour_model
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

ONNX = {"model": "colours", "form": "onnx"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_colour_model(tmp_path / "models", "colours")
    return Workspace(tmp_path)


def children() -> list[psutil.Process]:
    """The processes of tasks, which this process has started."""
    return [one for one in psutil.Process().children() if "model.studio.tasks" in one.cmdline()]


def test_a_task_reports_progress_and_its_result(workspace: Workspace) -> None:
    seen: list[dict[str, Any]] = []
    tasks = Tasks(workspace, seen.append)
    task = tasks.start("download/colours", "download", {"model": "colours", "form": "archive"})
    wait_until(lambda: task.state != "running", 60)
    assert (task.state, task.result["file"]) == ("done", "colours.tar.xz")
    assert [(one["phase"], one["done"], one["total"]) for one in seen[:2]] == [("export", 0, 2), ("export", 2, 2)]
    assert seen[-1] == task.to_json() == tasks.all()[0].to_json()


def test_the_same_work_is_not_started_twice_and_a_kill_is_explained(workspace: Workspace) -> None:
    tasks = Tasks(workspace)
    first, second = tasks.start("one", "download", ONNX), tasks.start("one", "download", ONNX)
    assert second is first
    [child] = wait_until(children, 30)
    child.kill()
    wait_until(lambda: first.state != "running", 30)
    assert first.state == "failed" and "SIGKILL" in first.message
    assert tasks.start("one", "download", {"model": "gone", "form": "onnx"}) is not first
    wait_until(lambda: tasks.all()[0].state == "failed", 60)
    assert "gone" in tasks.all()[0].message


def test_no_task_outlives_the_server(workspace: Workspace) -> None:
    tasks = Tasks(workspace)
    tasks.start("one", "download", ONNX)
    [child] = wait_until(children, 30)
    tasks.close()
    child.wait(10)
    late = tasks.start("late", "download", ONNX)
    wait_until(lambda: late.state == "failed", 30)
    assert "stopping" in late.message and children() == []


def test_a_task_takes_more_photos_than_a_command_line(workspace: Workspace) -> None:
    photos = [[f"{'a' * 90}/{number}.jpg", f"/gone/{number}.jpg"] for number in range(3000)]
    output = workspace.studio / "predictions.jsonl"
    task = Tasks(workspace).start("many", "predict", {"model": "colours", "photos": photos, "output": str(output)})
    wait_until(lambda: task.state != "running", 60)
    assert (task.state, task.result) == ("done", {"photos": 3000}), task.message
    assert sum(bool(line) for line in output.read_bytes().splitlines()) == 3000
