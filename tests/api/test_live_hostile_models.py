"""Hostile models in models/ of a real server: each request for them is refused, and the others are answered."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.bundle_files import MANIFEST
from tests.api.test_hostile_models import HOSTILE
from tests.support.deepaas_server import Server, running_server
from tests.support.photos import photo
from tests.support.slowness import slowness
from tests.support.small_model import write_model

pytestmark = pytest.mark.slow  # starts a server

_MAX_SECONDS = 5.0
_MAX_BYTES = 20_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the models `whole` and `odd`."""
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "whole")
    with running_server(home) as running:
        yield running


@pytest.fixture
def odd(server: Server) -> Iterator[Path]:
    """The manifest of the model `odd`, which is newer than the model `whole`."""
    folder = server.home / "models" / "odd"
    write_model(folder, created="2026-01-02T00:00:00Z")
    assert server.predict(photo(), model="odd").status_code == 200
    yield folder / MANIFEST
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_model_is_refused_and_the_others_answer(kind: str, odd: Path, server: Server) -> None:
    HOSTILE[kind](odd)
    workers = {worker.pid for worker in server.workers()}
    assert workers
    started = time.monotonic()
    refused = server.predict(photo(), model="odd")
    answers = [server.predict(photo(), model=name) for name in ("latest", "whole")]
    metadata = server.metadata()
    assert time.monotonic() - started < _MAX_SECONDS * slowness()
    assert 400 <= refused.status_code < 600 and refused.status_code != 500, refused.text[:1000]
    assert len(refused.content) < _MAX_BYTES and "odd" in refused.json()["message"]
    assert [(answer.status_code, answer.json()["model"]) for answer in answers] == [(200, "whole")] * 2
    assert "whole" in [model["name"] for model in metadata["models"]] and len(str(metadata)) < _MAX_BYTES
    assert {worker.pid for worker in server.workers()} == workers
