"""File locks: one holder at a time, and a warning in place of a failure where the file system has none."""

import errno
import fcntl
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.config import TrainConfig
from model.locks import FileLock, exclusive, is_held
from model.runs import interrupted_trainings, running_trainings, start_run
from model.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
UNGUARDED = "Do not do it twice."

HOLDER = """
import sys
from pathlib import Path
from model.locks import FileLock
lock = FileLock.take(Path(sys.argv[1]), "")
print("held", flush=True)
sys.stdin.read()
"""

NO_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP]


@pytest.fixture(params=NO_LOCKS, ids=errno.errorcode.get)
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""

    def flock(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_a_lock_has_one_holder_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    with FileLock.take(path, UNGUARDED):
        assert is_held(path)
        with pytest.raises(BlockingIOError):
            FileLock.take(path, UNGUARDED, seconds=0.05)
        with pytest.raises(BlockingIOError), exclusive(path, UNGUARDED, wait=0.05):
            pass
    assert not is_held(path)
    with exclusive(path, UNGUARDED):
        assert is_held(path)


def test_a_lock_is_free_when_its_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        assert is_held(path)
        holder.kill()
    assert not is_held(path)


def test_waiting_for_a_lock_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        exclusive(tmp_path, UNGUARDED, message="waiting"),
        pytest.raises(BlockingIOError),
        exclusive(tmp_path, UNGUARDED, wait=0.05, message="waiting"),
    ):
        pass
    assert caplog.messages == ["waiting"]


def test_any_other_error_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"), exclusive(tmp_path, UNGUARDED):
        pass


def test_a_folder_that_cannot_be_locked_over_nfs_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", flock)
    with exclusive(tmp_path, UNGUARDED):
        pass
    assert "cannot be locked" in caplog.text
    with pytest.raises(OSError, match="Bad file descriptor"), exclusive(tmp_path / "lock", UNGUARDED):
        pass


@pytest.mark.usefixtures("no_locks")
def test_without_locks_work_continues_after_one_warning_per_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with exclusive(tmp_path / "lock", UNGUARDED), exclusive(tmp_path, UNGUARDED):
            pass
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert str(tmp_path) in warning.getMessage() and UNGUARDED in warning.getMessage()


@pytest.mark.usefixtures("no_locks")
def test_without_locks_the_process_written_in_the_file_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock.take(path, UNGUARDED):
        assert is_held(path)
        with pytest.raises(BlockingIOError):
            FileLock.take(path, UNGUARDED)
        # As a child process does; it ends with the lock.
        copy = FileLock.inherit(path, os.open(path, os.O_RDWR))
    copy.close()
    assert not is_held(path)
    # A process that was killed, and one that has its pid now.
    path.write_text(f"{2**22 + 1} 5\n{os.getpid()} 1\nnonsense\n")
    assert not is_held(path)
    FileLock.take(path, UNGUARDED).close()


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_running_training_is_not_interrupted(workspace: Workspace) -> None:
    run = start_run(TrainConfig(name="pets"), workspace)
    assert [status.name for status in running_trainings(workspace)] == ["pets"]
    assert interrupted_trainings(workspace) == []
    run.lock.close()
    assert running_trainings(workspace) == []
    assert [status.name for status in interrupted_trainings(workspace)] == ["pets"]


def test_no_other_module_locks_files() -> None:
    sources = [path for room in ("model", "api") for path in (ROOT / room).rglob("*.py")]
    assert [path.name for path in sources if "fcntl" in path.read_text(encoding="utf-8")] == ["locks.py"]
