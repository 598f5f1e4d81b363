"""A studio with an empty workspace, and one with models, shared by the tests of a module."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.browser import running_chromium
from tests.support.nextcloud_server import FOLDER, Nextcloud, nextcloud
from tests.support.studio_models import write_workspace
from tests.support.studio_server import Studio, running_studio
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_chromium() as running:
        yield running


@dataclasses.dataclass(frozen=True)
class ModelStudio:
    """A studio of `tests.support.studio_models`, with a session and a Nextcloud as the remote `rshare:`."""

    studio: Studio
    client: requests.Session
    cloud: Nextcloud

    def get(self, path: str) -> requests.Response:
        return self.client.get(self.studio.url + path, timeout=60)

    def post(self, path: str, **body: Any) -> requests.Response:
        return self.client.post(self.studio.url + path, json=body, timeout=60)

    def finished(self, started: requests.Response) -> dict[str, Any]:
        """The task that a request has started, at its end."""
        assert started.status_code == 202, started.text
        key = started.json()["key"]

        def ended() -> dict[str, Any] | None:
            [task] = [task for task in self.get("api/tasks").json() if task["key"] == key]
            return None if task["state"] == "running" else task

        return wait_until(ended, 120)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelStudio]:
    home = write_workspace(tmp_path_factory.mktemp("models"))
    with nextcloud(home / "cloud") as cloud, running_studio(home, **cloud.environment()) as running:
        (cloud.root / FOLDER).mkdir(parents=True)
        yield ModelStudio(running, running.session(), cloud)
