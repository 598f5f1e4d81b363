"""Boxes are cut out for suggestions as they were in the import of the model's dataset."""

import json
from pathlib import Path

import pytest

from model.errors import DatasetError
from model.labels.crops import CropOptions
from model.labels.former import recorded_options
from tests.labels.label_studio_server import LEGACY_TOKEN, label_studio
from tests.labels.label_studio_tasks import box_item, boxed_tasks, imported
from tests.labels.suggesting import RECTANGLES, coloured_photo, project_of
from tests.support.command import Run
from tests.support.small_model import write_model


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset that was cut with a wide margin."""
    photos = tmp_path / "photos"
    (tmp_path / "export.json").write_text(json.dumps(boxed_tasks(photos)))
    imported(tmp_path / "export.json", photos, tmp_path / "made", margin=1.0, min_side=9, straighten=True)
    return tmp_path / "made"


def test_an_import_records_how_images_are_cut_out(tmp_path: Path, dataset: Path) -> None:
    assert recorded_options(dataset) == CropOptions(1.0, 9, True)
    assert recorded_options(tmp_path) is None
    record = json.loads((dataset / "import.json").read_text())
    (dataset / "import.json").write_text(json.dumps(record | {"options": {"margin": "wide"}}))
    with pytest.raises(DatasetError, match="received a damaged one"):
        recorded_options(dataset)
    del record["options"]
    (dataset / "import.json").write_text(json.dumps(record))
    assert recorded_options(dataset) is None


@pytest.mark.parametrize(("options", "label"), [((), "green"), (("--margin", "0"), "red")])
def test_suggestions_are_cut_out_in_the_same_way_unless_an_option_says_otherwise(
    run: Run, workspace: Path, dataset: Path, options: tuple[str, ...], label: str
) -> None:
    write_model(workspace / "models" / "colours")
    issues = workspace / "label_issues.csv"
    issues.write_text("image,split,given,suggested,quality\n")
    project = project_of(coloured_photo("green", box="red"), configuration=RECTANGLES)
    project.add_prediction(1, model_version="detector", result=[box_item("blue")])
    with label_studio(project) as address:
        source = ("suggest-labels", "colours", "--url", address, "--project", 1)
        made = run(
            *source, "--errors", issues, "--dataset", dataset, *options, "--json", LABEL_STUDIO_API_KEY=LEGACY_TOKEN
        )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["suggestions"][0]["labels"] == [label]
