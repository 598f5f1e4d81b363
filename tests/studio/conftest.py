"""A studio with an empty workspace, shared by the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.support.studio_server import Studio, running_studio


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("home")) as running:
        yield running
