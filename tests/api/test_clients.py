"""The documented clients with a real server: curl, Python, deepaas-cli, OSCAR."""

import base64
import contextlib
import csv
import http.server
import io
import json
import re
import shlex
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

from tests.support.deepaas_server import Server, environment, running_server
from tests.support.photos import photo
from tests.support.processes import program
from tests.support.small_model import write_small_model

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "answer.schema.json").read_text())
ADDRESS = "http://127.0.0.1:5000"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S)


def lines(*pages: str, program: str) -> list[str]:
    found = [line for page in pages for block in blocks(page, "sh") for line in block.splitlines()]
    # Trainings are for test_live_server.py.
    return [line for line in found if line.startswith(program) and "/train/" not in line]


CURL = lines("swagger.md", "clients.md", program="curl")
DEEPAAS = lines("clients.md", program="deepaas-cli")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    write_small_model(home / "models" / "pets")
    with running_server(home) as running:
        yield running


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with the files that the pages speak of."""
    (tmp_path / "new-photo.jpg").write_bytes(photo())
    with zipfile.ZipFile(tmp_path / "holiday.zip", "w") as archive:
        archive.writestr("beach.jpg", photo())
        archive.writestr("torn.jpg", photo()[:300])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_answer(content: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(content)
    jsonschema.Draft202012Validator(SCHEMA).validate(answer)
    return answer


def check_file(path: Path) -> None:
    if path.suffix == ".png":
        assert Image.open(path).size == (1000, 500)
    elif path.suffix == ".csv":
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert [(row["image"], bool(row["error"])) for row in rows] == [("beach.jpg", False), ("torn.jpg", True)]
    else:
        check_answer(path.read_text())


@pytest.mark.parametrize("line", CURL)
def test_curl_commands_of_the_docs_work(line: str, server: Server, directory: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    words = shlex.split(line.replace(ADDRESS, server.root))
    ran = subprocess.run([*words, "--fail-with-body", "--silent"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    if "-o" in words:
        check_file(directory / words[words.index("-o") + 1])
    elif "-F" in words:
        check_answer(ran.stdout)
    else:
        assert json.loads(ran.stdout)["latest"] == "pets"


def test_python_code_of_the_docs_works(server: Server, directory: Path) -> None:
    source = next(block for block in blocks("clients.md", "python") if ADDRESS in block)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source.replace(ADDRESS, server.root), "clients.md", "exec"), {})
    beach, torn = printed.getvalue().splitlines()
    assert beach.startswith("beach.jpg red ") and torn.startswith("torn.jpg expected an image")


@pytest.mark.parametrize("line", DEEPAAS)
def test_deepaas_cli_command_of_the_docs_works(line: str, server: Server, directory: Path) -> None:
    words = shlex.split(line)
    subprocess.run(
        [program(words[0]), *words[1:]], env=environment(server.home), check=True, capture_output=True, timeout=120
    )
    check_file(directory / words[2])


def test_oscar_command_of_the_docs_works(server: Server, directory: Path) -> None:
    source = next(block for block in blocks("clients.md", "python") if "oscar-files" in block)
    printed = io.StringIO()
    with _oscar(server, directory) as endpoint, contextlib.redirect_stdout(printed):
        exec(compile(source.replace("https://the-endpoint-of-your-service", endpoint), "clients.md", "exec"), {})
    answer = check_answer(printed.getvalue())
    assert (answer["model"], len(answer["labels"])) == ("pets", 2)
    assert json.loads((directory / "request.json").read_text())["oscar-files"][0]["key"] == "image"


@contextlib.contextmanager
def _oscar(server: Server, folder: Path) -> Iterator[str]:
    """Run a document as the platform does: its files are written, its keys are options of `deepaas-cli predict`."""

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Authorization"] == "Bearer its token"
            options = [f"--{name}={value}" for name, value in document.items() if name != "oscar-files"]
            for number, file in enumerate(document["oscar-files"]):
                path = folder / f"oscar-{number}.{file['file_format']}"
                path.write_bytes(base64.b64decode(file["data"]))
                options.append(f"--{file['key']}={path}")
            output = folder / "oscar-answer.json"
            command = [program("deepaas-cli"), f"--deepaas_method_output={output}", "predict", *options]
            ran = subprocess.run(command, env=environment(server.home), capture_output=True, timeout=120)
            self.send_response(200 if ran.returncode == 0 else 500)
            self.end_headers()
            self.wfile.write(output.read_bytes() if ran.returncode == 0 else ran.stderr)

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
