"""A workspace with a model that is loaded in no time, with numbers such as a training measures."""

from pathlib import Path

import pytest

from model.bundle import Bundle
from model.registry import find_bundle
from model.workspace import Workspace
from tests.support.small_model import NAME, write_model


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with the model `colours`."""
    (tmp_path / "data").mkdir()
    write_model(tmp_path / "models" / NAME)
    return Workspace(tmp_path)


@pytest.fixture
def bundle(workspace: Workspace) -> Bundle:
    """The model `colours`."""
    return find_bundle(workspace, NAME)
