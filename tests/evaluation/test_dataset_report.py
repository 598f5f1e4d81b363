"""Report of a model on another dataset: what the features of the evaluated photos show, and what is left out."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from model.dataset.checked import checked_dataset
from model.evaluation.dataset_evaluation import evaluate_on_dataset, evaluation_config
from model.serving.predictor import load_predictor
from model.workspace import Workspace
from tests.support.colours import rewrite, write_colour_model, write_colours

COLOURS = np.random.default_rng(0).normal(80, 30, (60, 3))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_colours(tmp_path / "data" / "photos", 12)
    return Workspace(tmp_path)


def report_of(workspace: Workspace, name: str) -> str:
    page = workspace.root / "report.html"
    bundle = write_colour_model(workspace.models, name, learned_colours=COLOURS)
    evaluate_on_dataset(bundle, "photos", workspace, report=page)
    return " ".join(page.read_text(encoding="utf-8").split())


def test_the_sections_that_need_features_are_those_of_the_evaluated_photos(workspace: Workspace) -> None:
    page = report_of(workspace, "known")
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    for heading in ("Most uncertain photos", "Suspected label errors", "Map of the photos", "Variety of each class"):
        assert heading in headings, headings
    assert "36 evaluated photos" in page and "label_issues.csv" not in page
    assert page.count("<use href=") >= 36
    # Neighbours are training photos, of which only names and classes are known.
    assert re.search(r"[0-9]+\.jpg", page)
    assert "Not measured: this needs the training photos, which the report of the training shows." in page
    assert "gone or changed" not in page


def test_a_model_without_reference_features_has_none_of_them(workspace: Workspace) -> None:
    page = workspace.root / "report.html"
    evaluate_on_dataset(write_colour_model(workspace.models, "bare"), "photos", workspace, report=page)
    content = page.read_text(encoding="utf-8")
    assert "<h2>Confusion matrix</h2>" in content and "Most uncertain photos" not in content


def test_neighbours_are_shown_where_the_training_photos_are_at_hand(workspace: Workspace) -> None:
    bundle = write_colour_model(workspace.models, "trained", learned_colours=COLOURS)
    config = evaluation_config(bundle, "photos", {})
    with checked_dataset(config, workspace, "test") as verdict:
        fingerprint = verdict.fingerprint
    reference = load_predictor(bundle).reference
    assert reference is not None
    names = [f"{colour}/{number}.png" for colour in ("red", "green") for number in range(12)]
    renamed = dataclasses.replace(reference, names=tuple((names * 2)[: len(reference.names)]))
    renamed.save(bundle.directory / "training_features.npz")
    found = {}
    for kind, changed in (("other", {}), ("same", {"fingerprint": fingerprint, "folds": 0})):
        page = workspace.root / f"{kind}.html"
        evaluate_on_dataset(rewrite(bundle, dataset=changed), "photos", workspace, report=page)
        lists = re.findall(r'<ul class="neighbours".*?</ul>', page.read_text(encoding="utf-8"), re.DOTALL)
        found[kind] = ["<svg" in one for one in lists]
    # Photos of another dataset may have the same names, and are other photos.
    assert found["other"] and not any(found["other"])
    assert found["same"] and all(found["same"])
