"""The telemetry of ONNX Runtime is disabled."""

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
def test_no_telemetry_is_collected(preset: dict[str, str], tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in QUIETENING}
    subprocess.run(
        [sys.executable, "-c", "import model.features.onnx_session"],
        env=environment | preset | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []


def test_onnx_runtime_is_imported_only_where_telemetry_is_disabled() -> None:
    sources = [path for folder in ("api", "model") for path in (ROOT / folder).rglob("*.py")]
    imported = {path: _imported(path) for path in sources}
    importers = {path: names for path, names in imported.items() if any(map(_is_onnxruntime, names))}
    assert importers
    for path, names in importers.items():
        in_the_room = path.parent == ROOT / "model" / "features"
        first = next(name for name in names if _is_onnxruntime(name) or name.startswith("model.features"))
        assert in_the_room or first.startswith("model.features"), path


def _is_onnxruntime(name: str) -> bool:
    return name.partition(".")[0] == "onnxruntime"


def _imported(path: Path) -> list[str]:
    """Imports in the order in which they run: those at the top of the file before those in functions."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    names = []
    for node in sorted(ast.walk(module), key=lambda node: (node not in module.body, getattr(node, "lineno", 0))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(str(node.module))
    return names
