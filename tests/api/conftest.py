"""A workspace that the plug-in finds, and uploads as DEEPaaS makes them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api import plugin, worker_state
from model.workspace import Workspace
from tests.support.deepaas_server import Server, running_server
from tests.support.fake_predictor import Upload
from tests.support.small_model import write_small_model


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace that the plug-in finds, and a process with empty caches."""
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    registry = worker_state.Registry()
    monkeypatch.setattr(plugin, "REGISTRY", registry)
    monkeypatch.setattr(plugin, "MODEL_CACHE", worker_state.ModelCache(registry))
    return Workspace(tmp_path)


@pytest.fixture
def upload(tmp_path: Path) -> Callable[..., Upload]:
    """Make an upload of some content: a temporary file whose name has no ending."""

    def make(content: bytes, name: str = "photo.jpg") -> Upload:
        path = tmp_path / f"tmp{len(list(tmp_path.iterdir()))}"
        path.write_bytes(content)
        return Upload("image", str(path), "application/octet-stream", name)

    return make


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A live server with the model `small`, for tests that neither train nor change it."""
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "small")
    with running_server(home) as running:
        yield running
