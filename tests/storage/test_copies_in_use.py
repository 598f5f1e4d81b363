"""A copy of a dataset that another process reads is neither removed nor waited for without limit."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model.errors import StorageBusyError
from model.files.packing import pack_folder
from model.storage import folder_locks
from model.storage.copies import dataset_folder, local_paths
from model.workspace import Workspace
from tests.support.command import COMMAND, environment_of_tests, topgraft
from tests.support.files import content_of, write_files
from tests.support.photos import write_photos
from tests.support.storage_servers import StorageServer
from tests.support.waiting import wait_until

HOLD = """
import sys
from pathlib import Path
from model.storage.copies import dataset_folder
from model.workspace import Workspace

with dataset_folder(Workspace(Path()), sys.argv[1], "the training pets"):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("packed", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["archive", "folder"])
def test_a_copy_in_use_is_unchanged_and_its_process_named(packed: bool, remote_folder: Path, tmp_path: Path) -> None:
    workspace, name = Workspace(tmp_path), f"rshare:{remote_folder.name}" + "/photos.tar" * packed
    photos = tmp_path / "photos" if packed else remote_folder
    before = write_files(photos)
    if packed:
        pack_folder(photos, remote_folder / "photos.tar")
    with dataset_folder(workspace, name, "the training pets") as folder:
        with dataset_folder(workspace, name, "topgraft check"):
            assert content_of(folder) == before, "nothing has changed: both may use it"
        (photos / "a" / "0 ü.bin").write_bytes(b"another size")
        (photos / "b" / "1 ü.bin").unlink()
        if packed:
            pack_folder(photos, remote_folder / "photos.tar")
            # A tar is padded, and a server keeps whole seconds.
            os.utime(remote_folder / "photos.tar", (1_700_000_000, 1_700_000_000))
        said = rf"in use by the training pets \(process {os.getpid()} on .*topgraft pull"
        with pytest.raises(StorageBusyError, match=said), dataset_folder(workspace, name, "topgraft check"):
            pass
        with dataset_folder(workspace, name, "the training pets again", may_be_old=True):
            assert content_of(folder) == before
    with dataset_folder(workspace, name, "topgraft check") as folder:
        assert sorted(content_of(folder)) == ["a/0 ü.bin", "a/2 ü.bin"]


def test_a_copy_in_use_keeps_files_deleted_in_the_remote(remote_folder: Path, tmp_path: Path) -> None:
    before = write_files(remote_folder)
    workspace, name = Workspace(tmp_path), f"rshare:{remote_folder.name}"
    with dataset_folder(workspace, name, "the training pets") as folder:
        (remote_folder / "b" / "1 ü.bin").unlink()
        with pytest.raises(StorageBusyError), local_paths([name], "topgraft predict latest"):
            pass
        assert content_of(folder) == before


def test_a_single_file_can_be_used_by_several_processes(remote_folder: Path) -> None:
    write_files(remote_folder)
    name = f"rshare:{remote_folder.name}/a/0 ü.bin"
    with local_paths([name], "topgraft predict a") as first, local_paths([name, name], "topgraft predict b") as second:
        assert first.paths * 2 == second.paths and first.paths[0].is_file()


def test_a_killed_process_releases_its_copy(remote_folder: Path, tmp_path: Path) -> None:
    write_files(remote_folder)
    name = f"rshare:{remote_folder.name}"
    command = [sys.executable, "-c", HOLD, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None and user.stdout.readline() == b"holds\n"
        (remote_folder / "b" / "1 ü.bin").unlink()
        with pytest.raises(StorageBusyError, match=rf"the training pets \(process {user.pid} "):
            dataset_folder(Workspace(tmp_path), name, "topgraft check").__enter__()
        user.send_signal(signal.SIGKILL)
    with dataset_folder(Workspace(tmp_path), name, "topgraft check") as folder:
        assert sorted(content_of(folder)) == ["a/0 ü.bin", "a/2 ü.bin"]
        assert len(list(folder_locks.note_path(folder, "uses").iterdir())) == 1, "what the killed one left is gone"


def test_without_locks_a_copy_is_used_with_a_warning(
    remote_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    write_files(remote_folder)
    workspace, name = Workspace(tmp_path), f"rshare:{remote_folder.name}"
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with dataset_folder(workspace, name, "the training pets") as folder:
        (remote_folder / "b" / "1 ü.bin").unlink()
        with dataset_folder(workspace, name, "topgraft check"):
            assert sorted(content_of(folder)) == ["a/0 ü.bin", "a/2 ü.bin"]
    assert "No locks available" in caplog.text and "continuing without a lock" in caplog.text


def test_an_unwritable_cache_is_reported_and_a_complete_copy_used(
    remote_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    before = write_files(remote_folder)
    workspace, name = Workspace(tmp_path), f"rshare:{remote_folder.name}"
    with dataset_folder(workspace, name, "the training pets"):
        pass
    monkeypatch.setattr(Path, "mkdir", read_only)
    with dataset_folder(workspace, name, "the training pets", may_be_old=True) as folder:
        assert content_of(folder) == before
    assert "Read-only file system" in caplog.text


@pytest.mark.slow  # a training in a process of its own
def test_no_command_removes_the_dataset_of_a_running_training(webdav: StorageServer, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write_photos(webdav.folder / "held")
    variables = {name: value for name, value in os.environ.items() if name.startswith("RCLONE_")}
    environment = environment_of_tests(tmp_path) | variables
    command = [*COMMAND, "train", "--dataset", "rshare:held", "--name", "pets"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as child:
        cache = Path(environment["TOPGRAFT_CACHE"])
        _wait_for_a_user(cache)
        next((webdav.folder / "held").rglob("*.jpg")).unlink()
        checked = topgraft("check", "rshare:held", cwd=tmp_path, **variables)
        assert checked.returncode == 5 and "in use by the training pets" in checked.stderr, checked.stderr
        assert len(list(cache.rglob("*.jpg"))) == 16 and child.poll() is None
        child.terminate()
    assert child.returncode == 130 and not list(cache.glob("pulls/*.uses/*"))


def _wait_for_a_user(cache: Path) -> None:
    wait_until(lambda: list(cache.glob("pulls/*.uses/*")), 60)


def test_a_process_that_ends_while_it_is_checked_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "photos"
    note = folder_locks.note_path(copy, "uses") / "one"
    note.parent.mkdir(parents=True)
    note.write_text("the training pets")

    def held_and_let_go(*_arguments: object) -> None:
        note.unlink()
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "flock", held_and_let_go)
    with pytest.raises(StorageBusyError, match="in use by the training pets"):
        folder_locks.require_unused(copy, "rshare:photos")
