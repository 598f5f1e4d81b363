"""A real `topgraft studio` on a free port."""

import contextlib
import dataclasses
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import requests

from tests.support.command import COMMAND, environment_of_tests
from tests.support.ports import free_port
from tests.support.waiting import wait_until

LINK = re.compile(r"(http://\S+/)#token=(\S+)")


@dataclasses.dataclass
class Studio:
    """A studio that runs.

    Attributes:
        url: its address, without a token.
        token: opens one session.
        home: its workspace.
    """

    url: str
    token: str
    home: Path
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def link(self) -> str:
        return f"{self.url}#token={self.token}"

    def session(self) -> requests.Session:
        """A client with the cookie of a new session."""
        client = requests.Session()
        client.post(f"{self.url}api/session", json={"token": self.token}, timeout=10).raise_for_status()
        self.token = client.post(f"{self.url}api/link", timeout=10).json()["token"]
        return client


@contextlib.contextmanager
def running_studio(home: Path, *options: str, port: int | None = None, **variables: str) -> Iterator[Studio]:
    """Start a studio, and stop it at the end; its output is in `home/studio.log`."""
    log = home / "studio.log"
    printed_before = log.stat().st_size if log.exists() else 0
    arguments = ("--workspace", str(home), "studio", "--no-browser", "--port", str(port or free_port()), *options)
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=home,
            env=environment_of_tests(home) | {"TOPGRAFT_TENSORBOARD": "0"} | variables,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        found = wait_until(lambda: LINK.search(log.read_bytes()[printed_before:].decode()), 30, process)
        yield Studio(found[1], found[2], home, process, log)
    finally:
        process.terminate()
        process.wait(20)
