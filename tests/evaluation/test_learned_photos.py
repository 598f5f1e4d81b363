"""`evaluate` on photos that the model learned from: left out and counted where they are copies in another dataset."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from model.bundle import Bundle
from model.cli.command import main
from model.dataset.checked import checked_dataset
from model.dataset.verdict import write_dataset_files
from model.evaluation.comparison.models import compare_models
from model.evaluation.dataset_evaluation import EvaluationResult, evaluate_on_dataset, evaluation_config
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
    assert "5 photos are left out: the model learned from them or from copies" in result.warnings
    assert "red/renamed.png" not in [sample.name for sample in result.evaluation.samples]


def test_one_copy_is_named_in_the_singular_and_none_is_not_mentioned(workspace: Workspace) -> None:
    one = evaluated(workspace, [workspace.data / "photos" / "blue" / "3.png"])
    assert "1 photo is left out: the model learned from it or from a copy" in one.warnings
    shutil.rmtree(workspace.models / "m")
    none = evaluated(workspace, [])
    assert none.learned == 0 and not any("learned" in warning for warning in none.warnings)


def test_where_all_photos_were_learned_from_they_are_measured_with_a_warning(workspace: Workspace) -> None:
    result = evaluated(workspace, sorted((workspace.data / "photos").rglob("*.png")))
    assert result.metrics["images"] == result.learned == result.to_json()["learned"] == 36
    assert result.to_json()["learned_from"] == "all"
    assert any("learned from all of these photos, so the result is too optimistic" in line for line in result.warnings)


@pytest.mark.parametrize("split", ["train", "val"])
def test_no_minimum_accuracy_is_kept_by_photos_that_the_model_learned_from(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    split: str,
) -> None:
    monkeypatch.setenv("TOPGRAFT_HOME", str(workspace.root))
    photos = sorted((workspace.data / "photos").rglob("*.png"))
    lines = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in photos)
    files = {f"dataset_files/{name}.sha256": lines if name == split else "" for name in ("train", "val")}
    rewrite(write_colour_model(workspace.models, "good"), files)
    assert main(["evaluate", "good", "photos", "--json", "--min-accuracy", "0.5"]) == 6
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert answer["metrics"]["accuracy"] == 1 and answer["min_accuracy"] == {"limit": 0.5, "kept": False}
    assert (answer["learned"], answer["learned_from"]) == (36, "all")
    assert "cannot be decided on photos that the model was trained or tuned on" in printed.err
    # Other photos decide it.
    write_colours(workspace.data / "others", 12, seed=9)
    assert main(["evaluate", "good", "others", "--min-accuracy", "0.5"]) == 0


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


def trained(workspace: Workspace, test_fraction: float = 0.2, checksums: bool = True, seed: int = 0) -> Bundle:
    """A model whose files record that it was trained on `photos`, with the splits of a seed."""
    bundle = write_colour_model(workspace.models, "own")
    options = {"val_fraction": 0.2, "test_fraction": test_fraction, "seed": seed}
    with checked_dataset(evaluation_config(bundle, "photos", options), workspace, "test") as verdict:
        write_dataset_files(verdict, bundle.directory / "dataset_files")
        dataset = {"fingerprint": verdict.fingerprint}
    if not checksums:
        for split in ("train", "val"):
            (bundle.directory / "dataset_files" / f"{split}.sha256").unlink()
    return rewrite(bundle, dataset=dataset, train_config=options)


def recorded(bundle: Bundle, *splits: str) -> set[str]:
    """Names of the photos of these splits, as the model recorded them."""
    lists = (bundle.directory / "dataset_files" / f"{split}.txt" for split in splits)
    return {line.rpartition(" ")[0] for path in lists for line in path.read_text().splitlines()}


def measured(result: EvaluationResult) -> set[str]:
    return {sample.name for sample in result.evaluation.samples}


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": 1},
        {"seed": 7},
        {"val_fraction": 0.4},
        {"test_fraction": 0.5},
        {"group_pattern": r"(\d)\."},
    ],
    ids=str,
)
def test_other_splits_of_its_own_dataset_measure_no_photo_that_a_model_learned_from(
    workspace: Workspace, checksums: bool, options: dict[str, object]
) -> None:
    bundle = trained(workspace, checksums=checksums)
    result = evaluate_on_dataset(bundle, "photos", workspace, options)
    assert result.split == "test" and measured(result)
    assert not measured(result) & recorded(bundle, "train", "val")
    with checked_dataset(evaluation_config(bundle, "photos", options), workspace, "test") as verdict:
        names = {sample.name for sample in verdict.dataset.test}
    assert result.learned == len(names & recorded(bundle, "train", "val"))
    assert any("left out: the model learned from" in warning for warning in result.warnings) is (result.learned > 0)


def test_the_test_photos_of_the_training_are_measured_where_those_of_other_splits_were_all_learned_from(
    workspace: Workspace,
) -> None:
    bundle = trained(workspace, 0.1)
    found = [evaluate_on_dataset(bundle, "photos", workspace, {"seed": seed}) for seed in range(1, 12)]
    assert max(result.learned for result in found) == len(recorded(bundle, "test")) == 3
    for result in found:
        assert measured(result) <= recorded(bundle, "test")


@pytest.mark.parametrize("seed", [0, 7])
def test_without_test_photos_none_that_the_weights_come_from_is_measured(workspace: Workspace, seed: int) -> None:
    bundle = trained(workspace, 0.0)
    result = evaluate_on_dataset(bundle, "photos", workspace, {"seed": seed})
    assert result.split == "val" and measured(result) and measured(result) <= recorded(bundle, "val")
    assert any("was trained or tuned on these images" in warning for warning in result.warnings)


def test_the_validation_photos_are_measured_where_the_options_ask_for_test_photos_of_a_model_without(
    workspace: Workspace,
) -> None:
    bundle = trained(workspace, 0.0)
    result = evaluate_on_dataset(bundle, "photos", workspace, {"test_fraction": 0.3})
    assert result.split == "val" and measured(result) <= recorded(bundle, "val")
    assert any("was trained or tuned on these images" in warning for warning in result.warnings)


@pytest.mark.parametrize("own", [True, False])
def test_a_model_that_recorded_no_training_photos_is_measured_with_a_warning(workspace: Workspace, own: bool) -> None:
    bundle = trained(workspace)
    shutil.rmtree(bundle.directory / "dataset_files")
    bundle = rewrite(bundle, dataset=bundle.manifest.dataset if own else {})
    result = evaluate_on_dataset(bundle, "photos", workspace)
    sentence = "no checksums of the training photos of own are recorded: photos that it learned from may be among these"
    assert sentence in result.warnings and result.learned == 0
    assert result.split == ("test" if own else "all")
    comparison = compare_models(bundle, [write_colour_model(workspace.models, "new", always=1)], "photos", workspace)
    assert sentence in comparison.warnings
    doubt = "own was trained on this dataset, and did not record which of its photos it learned from"
    assert any(doubt in text for text in comparison.sentences) is own
    assert any(doubt in text for text in comparison.to_json()["sentences"]) is own
    # As `evaluate` does, the splits of its training are made again.
    assert set(comparison.names) == measured(result)
    assert (len(comparison.names) < 36) is own


def test_other_splits_than_those_of_the_training_leave_no_photos_out(workspace: Workspace) -> None:
    bundle = trained(workspace)
    shutil.rmtree(bundle.directory / "dataset_files")
    bundle = rewrite(bundle)
    new = write_colour_model(workspace.models, "new", always=1)
    comparison = compare_models(bundle, [new], "photos", workspace, options={"seed": 1})
    assert len(comparison.names) == 36
    assert any("its result may be too optimistic" in text for text in comparison.sentences)
