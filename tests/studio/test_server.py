"""The server of the studio: its files, its headers, and data for sessions only."""

import ast
import json
import re
import socket
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from model.studio.server import studio_files
from model.studio.starting import PORTS_TO_SERVICE, free_port
from tests.support.command import COMMAND, ROOT, environment_of_tests
from tests.support.studio_server import Studio

pytestmark = pytest.mark.slow

STATIC = ROOT / "model" / "studio" / "static"
REASONS = re.compile(r'return "(name_\w+)", ')


def test_the_shell_and_its_modules_are_served(studio: Studio) -> None:
    for path in [*STATIC.rglob("*.js"), *STATIC.rglob("*.css"), *STATIC.rglob("*.json")]:
        answer = requests.get(studio.url + path.relative_to(STATIC).as_posix(), timeout=10)
        assert (answer.status_code, answer.content) == (200, path.read_bytes()), path
    assert requests.get(f"{studio.url}page/base.css", timeout=10).ok


def test_the_state_of_an_empty_workspace(studio: Studio) -> None:
    state = studio.session().get(f"{studio.url}api/state", timeout=10).json()
    assert [state[name] for name in ("datasets", "models", "trainings")] == [[], [], []]
    assert state["exposure"]["local"] is True


def test_a_second_studio_names_the_address_of_the_first_one(studio: Studio) -> None:
    port = str(urlsplit(studio.url).port)
    command = [*COMMAND, "--workspace", str(studio.home), "studio", "--no-browser", "--port", port]
    environment = environment_of_tests(studio.home)
    ran = subprocess.run(command, cwd=studio.home, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode and f"open {studio.url} in the browser" in ran.stdout + ran.stderr


def test_a_file_of_texts_makes_a_language(monkeypatch: pytest.MonkeyPatch) -> None:
    files = dict.fromkeys(("app.js", "texts/en.json", "texts/de.json"), b"{}")
    monkeypatch.setattr("model.studio.server.packaged_files", lambda package: files)
    assert studio_files()["languages.js"] == b'export const languages = ["de", "en"];\n'


@pytest.mark.parametrize("language", sorted({path.stem for path in (STATIC / "texts").iterdir()} - {"en"}))
def test_each_language_has_the_same_texts(language: str) -> None:
    """English messages and helps of options come from the server, and have translations only."""
    english, other = texts_of("en"), texts_of(language)
    assert [key for key in other if not key.startswith(("error.", "option."))] == list(english)


def texts_of(language: str) -> dict[str, Any]:
    texts: dict[str, Any] = json.loads((STATIC / "texts" / f"{language}.json").read_text())
    return texts


def test_every_message_with_a_code_is_translated_with_its_values() -> None:
    codes: dict[str, set[str]] = {}
    for path in [*(ROOT / "model" / "curation").glob("*.py"), *(ROOT / "model" / "studio").rglob("*.py")]:
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "coded":
                names = {str(one.arg) for one in call.keywords}
                given = call.args[0]
                found = [given.value] if isinstance(given, ast.Constant) else REASONS.findall(path.read_text())
                codes |= {str(one): names for one in found}
    translated = {key.partition(".")[2]: text for key, text in texts_of("fr").items() if key.startswith("error.")}
    assert sorted(translated) == sorted(codes) and len(codes) > 20
    for code, text in translated.items():
        assert set(re.findall(r"{(\w+)}", text)) <= codes[code], code


def test_the_service_has_the_same_port_at_each_start_where_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert free_port(taken) != taken
    assert free_port(taken) == taken
    assert 1024 < free_port(65_600) < 65_536


def test_the_service_is_found_beside_the_studio(studio: Studio) -> None:
    state = studio.session().get(f"{studio.url}api/state", timeout=10).json()
    expected = urlsplit(studio.url).port + PORTS_TO_SERVICE
    assert urlsplit(state["service"]["address"]).port == expected or expected > 65_535


def test_a_studio_is_stopped_while_a_thread_works() -> None:
    """Python itself would wait for the thread, such as one that checks 10,000 photos."""
    code = (
        "import concurrent.futures, time\n"
        "from model.studio.starting import leave\n"
        "concurrent.futures.ThreadPoolExecutor().submit(time.sleep, 600)\n"
        "leave(0.1)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0
