"""Requests of the view *Try it*: predictions, corrections with who, when and by which model, and photos to sort."""

from pathlib import Path

import pytest
import requests

from model.curation.changes import add_photo, changes
from model.curation.places import UNLABELLED, class_names
from tests.studio.conftest import ModelStudio
from tests.support.nextcloud_server import NAME
from tests.support.photos import encoded, random_image
from tests.support.studio_models import DATASET
from tests.support.waiting import answers, wait_until

pytestmark = pytest.mark.slow

BYTES = {"Content-Type": "application/octet-stream"}


def dataset(models: ModelStudio) -> Path:
    return models.studio.home / "data" / DATASET


def add(models: ModelStudio, content: bytes, **options: str) -> requests.Response:
    """Add a photo that was tried to a class."""
    query = {"dataset": DATASET, "class": "red", "model": NAME, "name": "tried.png", "by": "Ada"} | options
    url = f"{models.studio.url}api/corrections"
    return models.client.post(url, params=query, data=content, headers=BYTES, timeout=60)


def test_a_photo_is_predicted_by_the_service_as_on_the_page(models: ModelStudio) -> None:
    service = models.get("api/state").json()["service"]["address"]
    url = f"{models.studio.url}api/predict"
    headers = BYTES | {"Accept": "application/json"}
    content = (dataset(models) / "green" / "0.png").read_bytes()
    wait_until(lambda: answers(f"{service}/v2/models/topgraft/"), 90, models.studio.process)
    options = {"name": "0.png", "model": NAME, "top_k": "2"}
    answer = models.client.post(url, params=options, data=content, headers=headers, timeout=60).json()
    assert answer["predictions"][0]["labels"][0] == "green"
    refused = models.client.post(url, params={"url": "http://localhost/"}, data=content, headers=headers, timeout=60)
    assert refused.status_code == 400
    assert {model["name"] for model in models.get("api/model").json()["models"]} >= {NAME}


def test_the_page_may_use_the_camera_and_nothing_else(models: ModelStudio) -> None:
    policy = models.get("").headers["Permissions-Policy"]
    assert policy == "camera=(self), microphone=(), geolocation=()"


def test_a_tried_photo_joins_its_class_with_who_and_by_which_model(models: ModelStudio) -> None:
    content = encoded(random_image(1), "PNG")
    assert add(models, content).status_code == 201
    assert (dataset(models) / "red" / "tried.png").read_bytes() == content
    last = changes(dataset(models))[0]
    assert (last.by, last.model) == ("Ada", NAME) and last.at
    other = encoded(random_image(21), "PNG")
    assert add(models, other, **{"class": "violet", "by": ""}).status_code == 201
    assert "violet" in class_names(dataset(models)) and changes(dataset(models))[0].by


def test_the_history_says_who_contradicted_a_model(models: ModelStudio) -> None:
    """The page sends the name of the user in a header."""
    models.client.headers["X-Topgraft-User"] = "Zo%C3%A9"
    added = add(models, encoded(random_image(31), "PNG"), by="", answer="green").json()
    undone = models.post(f"api/datasets/{DATASET}/undo?number={added['number']}")
    del models.client.headers["X-Topgraft-User"]
    assert undone.ok
    last, first = models.get(f"api/datasets/{DATASET}/changes?limit=2").json()["changes"]
    assert (first["by"], first["model"], first["answer"], last["by"]) == ("Zoé", NAME, "green", "Zoé")


def test_a_tried_photo_that_is_in_the_dataset_keeps_one_label(models: ModelStudio) -> None:
    content = (dataset(models) / "green" / "2.png").read_bytes()
    count = len(list(dataset(models).rglob("*.png")))
    right = add(models, content, **{"class": "green"})
    assert (right.status_code, right.json()["number"], right.json()["before"]) == (200, 0, ["green"])
    wrong = add(models, content, **{"class": "blue"}).json()
    assert wrong["before"] == ["green"] and list(wrong["photos"]) == ["green/2.png"]
    assert len(list(dataset(models).rglob("*.png"))) == count
    assert models.post(f"api/datasets/{DATASET}/undo?number={wrong['number']}").ok


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"class": "../out"}, 422),
        ({"class": "<script>"}, 422),
        ({"class": ""}, 400),
        ({"dataset": "gone"}, 422),
        ({"dataset": "../models"}, 422),
        ({"name": "../../x.png"}, 201),
    ],
)
def test_names_never_become_paths(models: ModelStudio, options: dict[str, str], status: int) -> None:
    before = {path for path in models.studio.home.iterdir()}
    assert add(models, encoded(random_image(2), "PNG"), **options).status_code == status
    assert {path for path in models.studio.home.iterdir()} == before
    assert all(path.is_relative_to(dataset(models)) for path in models.studio.home.rglob("x*.png"))


