"""The script that OSCAR runs in the image, on the documents that the clients of `docs/clients.md` send."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.command import ROOT
from tests.support.deepaas_server import environment
from tests.support.photos import photo
from tests.support.processes import program
from tests.support.small_model import write_small_model

SCRIPT = ROOT / "docker" / "oscar" / "script.sh"
SCHEMA = json.loads((ROOT / "docs" / "answer.schema.json").read_text())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace with the model `pets`."""
    (tmp_path / "home" / "data").mkdir(parents=True)
    write_small_model(tmp_path / "home" / "models" / "pets")
    return tmp_path / "home"


def invoke(home: Path, name: str, content: bytes) -> "subprocess.CompletedProcess[str]":
    """Do as OSCAR does: the request as a file, a folder for the outputs, the script given to a shell."""
    outputs = home.parent / "outputs"
    outputs.mkdir()
    request = home.parent / name
    request.write_bytes(content)
    path = f"{Path(program('deepaas-cli')).parent}:{os.environ['PATH']}"
    variables = {"INPUT_FILE_PATH": str(request), "TMP_OUTPUT_DIR": str(outputs), "PATH": path}
    return subprocess.run(
        ["sh", SCRIPT], env=environment(home) | variables, cwd=home, capture_output=True, text=True, timeout=120
    )


def outputs(home: Path) -> list[str]:
    return sorted(path.name for path in (home.parent / "outputs").iterdir())


def document(content: bytes, **options: Any) -> bytes:
    file = {"key": "image", "file_format": "jpg", "data": base64.b64encode(content).decode()}
    return json.dumps({"oscar-files": [file], **options}).encode()


@pytest.mark.slow  # deepaas-cli loads the model
@pytest.mark.parametrize("form", ["document", "photo"])
def test_the_answer_is_written_to_a_file_and_to_standard_output(home: Path, form: str) -> None:
    if form == "document":
        ran = invoke(home, "my request.json", document(photo(), model="pets", top_k=2))
    else:
        ran = invoke(home, "my request.jpg", photo())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    answer = json.loads(ran.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(answer)
    assert answer["model"] == "pets" and len(answer["labels"]) == (2 if form == "document" else 3)
    assert outputs(home) == ["my request.json", "my request.log"]
    assert json.loads((home.parent / "outputs" / "my request.json").read_text()) == answer


@pytest.mark.slow  # deepaas-cli starts
def test_a_failed_request_leaves_only_a_log(home: Path) -> None:
    ran = invoke(home, "request.json", document(b"no image", top_k="$(touch PWNED)", model="pets"))
    assert ran.returncode != 0 and ran.stdout
    assert outputs(home) == ["request.log"]
    assert not list(home.rglob("PWNED"))


@pytest.mark.parametrize(
    "content",
    [
        b'{"oscar-files": [{"key": "image"}]}',
        b'{"oscar-files": [{"key": "image", "data": "no base64"}]}',
        b'{"oscar-files": 5}',
        b'{"torn": ',
    ],
)
def test_the_error_of_an_unreadable_request_states_what_is_expected(home: Path, content: bytes) -> None:
    ran = invoke(home, "request.json", content)
    assert ran.returncode != 0 and "expected a JSON object" in ran.stdout
    assert outputs(home) == ["request.log"]
