"""A workspace of a group: two users with umask 022 train, promote and remove in the same `models/`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.cli.command import main
from model.sharing import ownership_hint, share_with_group
from model.workspace import Workspace
from tests.support.small_model import write_small_model
from tests.support.users import as_user, bare_environment, give, make_reachable, missing_requirements

FIRST, SECOND, GROUP = 1000650001, 1000650002, 1000650100

# All state that is written below models/: queue and locks, a training's folder, usage statistics, the promoted model.
WRITE_STATE = """
import sys
from pathlib import Path
from model.config import TrainConfig
from model.promotion import promote, roll_back
from model.provenance import utc_today
from model.runs import interrupted_trainings, start_run
from model.runs.listing import remove_interrupted
from model.cli.command import main
from model.sharing import share_with_group
from model.usage.store import UsageStore
from model.workspace import Workspace
from tests.usage.records import PETS, record

workspace = Workspace(Path(sys.argv[1]))
share_with_group(workspace)
for status in interrupted_trainings(workspace):
    assert remove_interrupted(workspace, status.name)
promote(workspace, "pets")
promote(workspace, "other")
roll_back(workspace)
UsageStore(workspace).add(PETS, utc_today(), record())
start_run(TrainConfig(name="same"), workspace)
"""

needs_users = pytest.mark.skipif(bool(missing_requirements()), reason=missing_requirements())


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The usual umask, restored after the test."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    found = Workspace(tmp_path)
    for name in ("pets", "other"):
        write_small_model(found.models / name)
    found.data.mkdir()
    return found


def run_as(user: int, workspace: Workspace) -> "subprocess.CompletedProcess[str]":
    command = as_user(user, sys.executable, "-c", WRITE_STATE, str(workspace.root), group=GROUP)
    environment = bare_environment(workspace.root)
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=120)


@needs_users
def test_each_user_of_the_group_writes_and_removes_the_state_of_the_other(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_reachable(workspace.root)
    give(workspace.models, FIRST, GROUP, mode=0o2775)
    for user in (FIRST, SECOND, FIRST):
        ran = run_as(user, workspace)
        assert ran.returncode == 0, ran.stderr
    assert (workspace.running / "same").stat().st_uid == FIRST
    written = [path for path in workspace.running.rglob("*") if not path.is_symlink()]
    assert written and all(path.stat().st_mode & 0o020 and path.stat().st_gid == GROUP for path in written)


@pytest.mark.parametrize(("mode", "expected"), [(0o755, 0o022), (0o700, 0o022), (0o775, 0o002), (0o2775, 0o002)])
def test_the_umask_changes_only_if_the_group_can_write_to_the_models(
    mode: int, expected: int, workspace: Workspace
) -> None:
    workspace.models.chmod(mode)
    share_with_group(workspace)
    assert os.umask(0o022) == expected


@pytest.mark.parametrize("before", [True, False], ids=["--workspace before", "--workspace after the subcommand"])
def test_a_command_shares_the_workspace_that_it_uses_and_no_other(
    before: bool, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = Workspace(tmp_path_factory.mktemp("default"))
    default.models.mkdir()
    monkeypatch.setenv("TOPGRAFT_HOME", str(default.root))
    command, option = ["models", "list"], ["--workspace", str(workspace.root)]
    for mode, default_mode, expected in ((0o2775, 0o755, 0o002), (0o755, 0o2775, 0o022)):
        workspace.models.chmod(mode)
        default.models.chmod(default_mode)
        assert main([*option, *command] if before else [*command, *option]) == 0
        assert os.umask(0o022) == expected


def test_a_stricter_umask_for_others_is_kept(workspace: Workspace) -> None:
    workspace.models.chmod(0o2770)
    os.umask(0o077)
    share_with_group(workspace)
    assert os.umask(0o022) == 0o007


def test_a_missing_folder_changes_nothing(tmp_path: Path) -> None:
    share_with_group(Workspace(tmp_path / "none"))
    assert os.umask(0o022) == 0o022


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to change the group of a folder")
@pytest.mark.parametrize(("mode", "is_warned"), [(0o775, True), (0o2775, False)])
def test_a_folder_that_does_not_pass_on_its_group_is_reported(
    mode: int, is_warned: bool, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    os.chown(workspace.models, -1, GROUP)
    workspace.models.chmod(mode)
    share_with_group(workspace)
    assert [f"chmod g+s {workspace.models}" in message for message in caplog.messages] == [True] * is_warned


@needs_users
def test_the_owner_of_a_locked_folder_is_named(workspace: Workspace) -> None:
    make_reachable(workspace.root)
    give(workspace.models, FIRST, GROUP)
    program = "import sys; from model.cli import main; sys.exit(main())"
    command = as_user(SECOND, sys.executable, "-c", program, "models", "promote", "pets", group=GROUP)
    ran = subprocess.run(command, env=bare_environment(workspace.root), cwd="/", capture_output=True, text=True)
    assert ran.returncode == 5, ran.stderr
    assert f"{workspace.models} belongs to user {FIRST}" in ran.stderr and "chmod -R g+rwX" in ran.stderr


def test_an_own_folder_needs_no_hint(tmp_path: Path) -> None:
    assert ownership_hint(tmp_path / "new" / "file") == ""