def test_a_file_that_is_no_photo_is_refused(models: ModelStudio) -> None:
    count = len(list((dataset(models) / "red").iterdir()))
    refused = add(models, b"no photo")
    assert refused.status_code == 415 and refused.json()["message"]
    assert len(list((dataset(models) / "red").iterdir())) == count


def test_a_suspected_label_is_corrected_and_no_longer_open(models: ModelStudio) -> None:
    path = f"api/models/{NAME}/label-issues"
    found = models.get(path).json()
    assert found["editable"] and found["issues"][0]["state"] == "open"
    photo = found["issues"][0]["photo"]
    corrected = models.post("api/corrections", dataset=DATASET, photo=photo, model=NAME, **{"class": "green"})
    assert corrected.ok and list(corrected.json()["photos"]) == [photo]
    assert models.get(path).json()["issues"][0]["state"] == "changed"
    again = models.post("api/corrections", dataset=DATASET, photo=photo, model=NAME, **{"class": "green"})
    assert again.status_code == 422 and "moved" in again.json()["message"]


def test_the_least_certain_photo_without_a_label_comes_first(models: ModelStudio, tmp_path: Path) -> None:
    sources = [dataset(models) / "green" / "3.png", dataset(models) / "blue" / "4.png"]
    for seed in range(3):
        sources.append(tmp_path / f"mixed-{seed}.png")
        sources[-1].write_bytes(encoded(random_image(seed), "PNG"))
    for number, source in enumerate(sources):
        add_photo(dataset(models), "", source, name=f"{number}.png")
    (dataset(models) / UNLABELLED / "hurt.png").write_bytes(b"hurt")

    path = f"api/datasets/{DATASET}/unlabelled"
    before = models.get(f"{path}?model={NAME}").json()
    assert (before["total"], before["predicted"]) == (6, 0)
    assert models.finished(models.post(f"{path}/predictions", model=NAME))["state"] == "done"
    after = models.get(f"{path}?model={NAME}").json()
    assert (after["total"], after["predicted"]) == (6, 6)
    *predicted, hurt = after["photos"]
    certainty = [one["probabilities"][0] for one in predicted]
    assert certainty == sorted(certainty) and len(set(certainty)) > 1
    assert hurt["photo"].endswith("hurt.png") and hurt["error"] and hurt["labels"] == []
    assert models.post(f"{path}/predictions", model=NAME).json() is None

    sorted_photo = predicted[0]["photo"]
    models.post("api/corrections", dataset=DATASET, photo=sorted_photo, model=NAME, **{"class": "blue"})
    left = models.get(f"{path}?model={NAME}").json()
    assert left["total"] == 5 and sorted_photo not in [one["photo"] for one in left["photos"]]
    assert models.get(f"{path}?model=gone").json()["predicted"] == 0
    assert models.get("api/datasets/gone/unlabelled").status_code == 422


def test_an_older_model_adds_to_the_class_that_was_renamed(models: ModelStudio) -> None:
    """The model calls it red; since then, the class is crimson."""
    change = f"api/datasets/{DATASET}/changes"
    content = encoded(random_image(11), "PNG")
    add_photo(dataset(models), "", dataset(models) / "red" / "4.png", name="to sort.png")
    queue = f"api/datasets/{DATASET}/unlabelled"
    models.finished(models.post(f"{queue}/predictions", model=NAME))
    assert models.post(change, kind="rename_class", name="red", new_name="crimson").ok
    assert models.get(f"api/models/{NAME}").json()["renamed"] == {"red": "crimson"}
    added = add(models, content, name="renamed.png", answer="red").json()
    assert changes(dataset(models))[0].details["answer"] == "crimson"
    assert added["class"] == "crimson" and (dataset(models) / "crimson" / "renamed.png").is_file()
    row = next(one for one in models.get(f"{queue}?model={NAME}").json()["photos"] if "to sort" in one["photo"])
    assert row["labels"][0] == "crimson" and "red" not in row["labels"]
    moved = models.post("api/corrections", dataset=DATASET, photo=row["photo"], model=NAME, **{"class": "red"})
    assert moved.json()["class"] == "crimson"
    issues = models.get(f"api/models/{NAME}/label-issues").json()
    assert "crimson" in issues["classes"] and "red" not in issues["classes"]
    assert [one["given"] for one in issues["issues"]] == ["crimson", "green", "blue"]
    for _ in range(3):
        assert models.post(f"api/datasets/{DATASET}/undo").ok
    assert models.get(f"api/models/{NAME}").json()["renamed"] == {}
    assert "crimson" not in class_names(dataset(models))
