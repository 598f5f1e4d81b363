"""The model `colours`, in a workspace of its own."""

from pathlib import Path

import pytest

from model.bundle import Bundle
from tests.support.small_model import NAME, write_model


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The model `colours`."""
    return write_model(tmp_path / "models" / NAME)
