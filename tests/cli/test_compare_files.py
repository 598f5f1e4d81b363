"""`topgraft compare` with files elsewhere: remote storage, models of older formats, photos that moved."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import topgraft
from model.cli.command import main
from model.evaluation.comparison import compare_models
from model.manifest_migration import FORMAT_VERSION
from model.registry import find_bundle
from model.workspace import Workspace
from tests.support.colours import write_colour_model, write_colours
from tests.support.storage_servers import use, webdav_server

FORMATS = Path(__file__).resolve().parents[1] / "bundle_formats"
FILES = {"comparison.html", "comparison.json", "changed.csv"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    write_colours(tmp_path / "data" / "photos", 8)
    write_colour_model(tmp_path / "models", "good")
    write_colour_model(tmp_path / "models", "red", always=0)
    return Workspace(tmp_path)


def test_the_files_are_uploaded_to_remote_storage(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tmp_path / "stored"
    stored.mkdir()
    with webdav_server(stored) as server:
        use(monkeypatch, server.environment("rshare"))
        assert main(["compare", "red", "good", "photos", "--output", "rshare:results/first", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        folder = stored / "results" / "first"
        assert {path.name for path in folder.iterdir()} == FILES
        assert json.loads((folder / "comparison.json").read_text()) == answer
        assert answer["sentences"][0] in (folder / "comparison.html").read_text()
        # No file of a former comparison remains.
        assert main(["compare", "good", "good", "photos", "--output", "rshare:results/first"]) == 0
        assert {path.name for path in folder.iterdir()} == FILES
        assert len((folder / "changed.csv").read_text().splitlines()) == 1
        page = (folder / "comparison.html").read_text()
        assert "good is good itself: there is nothing to compare." in page and "<table" not in page
        topgraft.compare("red", "good", "photos", output="rshare:results/python")
        assert {path.name for path in (stored / "results" / "python").iterdir()} == FILES
        topgraft.evaluate("good", "photos", report="rshare:results/report.html")
        assert (stored / "results" / "report.html").is_file()
        # Labels of so few photos are not checked: the file of a former report is removed.
        (stored / "results" / "few.label_issues.csv").write_text("former")
        topgraft.evaluate("good", "photos", report="rshare:results/few.html")
        assert not (stored / "results" / "few.label_issues.csv").exists()
    assert main(["compare", "red", "good", "photos", "--output", "rshare:results/second"]) == 5
    assert not (workspace.root / "comparisons").exists()


def test_a_function_creates_the_folder_of_its_files(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.root)
    for output in (workspace.root / "new" / "folder", "./local:folder"):
        topgraft.compare("red", "good", "photos", output=output)
        assert {path.name for path in Path(output).iterdir()} == FILES


def test_a_model_named_twice_is_in_the_name_of_the_folder_once(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "red", "good", "good", "photos"]) == 0
    assert [path.name for path in (workspace.root / "comparisons").iterdir()] == ["good-red"]
    page = (workspace.root / "comparisons" / "good-red" / "comparison.html").read_text()
    assert "(95 % interval" in page.partition("<h2>Calibration</h2>")[2]
    assert "ltr" in page and "<bdi>green/" not in page


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_models_of_every_format_are_compared_in_both_places(
    workspace: Workspace, version: int, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(FORMATS / f"format_{version}", workspace.models / "older")
    for named in (("older", "red"), ("red", "older")):
        capsys.readouterr()
        assert main(["compare", *named, "photos", "--json"]) == 0
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        row = answer["comparisons"][0]["rows"]["shared"]
        assert row["images"] == 24 and answer["best"] == "older"
        assert row["base" if named[0] == "older" else "new"] == 1
        # Its training photos are not known, which is stated.
        assert any("no checksums of the training photos of older are recorded" in line for line in answer["warnings"])


def test_photos_that_moved_meanwhile_are_listed_and_the_rest_is_compared(workspace: Workspace) -> None:
    photos, output = workspace.data / "photos", workspace.root / "output"
    output.mkdir()

    photos_left = [(photos / "green" / "3.png"), (photos / "blue" / "0.png")]

    def progress(phase: str, done: int, total: int, /, **metrics: float) -> None:
        # The checks of the dataset end with all photos.
        if phase == "check" and done == total and photos_left:
            photos_left.pop(0).rename(workspace.root / "moved.png")
            photos_left.pop(0).write_bytes(b"damaged")

    bundles = [find_bundle(workspace, name) for name in ("red", "good")]
    found = compare_models(bundles[0], bundles[1:], "photos", workspace, progress=progress, output=output)
    assert {item.name for item in found.unreadable} == {"green/3.png", "blue/0.png"}
    assert len(found.names) == 22 and found.pairs[0].rows["shared"].difference.fixed == 14
    page = (output / "comparison.html").read_text()
    assert "2 photos not read" in page and "green/3.png" in page
    with open(output / "changed.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 14


def test_photos_that_moved_after_their_predictions_are_compared_all_the_same(workspace: Workspace) -> None:
    def progress(phase: str, done: int, total: int, /, **metrics: float) -> None:
        if phase == "evaluate" and done == total:
            (workspace.data / "photos").rename(workspace.root / "moved")

    output = workspace.root / "output"
    output.mkdir()
    bundles = [find_bundle(workspace, name) for name in ("red", "good")]
    found = compare_models(bundles[0], bundles[1:], "photos", workspace, progress=progress, output=output)
    assert found.pairs[0].difference.fixed == 16 and all(model.milliseconds > 0 for model in found.models.values())
    assert "16 photos could not be read again" in (output / "comparison.html").read_text()
