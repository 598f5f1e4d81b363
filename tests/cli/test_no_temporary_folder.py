"""Commands where no folder for temporary files can be written to, as on a read-only file system without /tmp."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.cli.command import EXIT_STORAGE, main, topgraft
from tests.support.command import COMMAND, environment_of_tests
from tests.support.small_model import NAME, write_model
from tests.support.users import missing_requirements

pytestmark = pytest.mark.skipif(
    bool(missing_requirements()) or shutil.which("unshare") is None, reason=missing_requirements() or "needs unshare"
)
READ_ONLY = 'for folder in /tmp /var/tmp; do mount -t tmpfs -o ro tmpfs $folder; done; exec "$@"'


def run(workspace: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `topgraft` in its own view of the file system, whose folders for temporary files are empty and read-only."""
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", *COMMAND, *arguments],
        cwd="/proc",
        env=environment_of_tests(workspace) | {"TOPGRAFT_HOME": str(workspace), "TMPDIR": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "unshare failed" in ran.stderr:
        pytest.skip(f"needs namespaces: {ran.stderr.strip()}")
    return ran


@pytest.fixture
def workspace() -> Iterator[Path]:
    """A workspace outside /tmp, which is hidden from the command."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    write_model(folder / "models" / NAME)
    yield folder
    shutil.rmtree(folder)


def test_models_are_listed(workspace: Path) -> None:
    ran = run(workspace, "models", "list")
    assert ran.returncode == 0, ran.stderr
    assert NAME in ran.stdout


def test_a_command_that_needs_one_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    monkeypatch.setattr(topgraft, "main", lambda *_, **__: tempfile.mkdtemp())
    assert main(["models"]) == EXIT_STORAGE
    error = capsys.readouterr().err
    assert "Set TMPDIR to a folder that can be written to" in error and "Traceback" not in error
