"""Requests of the view *Result*: a model, its report, suspected labels, promotions and comparisons."""

import shutil

import pytest

from model import durable
from model.bundle import write_manifest
from model.bundle_files import LABEL_ISSUES
from model.config import TrainConfig
from model.evaluation.label_issues import HEADER
from model.registry import Registry, find_bundle
from model.studio.model_view import weakest_classes
from model.synthesis.composition import write_demo_dataset
from model.workspace import Workspace
from tests.studio.conftest import ModelStudio
from tests.support.nextcloud_server import NAME
from tests.support.small_model import write_model
from tests.support.studio_models import BLUE, DATASET, HURT, ISSUES

pytestmark = pytest.mark.slow


def test_a_model_is_described_by_its_own_numbers(models: ModelStudio) -> None:
    found = models.get(f"api/models/{NAME}").json()
    measured = find_bundle(Workspace(models.studio.home), NAME).manifest.accuracy
    assert measured is not None and measured.interval is not None
    assert (found["accuracy"]["accuracy"], found["accuracy"]["images"]) == (measured.accuracy, measured.images)
    assert found["accuracy"]["interval"] == list(measured.interval)
    assert [row["recall"] for row in found["weakest"]] == [0.8, 0.8, 0.8]
    assert all(row["training_photos"] == 6 for row in found["weakest"])
    assert found["dataset"]["name"] == DATASET and found["dataset"]["exists"]
    assert set(found["options"]) <= set(vars(TrainConfig()))


def test_the_classes_of_which_most_photos_were_missed_come_first() -> None:
    found = (("elm", 0.9, 0.7), ("oak", 0.8, 0.8), ("ash", 0.85, 0.75), ("fir", 1.0, 1.0), ("yew", 1.0, 0.9))
    rows = [{"class": name, "support": 20, "recall": recall, "f1": f1} for name, recall, f1 in found]
    assert [row["class"] for row in weakest_classes({"per_class": rows}, {})] == ["oak", "ash", "elm"]


@pytest.mark.parametrize("part", ["", "/report", "/label-issues", "/snippets", "/downloads", "/publication"])
def test_models_that_are_damaged_or_gone_are_explained(models: ModelStudio, part: str) -> None:
    hurt, gone, elsewhere = (models.get(f"api/models/{name}{part}") for name in (HURT, "gone", "..%2fdata"))
    assert (hurt.status_code, gone.status_code, elsewhere.status_code) == (409, 404, 404)
    assert "damaged" in hurt.json()["message"] and NAME in gone.json()["message"]


def test_the_report_has_no_access_to_the_page_that_shows_it(models: ModelStudio) -> None:
    answer = models.get(f"api/models/{NAME}/report")
    policy = answer.headers["Content-Security-Policy"]
    assert "All of it." in answer.text and answer.headers["Content-Type"].startswith("text/html")
    assert "sandbox allow-scripts" in policy and "allow-same-origin" not in policy
    assert "frame-ancestors 'self'" in policy and "connect-src" not in policy and "default-src 'none'" in policy
    missing = models.get(f"api/models/{BLUE}/report")
    assert missing.status_code == 409 and "no" in missing.json()["message"]


def test_suspected_labels_are_confirmed_once(models: ModelStudio) -> None:
    path = f"api/models/{NAME}/label-issues"
    found = models.get(path).json()
    assert [(one["photo"], one["given"], one["suggested"]) for one in found["issues"]] == list(ISSUES)
    assert [one["state"] for one in found["issues"]] == ["open", "open", "changed"]

    photo, given, _ = ISSUES[0]
    assert models.post(f"{path}/confirmed", photo=photo, label=given, by="Ada").ok
    assert [one["state"] for one in models.get(path).json()["issues"]] == ["kept", "open", "changed"]
    for elsewhere in ("../../models/hurt/model.onnx", "/etc/passwd", "red", ""):
        assert models.post(f"{path}/confirmed", photo=elsewhere, label=given).status_code in (400, 422), elsewhere


