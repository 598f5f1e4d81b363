"""TensorBoard is started with the server, shows curves, and ends with its parent."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from api import get_metadata, worker_state
from model.environment import TENSORBOARD_PORT
from model.tracking import monitoring
from model.tracking.monitoring import start_tensorboard, tensorboard_url
from model.workspace import Workspace
from tests.support.ports import free_port
from tests.support.waiting import wait_until

PARENT = """
import sys, time
from pathlib import Path
from model.tracking.monitoring import start_tensorboard
print(start_tensorboard(Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


# In a process of its own: doing without TensorFlow lasts as long as the process.
WRITER = """
import sys, types
sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

writer = EventFileWriter(sys.argv[1])
value = Summary.Value(tag="loss", simple_value=0.5)
writer.add_event(Event(step=1, wall_time=1.0, summary=Summary(value=[value])))
writer.close()
"""


def test_tensorboard_shows_curves_and_ends_with_its_parent(tmp_path: Path) -> None:
    logs = tmp_path / ".running" / "mine" / "bundle" / "logs"
    subprocess.run([sys.executable, "-c", WRITER, str(logs)], check=True)
    port = free_port()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        env=os.environ | {TENSORBOARD_PORT.name: str(port)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        tensorboard = psutil.Process(int(parent.stdout.readline()))

        def tags() -> dict[str, object]:
            with contextlib.suppress(requests.ConnectionError):
                return requests.get(f"http://127.0.0.1:{port}/data/plugin/scalars/tags", timeout=10).json()
            return {}

        shown = wait_until(tags, seconds=60)
        assert {run: list(named) for run, named in shown.items()} == {".running/mine/bundle/logs": ["loss"]}
        assert tensorboard_url(tmp_path) == f"http://127.0.0.1:{port}/"
        assert tensorboard_url(tmp_path / "other") is None
        assert tensorboard.nice() == min(19, os.nice(0) + 15)
        assert tensorboard.memory_info().rss < 300 << 20
        family = [tensorboard, *tensorboard.children(recursive=True)]
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not any(one.is_running() for one in family), seconds=10)
    assert tensorboard_url(tmp_path) is None


def test_tensorboard_is_not_started_on_a_port_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        monkeypatch.setenv(TENSORBOARD_PORT.name, str(stranger.getsockname()[1]))
        assert start_tensorboard(tmp_path) is None
    assert "in use" in caplog.text


def test_without_a_temporary_folder_there_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file" / "folder"))
    assert tensorboard_url(tmp_path) is None


def test_an_invalid_port_falls_back_to_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    asked: list[int] = []
    monkeypatch.setattr(monitoring, "_why_not_free", lambda host, port: asked.append(port) or OSError("in use"))
    monkeypatch.setenv(TENSORBOARD_PORT.name, "http")
    assert start_tensorboard(tmp_path) is None
    assert asked == [6006] and "in use" in caplog.text


def test_tensorboard_is_not_started_for_a_batch_job_or_when_disabled(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.tracking.monitoring.tensorboard_url", lambda models: "http://127.0.0.1:6006/")
    assert get_metadata()["tensorboard"] == "http://127.0.0.1:6006/"

    def never(models: Path) -> None:
        raise AssertionError("started")

    monkeypatch.setattr("model.tracking.monitoring.start_tensorboard", never)
    worker_state.Monitor().ensure(workspace)
    monkeypatch.setattr(worker_state.multiprocessing, "parent_process", lambda: "the server")
    with pytest.raises(AssertionError, match="started"):
        worker_state.Monitor().ensure(workspace)
    monkeypatch.setenv("TOPGRAFT_TENSORBOARD", "0")
    worker_state.Monitor().ensure(workspace)
    assert "tensorboard" not in get_metadata()
