"""Report of a model on another dataset: what the features of the evaluated photos show, and what is left out."""

import csv
import dataclasses
import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from model.bundle import Bundle
from model.dataset.checked import checked_dataset
from model.dataset.verdict import write_dataset_files
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
    assert "36 evaluated photos" in page and not (workspace.root / "label_issues.csv").exists()
    assert page.count("<use href=") >= 36
    # Neighbours are training photos, of which only names and classes are known.
    assert re.search(r"[0-9]+\.jpg", page)
    assert "Not measured: this needs the training photos, which the report of the training shows." in page
    assert "gone or changed" not in page


def test_a_model_without_reference_features_has_those_that_need_probabilities_only(workspace: Workspace) -> None:
    page = workspace.root / "report.html"
    evaluate_on_dataset(write_colour_model(workspace.models, "bare"), "photos", workspace, report=page)
    content = page.read_text(encoding="utf-8")
    assert "<h2>Confusion matrix</h2>" in content and "<h2>Most uncertain photos</h2>" in content
    assert "The labels of 36 evaluated photos were checked, and none is suspected" in content
    assert "Not measured: the features of the training photos are not recorded, as of an imported model" in content
    assert "Map of the photos" not in content and "neighbours" not in content.partition("</style>")[2]


def test_labels_are_checked_by_probabilities_where_there_are_no_features(workspace: Workspace) -> None:
    for number, given in enumerate(("red", "green", "blue")):
        source = workspace.data / "photos" / ("red", "green", "blue")[number - 1] / "0.png"
        source.rename(workspace.data / "photos" / given / "wrong.png")
    page = workspace.root / "report.html"
    evaluate_on_dataset(write_colour_model(workspace.models, "bare"), "photos", workspace, report=page)
    with open(page.with_name("report.label_issues.csv"), newline="") as stream:
        assert {row["image"] for row in csv.DictReader(stream)} == {
            f"{one}/wrong.png" for one in ("red", "green", "blue")
        }
    section = page.read_text(encoding="utf-8").partition("<h2>Suspected label errors</h2>")[2]
    assert "nearest photos" not in section.partition("<h2>")[0]
    # A report whose labels are not checked leaves no file of the former one.
    learned = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted((workspace.data / "photos").rglob("*.png"))
    )
    files = {"dataset_files/train.sha256": learned, "dataset_files/val.sha256": ""}
    evaluate_on_dataset(
        rewrite(write_colour_model(workspace.models, "learned"), files), "photos", workspace, report=page
    )
    assert not list(workspace.root.glob("*.csv"))


