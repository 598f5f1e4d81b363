"""Temporary folders and files of killed processes are removed, and those of living ones are kept."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from model import durable
from model.cli import main
from model.scratch import ProcessFolder, remove_leftovers, scratch_folder
from model.workspace import Workspace
from tests.support.command import ROOT

_HOLD = """
import sys
from pathlib import Path
from model import durable
from model.scratch import scratch_folder

def write(stream):
    stream.write(b"half")
    stream.flush()
    print("begins", flush=True)
    sys.stdin.readline()

with scratch_folder("import") as folder:
    (folder / "unpacked").mkdir()
    (folder / "unpacked" / "model.keras").write_bytes(b"half")
    durable.replace_file(Path(sys.argv[1]), write)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of this test."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for name in ("data", "models/.running/pets", "published/pets"):
        (tmp_path / "workspace" / name).mkdir(parents=True)
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def holder(temporary: Path, workspace: Workspace) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with a temporary folder that writes an archive."""
    target = workspace.root / "published" / "pets" / "pets.tar.xz"
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(target)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == b"begins\n"
        yield child
        child.kill()


def found(temporary: Path, workspace: Workspace) -> list[str]:
    parts = [*temporary.iterdir(), *(workspace.root / "published" / "pets").iterdir()]
    return sorted(path.name.partition(".tar.xz.")[0].partition("-import-")[0] for path in parts)


def test_what_a_living_process_uses_is_kept_and_removed_after_a_kill(
    holder: "subprocess.Popen[bytes]", temporary: Path, workspace: Workspace
) -> None:
    remove_leftovers(workspace)
    assert found(temporary, workspace) == [".pets", "topgraft"]
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    remove_leftovers(workspace)
    assert found(temporary, workspace) == []


@pytest.mark.parametrize("before", [True, False], ids=["--workspace before", "--workspace after the subcommand"])
def test_the_next_command_removes_what_a_kill_left(
    holder: "subprocess.Popen[bytes]", temporary: Path, workspace: Workspace, before: bool
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    command, option = ["models", "list"], ["--workspace", str(workspace.root)]
    assert main([*option, *command] if before else [*command, *option]) == 0
    assert found(temporary, workspace) == []


def test_a_start_of_the_service_removes_what_a_kill_left(
    holder: "subprocess.Popen[bytes]", temporary: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api import plugin

    monkeypatch.setenv("TOPGRAFT_HOME", str(workspace.root))
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    plugin.warm()
    assert found(temporary, workspace) == []


@pytest.mark.parametrize("name", ["topgraft-push-ab12_cd3", "topgraft-checksum-abcdefgh", "topgraft-mlflow-abcdefgh"])
def test_folders_of_earlier_versions_without_a_process_are_removed(temporary: Path, name: str) -> None:
    (temporary / name / "inside").mkdir(parents=True)
    remove_leftovers()
    assert list(temporary.iterdir()) == []


def test_archives_that_were_not_completed_are_removed_from_the_current_folder(temporary: Path, tmp_path: Path) -> None:
    for name in ("pets.tar.xz", "photos.tar", "pets.tar.xz.sha256", "thesis.tex"):
        (tmp_path / f".{name}.{'ab' * 16}").write_bytes(b"half")
    remove_leftovers()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [f".thesis.tex.{'ab' * 16}"]


def test_other_files_and_links_are_kept(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (temporary / "topgraft-push-abcdefgh").symlink_to(tmp_path / "mine")
    for name in ("topgraft-notes", "topgraft-push-x", "other-import-abcdefgh"):
        (temporary / name).mkdir()
    remove_leftovers()
    assert len(list(temporary.iterdir())) == 4 and (tmp_path / "mine").is_dir()


def test_generated_code_is_removed_unless_a_process_may_have_written_it(temporary: Path, tmp_path: Path) -> None:
    library = tmp_path / "libtensorflow.so"
    library.write_bytes(b"x")
    old, new = temporary / "__autograph_generated_fileab12.py", temporary / "__autograph_generated_filecd34.py"
    for folder, remaining in ((temporary, [new]), (tmp_path, [])):
        with _process_that_has_loaded(library, folder):
            old.write_text("def tf__call(): pass")
            new.write_text("def tf__call(): pass")
            os.utime(old, (1_000.0, 1_000.0))
            remove_leftovers()
            assert list(temporary.iterdir()) == remaining


@contextlib.contextmanager
def _process_that_has_loaded(library: Path, temporary: Path) -> Iterator[None]:
    code = """
import mmap, sys
with open(sys.argv[1], "r+b") as library:
    mapped = mmap.mmap(library.fileno(), 0)
    print(flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, library],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        yield


def test_a_folder_is_removed_at_the_end_and_after_an_error(temporary: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder("export") as folder:
        (folder / "file").write_bytes(b"x")
        raise ZeroDivisionError
    assert list(temporary.iterdir()) == []


def test_concurrent_writers_do_not_remove_each_others_files(tmp_path: Path) -> None:
    target = tmp_path / "file"

    def write(stream: object) -> None:
        durable.remove_leftovers(target)
        durable.remove_all_leftovers(tmp_path)

    durable.replace_file(target, write)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("moment", ["before it is opened", "before it is locked"])
def test_a_folder_that_another_process_removes_at_once_is_replaced(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    place, name = (tempfile, "mkdtemp") if moment == "before it is opened" else (os, "open")
    real, made = getattr(place, name), []

    def removed_at_once(*given: object, **options: object) -> object:
        result = real(*given, **options)
        made.append(result)
        if len(made) == 1:
            remove_leftovers()
        return result

    monkeypatch.setattr(place, name, removed_at_once)
    with scratch_folder("import") as folder:
        assert folder.is_dir() and len(made) > 1
        assert list(temporary.iterdir()) == [folder]


_HOLD_UPLOADS = """
import sys
from model.scratch import ProcessFolder

uploads = ProcessFolder("uploads")
(uploads.path() / "waiting").write_bytes(b"photo")
assert uploads.path() == uploads.path()
print("begins", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, None], ids=["killed", "ended"])
def test_the_folder_of_a_killed_process_is_removed(temporary: Path, how: signal.Signals | None) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD_UPLOADS],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(temporary)},
    ) as child:
        assert child.stdin is not None and child.stdout is not None and child.stdout.readline() == b"begins\n"
        remove_leftovers()
        assert [path.name for path in temporary.glob("topgraft-uploads-*/*")] == ["waiting"]
        if how is None:
            child.stdin.close()
        else:
            child.send_signal(how)
        child.wait()
    assert bool(list(temporary.iterdir())) == (how is not None)
    remove_leftovers()
    assert list(temporary.iterdir()) == []


def test_a_folder_of_this_process_that_was_removed_is_replaced(temporary: Path) -> None:
    uploads = ProcessFolder("uploads")
    first = uploads.path()
    first.rmdir()
    assert uploads.path().is_dir() and uploads.path() != first
    uploads.remove()
    assert list(temporary.iterdir()) == []
