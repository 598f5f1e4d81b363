"""`evaluate` on photos that the model learned from: left out and counted where they are copies in another dataset."""

import hashlib
import shutil
from pathlib import Path

import pytest

from model.evaluation.dataset_evaluation import EvaluationResult, evaluate_on_dataset
from model.workspace import Workspace
from tests.support.colours import rewrite, write_colour_model, write_colours


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_colours(tmp_path / "data" / "photos", 12)
    return Workspace(tmp_path)


def evaluated(workspace: Workspace, learned: list[Path], dataset: str = "photos") -> EvaluationResult:
    """Result of a model that learned from photos with the content of these files."""
    bundle = write_colour_model(workspace.models, "m", always=0)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  elsewhere/{path.name}\n" for path in learned]
    half = len(lines) // 2
    files = {"dataset_files/train.sha256": "".join(lines[:half]), "dataset_files/val.sha256": "".join(lines[half:])}
    return evaluate_on_dataset(rewrite(bundle, files), dataset, workspace)


def test_copies_of_training_photos_are_left_out_under_any_name(workspace: Workspace) -> None:
    folder = workspace.data / "photos"
    learned = [folder / "red" / f"{number}.png" for number in range(5)]
    shutil.copytree(folder, workspace.data / "copy")
    (workspace.data / "copy" / "red" / "0.png").rename(workspace.data / "copy" / "red" / "renamed.png")
    result = evaluated(workspace, learned, "copy")
    assert result.learned == 5 and result.to_json()["learned"] == 5
    assert result.metrics["images"] == 31 and result.metrics["accuracy"] == pytest.approx(7 / 31)
    assert "5 photos are left out: the model learned from copies of them" in result.warnings
    assert "red/renamed.png" not in [sample.name for sample in result.evaluation.samples]


def test_one_copy_is_named_in_the_singular_and_none_is_not_mentioned(workspace: Workspace) -> None:
    one = evaluated(workspace, [workspace.data / "photos" / "blue" / "3.png"])
    assert "1 photo is left out: the model learned from a copy of it" in one.warnings
    shutil.rmtree(workspace.models / "m")
    none = evaluated(workspace, [])
    assert none.learned == 0 and not any("learned" in warning for warning in none.warnings)


def test_where_all_photos_were_learned_from_they_are_measured_with_a_warning(workspace: Workspace) -> None:
    result = evaluated(workspace, sorted((workspace.data / "photos").rglob("*.png")))
    assert result.metrics["images"] == 36 and result.learned == 0
    assert any("learned from all of these photos, so the result is too optimistic" in line for line in result.warnings)


def test_copies_are_left_out_of_the_photos_of_unknown_classes_too(workspace: Workspace) -> None:
    folder = workspace.data / "mixed"
    shutil.copytree(workspace.data / "photos" / "red", folder / "red")
    shutil.copytree(workspace.data / "photos" / "blue", folder / "gray")
    learned = [folder / "red" / "0.png", folder / "gray" / "0.png", folder / "gray" / "1.png"]
    result = evaluated(workspace, learned, "mixed")
    assert (result.learned, result.metrics["images"], len(result.others.samples)) == (3, 11, 10)


def test_photos_of_known_classes_are_measured_where_all_were_learned_from(workspace: Workspace) -> None:
    folder = workspace.data / "mixed"
    shutil.copytree(workspace.data / "photos" / "red", folder / "red")
    shutil.copytree(workspace.data / "photos" / "blue", folder / "gray")
    result = evaluated(workspace, sorted((folder / "red").iterdir()), "mixed")
    assert result.metrics["images"] == 12 and len(result.others.samples) == 12
    assert any("too optimistic" in warning for warning in result.warnings)
