"""Runs the command in its own process, on photos of two colours."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Run, topgraft
from tests.support.photos import write_photos


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace."""
    (tmp_path / "data").mkdir()
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.fixture
def run(workspace: Path) -> Run:
    """Run the command inside the empty workspace."""

    def run_in_folder(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        return topgraft(*arguments, cwd=workspace, **environment)

    return run_in_folder


@pytest.fixture
def photos(workspace: Path) -> Path:
    """A dataset of two classes in the empty workspace."""
    return write_photos(workspace / "data" / "photos")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A workspace with a model `colors`, trained by the command, and what the training wrote."""
    workspace = tmp_path_factory.mktemp("trained")
    (workspace / "models").mkdir()
    write_photos(workspace / "data" / "photos")
    (workspace / "options.yaml").write_text("epochs: 3\nname: from-file\nseed: 7\nfolds: 0\n", encoding="utf-8")
    ran = topgraft(
        *("train", "--dataset", "photos", "--name", "colors", "--config", "options.yaml", "--json"), cwd=workspace
    )
    assert ran.returncode == 0, ran.stderr
    return workspace, ran
