"""`topgraft models --leaderboard`: the models of each dataset by accuracy."""

import json
from pathlib import Path

from click.testing import CliRunner

from model.bundle import open_bundle, write_manifest
from model.cli.models import models
from tests.support.small_model import measured, write_model, write_small_model


def _run(home: Path, *arguments: str) -> str:
    result = CliRunner().invoke(models, [*arguments, "--workspace", str(home)])
    assert result.exit_code == 0, result.output
    return result.output


def test_models_of_a_dataset_are_ranked(workspace: Path) -> None:
    write_model(workspace / "models" / "weak", metrics={"test": measured() | {"accuracy": 0.6}})
    write_model(workspace / "models" / "strong")
    write_small_model(workspace / "models" / "other")
    damaged = workspace / "models" / "damaged"
    write_small_model(damaged)
    (damaged / "manifest.json").write_text("{")
    lines = _run(workspace, "--leaderboard").splitlines()
    assert lines[0] == "/data/my photos (000000000000)"
    assert lines[1].startswith("  strong: accuracy 87.5 % of 40 test photos (95 % interval 73.9 to 94.5)")
    assert lines[2].startswith("  weak: accuracy 60.0 %") and "ms per photo" in lines[2] and "MB" in lines[2]
    assert lines[3] == "unknown dataset" and lines[4].startswith("  other: accuracy 90.0 %")
    assert len(lines) == 5


def test_the_leaderboard_as_json(workspace: Path) -> None:
    folder = write_model(workspace / "models" / "strong").directory
    (folder / "results.csv").write_text("phase,epoch,seconds\nhead,1,1.5\nhead,2,2.0\n")
    write_manifest(folder, open_bundle(folder).manifest)
    (row,) = json.loads(_run(workspace, "list", "--leaderboard", "--json"))
    assert (row["name"], row["seconds"], row["images"], row["measured_by"]) == ("strong", 3.5, 40, "test")
    assert row["ms_per_photo"] > 0 and row["megabytes"] > 0


def test_an_empty_workspace_says_what_to_do(workspace: Path) -> None:
    assert "topgraft train --dataset FOLDER" in _run(workspace, "--leaderboard")
