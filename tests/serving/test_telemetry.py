"""ONNX Runtime tells nobody what it runs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# It keeps quiet by itself where these are set, as they are while tests run.
QUIETENING = ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "PYTEST_CURRENT_TEST")


@pytest.mark.parametrize("preset", [{}, {"ORT_DISABLE_TELEMETRY": ""}])
def test_nothing_is_prepared_to_be_sent(preset: dict[str, str], tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in QUIETENING}
    subprocess.run(
        [sys.executable, "-c", "import model.serving.graph"],
        env=environment | preset | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []


def test_it_is_imported_by_the_one_room_that_silences_it() -> None:
    sources = [path for folder in ("api", "model") for path in (ROOT / folder).rglob("*.py")]
    importers = {path.parent for path in sources if "onnxruntime" in set(_imported(path))}
    assert importers == {ROOT / "model" / "serving"}


def _imported(path: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    return [name.partition(".")[0] for name in names]
