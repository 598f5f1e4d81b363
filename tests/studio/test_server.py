"""The server of the studio: its files, its headers, and data for sessions only."""

import json
import subprocess
import sys

import pytest
import requests

from tests.support.command import ROOT
from tests.support.studio_server import Studio

pytestmark = pytest.mark.slow

STATIC = ROOT / "model" / "studio" / "static"


def test_the_shell_and_its_modules_are_served(studio: Studio) -> None:
    for path in [*STATIC.rglob("*.js"), *STATIC.rglob("*.css"), *STATIC.rglob("*.json")]:
        answer = requests.get(studio.url + path.relative_to(STATIC).as_posix(), timeout=10)
        assert (answer.status_code, answer.content) == (200, path.read_bytes()), path
    assert requests.get(f"{studio.url}page/base.css", timeout=10).ok


def test_the_state_of_an_empty_workspace(studio: Studio) -> None:
    state = studio.session().get(f"{studio.url}api/state", timeout=10).json()
    assert [state[name] for name in ("datasets", "models", "trainings")] == [[], [], []]
    assert state["exposure"]["local"] is True


@pytest.mark.parametrize("language", ["fr"])
def test_each_language_has_the_same_texts(language: str) -> None:
    english, other = (json.loads((STATIC / "texts" / f"{name}.json").read_text()) for name in ("en", language))
    assert list(other) == list(english)


def test_a_studio_is_stopped_while_a_thread_works() -> None:
    """Python itself would wait for the thread, such as one that checks 10,000 photos."""
    code = (
        "import concurrent.futures, time\n"
        "from model.studio.starting import leave\n"
        "concurrent.futures.ThreadPoolExecutor().submit(time.sleep, 600)\n"
        "leave(0.1)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0
