"""The model `colours`, in a workspace of its own, and a folder of imgclas."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model.bundle import Bundle
from model.workspace import Workspace
from tests.support.small_model import NAME, write_model

if TYPE_CHECKING:
    import keras


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The model `colours`."""
    return write_model(tmp_path / "models" / NAME)


@pytest.fixture
def other_workspace(tmp_path: Path) -> Workspace:
    """Another workspace, empty."""
    (tmp_path / "elsewhere" / "models").mkdir(parents=True)
    return Workspace(tmp_path / "elsewhere")


@pytest.fixture(scope="module")
def network() -> "keras.Model":
    """A network of the form that imgclas trains."""
    from tests.support.imgclas_models import small_network

    return small_network()


@pytest.fixture
def folder(tmp_path: Path, network: "keras.Model") -> Path:
    """A folder of imgclas that can be imported, to be spoilt."""
    from tests.support.imgclas_models import NAME as TRAINED
    from tests.support.imgclas_models import write_folder

    return write_folder(tmp_path / TRAINED, network)
