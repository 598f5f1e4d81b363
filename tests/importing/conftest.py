"""The model `colours`, in a workspace of its own."""

from pathlib import Path

import pytest

from model.bundle import Bundle
from model.workspace import Workspace
from tests.support.small_model import NAME, write_model


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The model `colours`."""
    return write_model(tmp_path / "models" / NAME)


@pytest.fixture
def other_workspace(tmp_path: Path) -> Workspace:
    """Another workspace, empty."""
    (tmp_path / "elsewhere" / "models").mkdir(parents=True)
    return Workspace(tmp_path / "elsewhere")