def test_all_suspected_labels_are_in_a_file_beside_the_page(workspace: Workspace) -> None:
    write_colours(workspace.data / "wrong", 100)
    colours = ("red", "green", "blue")
    # More than the page shows.
    for given, true in zip(colours, (*colours[1:], colours[0]), strict=True):
        for number in range(25):
            (workspace.data / "wrong" / true / f"{number}.png").rename(
                workspace.data / "wrong" / given / f"{true}-{number}.png"
            )
    page = workspace.root / "pages" / "wrong.html"
    page.parent.mkdir()
    bundle = write_colour_model(workspace.models, "known", learned_colours=COLOURS)
    evaluate_on_dataset(bundle, "wrong", workspace, report=page)
    with open(page.with_name("wrong.label_issues.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["split"] for row in rows} == {"all"}
    assert len(rows) > 50 and all(Path(row["image"]).name.startswith(f"{row['suggested']}-") for row in rows)
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "All are in wrong.label_issues.csv." in text
    assert f"{len(rows) - 40} more, in wrong.label_issues.csv" in text


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


def recorded(workspace: Workspace, test_fraction: float, dataset: str = "photos") -> Bundle:
    """A model whose files record that it was trained on a dataset; 30 photos of each class, it says."""
    bundle = write_colour_model(workspace.models, "trained", learned_colours=COLOURS)
    options = {"val_fraction": 0.3, "test_fraction": test_fraction, "seed": 0}
    with checked_dataset(evaluation_config(bundle, dataset, options), workspace, "test") as verdict:
        write_dataset_files(verdict, bundle.directory / "dataset_files")
        counts = {"train": dict.fromkeys(bundle.manifest.classes, 30)}
        found = {"fingerprint": verdict.fingerprint, "counts": counts, "folds": 0}
    return rewrite(bundle, dataset=found, train_config=options)


def page_of(workspace: Workspace, bundle: Bundle, dataset: str = "photos", **options: object) -> str:
    path = workspace.root / "report.html"
    evaluate_on_dataset(bundle, dataset, workspace, options, report=path)
    return " ".join(path.read_text(encoding="utf-8").split())


def test_the_page_names_the_evaluated_dataset_its_split_and_what_is_left_out(workspace: Workspace) -> None:
    bundle = recorded(workspace, 0.3)
    other = workspace.data / "other"
    write_colours(other, 11, ("red", "green", "blue", "gray"), seed=5)
    for number in range(3):
        shutil.copy(workspace.data / "photos" / "red" / f"{number}.png", other / "red" / f"copy{number}.png")
    for number in range(10):
        (other / "blue" / f"bad{number}.png").write_text("no image")
    page = page_of(workspace, bundle, "other", max_bad_fraction=1.0)
    header, dataset = (
        page[page.index("<header>") : page.index("</header>")],
        page[page.index("<h2>Evaluated dataset") :],
    )
    [learned] = map(int, re.findall("; ([0-9]+) photos? left out, which the model learned from", header))
    assert 1 <= learned <= 3
    assert f"{other}</bdi>, split: all, {36 - learned} photos" in header and "trained on 90 photos" in header
    assert "11 photos left out, of classes that the model does not know" in header
    assert f"<title>trained: evaluation on {other}</title>" in page
    assert f"{36 - learned} photos evaluated in 3 classes" in dataset and "dataset_files/rejected.csv" not in page
    assert page.count("bad3.png") == 1 and "and 2 more, which topgraft evaluate --json lists" in dataset
    assert "Training set" not in dataset and '<th class="n">evaluated</th><th class="n">trained on</th>' in page
    assert '<td class="n soft">30</td>' in page


def test_photos_of_a_dataset_without_splits_are_no_test_photos(workspace: Workspace) -> None:
    write_colours(workspace.data / "other", 12, seed=5)
    page = page_of(workspace, recorded(workspace, 0.3), "other")
    assert "Measured on 36 photos of a dataset without a test split; the model learned from none of them." in page
    assert not re.search("test set|test photos|Test set", page) and "36 evaluated photos" in page


def test_the_test_split_is_one_that_the_model_did_not_learn_from(workspace: Workspace) -> None:
    page = page_of(workspace, recorded(workspace, 0.3))
    assert re.search("Measured on the [0-9]+ photos of the test split; the model learned from none of them", page)
    assert ", split: test, " in page


@pytest.mark.parametrize("own", [True, False])
def test_photos_that_a_model_learned_from_say_so_and_their_labels_are_not_checked(
    workspace: Workspace, own: bool
) -> None:
    shutil.copytree(workspace.data / "photos", workspace.data / "copies")
    (workspace.data / "copies" / "red" / "0.png").rename(workspace.data / "copies" / "red" / "renamed.png")
    bundle = recorded(workspace, 0.0)
    page = page_of(workspace, bundle, "photos" if own else "copies")
    if own:
        assert "<b>The model was trained or tuned on these photos</b>" in page
    else:
        assert "<b>The model learned from all of these photos.</b>" in page
        assert "Expected accuracy on new photos" not in page
    assert "which were not used in training" not in page and "learned from none of them" not in page
    assert "Labels were not checked: the model learned from these photos" in page


def test_where_no_training_photos_are_recorded_the_page_says_that_some_may_be_among_these(workspace: Workspace) -> None:
    page = page_of(workspace, write_colour_model(workspace.models, "old", learned_colours=COLOURS))
    assert "Whether the model learned from some of these photos is not known" in page
    assert "it is not known whether the model was trained on some of these photos" in page
    assert "learned from none of them" not in page and "which was not trained on them" not in page


def test_related_photos_in_splits_of_the_training_are_listed(workspace: Workspace) -> None:
    for split, seed in (("train", 1), ("val", 2), ("test", 3)):
        write_colours(workspace.data / "splits" / split, 12, seed=seed)
    source = workspace.data / "splits" / "train" / "red" / "0.png"
    shutil.copy(source, workspace.data / "splits" / "test" / "red" / "leak.png")
    page = page_of(workspace, recorded(workspace, 0.3, "splits"), "splits")
    assert "<b>Leakage.</b>" in page and "; 1 photo left out, which the model learned from" in page
