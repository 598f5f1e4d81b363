"""A service with a trained model, the page in front of it, and a browser that visits it."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.page.photos import write_photos
from tests.page.visit import (
    DESKTOP,
    Visit,
)
from tests.support.browser import playwright, running_chromium
from tests.support.command import COMMAND, ROOT
from tests.support.deepaas_server import Server, running_server
from tests.support.page_server import Line, running_page
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with a model `odd`, whose class names are."""
    home = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
    write_photos(home / "data" / "odd")
    arguments = ("train", "--dataset", "odd", "--name", "odd", "--epochs", "30", "--folds", "0")
    environment = os.environ | {"TOPGRAFT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    training = subprocess.Popen([*COMMAND, *arguments], cwd=home, env=environment)
    try:
        with running_server(home) as running:
            assert training.wait(240) == 0
            yield running
    finally:
        training.kill()


@pytest.fixture(scope="module")
def line(server: Server) -> Iterator[Line]:
    address = urlsplit(server.root)
    carries = Line(free_port(), (str(address.hostname), int(address.port or 0)))
    yield carries
    carries.cut()


@pytest.fixture(scope="module")
def url(line: Line, server: Server) -> Iterator[str]:
    with running_page(f"http://127.0.0.1:{line.port}", server.home) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> "Iterator[playwright.Browser]":
    with running_chromium() as running:
        yield running


@pytest.fixture
def visit(browser: "playwright.Browser", url: str, line: Line, request: Any) -> Iterator[Visit]:
    line.cut()
    line.join()
    context = browser.new_context(**getattr(request, "param", DESKTOP))
    context.set_default_timeout(15_000)
    visit = Visit(context, url)
    visit.ready()
    yield visit
    assert visit.complaints == []
    assert all(address.startswith((url, "blob:")) for address in visit.addresses)
    assert visit.page.title() == "Topgraft"
    context.close()
