"""Child processes: they answer in JSON, their errors keep their class, and they end with their parent."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from model import processes
from model.errors import DatasetError, ModelError, TrainingError
from model.processes import Process, describe_exit, run_child, start_child

ROOT = Path(__file__).resolve().parent.parent
CHILD = """
import os, signal, sys, time
from model.errors import DatasetError
from model.processes import answer_parent

def work():
    print("a library prints this")
    kind = sys.argv[1]
    if kind == "error":
        raise DatasetError("no photos")
    if kind == "bug":
        raise KeyError("pets")
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        os._exit(3)
    if kind == "hang":
        signal.pause()
    return {"nice": os.nice(0), "kind": kind}

sys.exit(answer_parent(work, "the work"))
"""

PARENT = """
import signal, sys
from model.processes import start_child
print(start_child([sys.executable, "-c", "import signal; signal.pause()"]).pid, flush=True)
signal.pause()
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that `run_child` can run."""
    (tmp_path / "some_child.py").write_text(CHILD)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "some_child"


def test_output_of_libraries_does_not_change_the_result_of_a_child(child: str) -> None:
    niceness = os.nice(0)
    answer = run_child(child, "fine", task="the work", failure=ModelError, niceness=2)
    assert answer == {"nice": min(19, niceness + 2), "kind": "fine"}


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("error", DatasetError, "no photos"),
        ("bug", TrainingError, r"the work failed: KeyError\('pets'\)"),
        ("kill", ModelError, r"the work: its process was killed \(SIGKILL\), as the system does when memory runs out"),
        ("exit", ModelError, "the work: its process ended with status 3, without a result"),
        ("hang", ModelError, "the work: expected to end within 0.5 s"),
    ],
)
def test_an_error_of_a_child_keeps_its_class(child: str, kind: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        run_child(child, kind, task="the work", failure=ModelError, seconds=0.5 if kind == "hang" else None)
    assert type(raised.value) is error


def test_a_child_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(timeout=10)
    assert not child.is_running()


def test_a_child_whose_parent_has_ended_does_not_start() -> None:
    launcher = [sys.executable, "-I", "-S", processes.__file__, "1", "9", "0", "echo", "started"]
    ran = subprocess.run(launcher, capture_output=True, text=True)
    assert ran.returncode == 1 and ran.stdout == "" and "parent" in ran.stderr


def test_the_launcher_imports_nothing_slow() -> None:
    code = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", code, processes.__file__]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    # `runpy` itself loads some.
    bare = subprocess.run([*command[:-1], os.devnull], capture_output=True, text=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in set(loaded) - set(bare)} <= {
        *("__future__", "ctypes", "_ctypes", "struct", "_struct", "signal", "enum", "types", "operator", "functools"),
        *("_operator", "_functools", "collections", "_collections", "keyword", "reprlib", "itertools"),
    }


def test_zombies_and_reused_pids_are_not_alive() -> None:
    assert Process.from_pid(os.getpid()).is_alive()
    assert not Process(os.getpid(), 1).is_alive()
    child = start_child(["true"])
    started = Process.from_pid(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not started.is_alive() and not Process.from_pid(child.pid).is_alive()
    child.wait()


@pytest.mark.parametrize(
    ("status", "words"), [(-9, "was killed"), (-15, "was ended by SIGTERM"), (2, "ended with status 2"), (None, "None")]
)
def test_exit_statuses_are_described(status: int | None, words: str) -> None:
    assert words in describe_exit(status)


def test_no_other_module_has_processes_end_with_their_parent() -> None:
    sources = [path for room in ("model", "api") for path in (ROOT / room).rglob("*.py")]
    assert [path.name for path in sources if "prctl" in path.read_text(encoding="utf-8")] == ["processes.py"]
