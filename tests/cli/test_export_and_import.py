"""A trained model is exported from one workspace and imported into another."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import topgraft


@pytest.mark.slow  # trains, and imports by a process that loads TensorFlow
def test_an_imported_model_predicts_the_same_as_the_exported_one(trained: tuple[Path, Any], tmp_path: Path) -> None:
    workspace, _ = trained
    exported = topgraft("export", "colors", "--output", tmp_path / "colors.tar.xz", "--json", cwd=workspace)
    assert exported.returncode == 0, exported.stderr
    (tmp_path / "models").mkdir()
    sha256 = json.loads(exported.stdout)["sha256"]
    imported = topgraft("import", "colors.tar.xz", "--name", "copy", "--sha256", sha256, "--json", cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    assert json.loads(imported.stdout)["warnings"] == []
    photo = workspace / "data" / "photos" / "red" / "0.jpg"
    answers = []
    for name, place in (("colors", workspace), ("copy", tmp_path)):
        ran = topgraft("predict", name, photo, "--json", cwd=place)
        assert ran.returncode == 0, ran.stderr
        answers.append(json.loads(ran.stdout)["predictions"])
    assert answers[0] == answers[1]
    names = {path.name for path in (tmp_path / "models" / "copy").iterdir()}
    assert {"MODEL_CARD.md", "report.html", "logs", "training_features.npz"} <= names
