"""The pipeline of traffic signs runs from labels to a comparison in the real Elyra."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from model.pipelines.pipeline_file import find_pipeline, read_pipeline
from tests.labels.label_studio_tasks import boxed_tasks, write_cutouts
from tests.support.caches import new_cache
from tests.support.elyra_commands import Command, run_elyra

pytestmark = [pytest.mark.slow, pytest.mark.system]

PHOTOS = 24


def write_inputs(folder: Path) -> dict[str, str]:
    """Labelled photos and cut-outs of two classes; returns the variables that name them."""
    images, cutouts, labels = folder / "images", folder / "cutouts", folder / "export.json"
    labels.parent.mkdir(parents=True)
    labels.write_text(json.dumps(boxed_tasks(images, PHOTOS)))
    write_cutouts(cutouts)
    return {"labels": str(labels), "images": str(images), "cutouts": str(cutouts)}


def test_elyra_runs_the_pipeline_from_labels_to_a_comparison(tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    shutil.copytree(find_pipeline("traffic-signs").parent, work)
    variables = write_inputs(tmp_path / "data") | {"count": "4", "epochs": "1"}
    variables |= {"TOPGRAFT_CACHE": str(new_cache(tmp_path / "cache"))}
    home.mkdir()
    # The steps run in the folder of the notebooks, which may be a workspace of the user.
    (work / "workspace" / "models").mkdir(parents=True)
    (work / "workspace" / "models" / "mine").touch()
    results = run_elyra(home, work, {"run": Command(["run", "traffic-signs.pipeline"], variables=variables)})
    assert results["run"].exit_status == 0, results["run"].output
    outputs = [output for step in read_pipeline(work / "pipeline.yaml").steps for output in step.outputs]
    assert [output for output in outputs if not (work / output).is_file()] == []
    assert [str(path.relative_to(work)) for path in work.glob("workspace*/models/*")] == ["workspace/models/mine"]
    compared = json.loads((work / "comparison" / "comparison.json").read_text())
    assert (compared["base"], [one["new"] for one in compared["comparisons"]]) == ("base", ["new"])
    # `epochs` came as an environment variable.
    with open(work / "results.csv", encoding="utf-8", newline="") as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1"]
