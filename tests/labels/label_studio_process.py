"""A real Label Studio server, from a virtual environment of its own."""

import contextlib
import dataclasses
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.support.ports import free_port
from tests.support.separate_environments import separate_environment
from tests.support.waiting import answers, wait_until

PACKAGES = ("label-studio==1.23.2",)
USER, PASSWORD, TOKEN = "annotator@example.org", "a-password-of-tests", "0123456789abcdef0123456789abcdef01234567"
# The first start creates the database, in 100 s of processor time.
SECONDS_TO_START = 600


@dataclasses.dataclass(frozen=True)
class RealLabelStudio:
    """A running server with one user."""

    address: str

    def request(self, method: str, path: str, **content: Any) -> Any:
        """The JSON answer of the API to the user's legacy token."""
        headers = {"Authorization": f"Token {TOKEN}"}
        answer = requests.request(method, f"{self.address}{path}", headers=headers, timeout=120, **content)
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json() if answer.content else None

    def create_project(self, title: str, configuration: str) -> int:
        """A new project; its number."""
        project = self.request("POST", "/api/projects/", json={"title": title, "label_config": configuration})
        return int(project["id"])

    def upload(self, project: int, photos: dict[str, bytes]) -> dict[str, int]:
        """Upload photos; file name -> identifier of the task."""
        files = [(name, (name, content, "image/png")) for name, content in photos.items()]
        self.request("POST", f"/api/projects/{project}/import", files=files)
        tasks = self.tasks(project)
        found = {name: task["id"] for task in tasks for name in photos if task["data"]["image"].endswith(f"-{name}")}
        assert found.keys() == photos.keys(), tasks
        return found

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """All tasks with their annotations and predictions."""
        answer = self.request("GET", f"/api/tasks?project={project}&page_size=1000&fields=all")
        tasks: list[dict[str, Any]] = answer["tasks"]
        return tasks

    def annotate(self, task: int, *items: dict[str, Any]) -> int:
        """Add an annotation of a task; its identifier."""
        return int(self.request("POST", f"/api/tasks/{task}/annotations/", json={"result": list(items)})["id"])

    def personal_token(self) -> str:
        """A new personal access token of the user."""
        # Its tokens are switched off for new organizations.
        self.request("POST", "/api/jwt/settings", json={"api_tokens_enabled": True, "legacy_api_tokens_enabled": True})
        return str(self.request("POST", "/api/token/")["token"])


@contextlib.contextmanager
def running_label_studio(directory: Path) -> Iterator[RealLabelStudio]:
    """Start a server that keeps everything in `directory`; end it and all its processes."""
    program = separate_environment("label-studio", PACKAGES) / "label-studio"
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LABEL_STUDIO"))}
    environment |= {
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": TOKEN,
        "LABEL_STUDIO_BASE_DATA_DIR": str(directory),
        # Loopback addresses of remote storage are refused otherwise.
        "SSRF_PROTECTION_ENABLED": "false",
        # Nothing is requested from the internet.
        "LATEST_VERSION_CHECK": "false",
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
    command: list[str | Path] = [program, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    log = directory / "server.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [*command, "--data-dir", directory],
            stdout=output,
            stderr=output,
            env=environment,
            cwd=directory,
            start_new_session=True,
        )
    server = RealLabelStudio(f"http://127.0.0.1:{port}")
    try:
        try:
            wait_until(lambda: answers(f"{server.address}/health"), SECONDS_TO_START, process)
        except AssertionError as error:
            raise AssertionError(f"Label Studio did not start: {log.read_text()[-2000:]}") from error
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