def test_a_model_is_used_until_that_is_undone(models: ModelStudio) -> None:
    workspace = Workspace(models.studio.home)
    assert Registry().latest(workspace).name == NAME
    assert models.post(f"api/models/{BLUE}/use").ok
    assert Registry().latest(workspace).name == BLUE
    assert models.get(f"api/models/{BLUE}").json()["promoted"]
    assert models.post("api/promotion/undo").json() == {"promoted": None}
    assert Registry().latest(workspace).name == NAME
    nothing_left = models.post("api/promotion/undo")
    assert nothing_left.status_code == 400 and "promoted" in nothing_left.json()["message"]
    assert models.post(f"api/models/{HURT}/use").status_code == 409
    assert Registry().latest(workspace).name == NAME


def test_models_are_compared_on_the_same_photos(models: ModelStudio) -> None:
    pair = {"base": BLUE, "new": NAME, "dataset": DATASET}
    assert models.get(f"api/comparisons/{BLUE}/{NAME}").status_code == 409
    task = models.finished(models.post("api/comparisons", **pair))
    assert task["state"] == "done", task
    assert task["result"]["sentences"] and task["result"]["has_page"]
    page = models.get(f"api/comparisons/{BLUE}/{NAME}")
    assert page.ok and "sandbox" in page.headers["Content-Security-Policy"]
    assert models.get("api/comparisons/..%2f/x").status_code == 404


def test_a_comparison_that_is_not_possible_is_explained(models: ModelStudio) -> None:
    assert models.post("api/comparisons", base=NAME, new=NAME, dataset=DATASET).status_code == 400
    gone = models.finished(models.post("api/comparisons", base=NAME, new=BLUE, dataset="gone"))
    assert gone["state"] == "failed" and "gone" in gone["message"]


def test_a_model_that_is_deleted_meanwhile_is_missing_in_every_request(models: ModelStudio) -> None:
    models_folder = models.studio.home / "models"
    shutil.copytree(models_folder / BLUE, models_folder / "short-lived")
    assert models.get("api/models/short-lived").ok
    shutil.rmtree(models_folder / "short-lived")
    assert models.get("api/models/short-lived").status_code == 404
    assert models.post("api/models/short-lived/use").status_code == 404


def test_a_model_whose_dataset_was_removed_shows_all_but_its_photos(models: ModelStudio) -> None:
    about = {"path": str(models.studio.home / "data" / "removed"), "counts": {}, "fingerprint": ""}
    write_model(models.studio.home / "models" / "orphan", dataset=about)
    found = models.get("api/models/orphan").json()
    expected = {"name": "", "path": about["path"], "exists": False, "editable": False, "photos": ""}
    assert found["accuracy"] and found["dataset"] == expected
    assert models.get("api/models/orphan/label-issues").json()["issues"] == []
    refused = models.post("api/models/orphan/label-issues/confirmed", photo="red/0.png", label="red")
    assert refused.status_code == 422 and "removed" in refused.json()["message"]
    shutil.rmtree(models.studio.home / "models" / "orphan")


def test_photos_of_lists_are_found_in_their_folder(models: ModelStudio) -> None:
    lists = models.studio.home / "data" / "lists"
    write_demo_dataset(lists, 3)
    directory = models.studio.home / "models" / "listed"
    bundle = write_model(directory, dataset={"path": str(lists), "counts": {}, "fingerprint": ""})
    photo = next((lists / "images" / "stop").iterdir())
    durable.write_csv(directory / LABEL_ISSUES, HEADER, [(f"stop/{photo.name}", "train", "stop", "yield", "0.1")])
    write_manifest(directory, bundle.manifest)
    dataset = models.get("api/models/listed").json()["dataset"]
    assert (dataset["name"], dataset["editable"], dataset["photos"]) == ("lists", False, "images/")
    found = models.get("api/models/listed/label-issues").json()
    [issue] = found["issues"]
    assert (issue["photo"], issue["state"], found["editable"]) == (f"images/stop/{photo.name}", "open", False)
    assert models.get(f"api/datasets/lists/thumbnail?photo={issue['photo']}").ok
    shutil.rmtree(directory)
