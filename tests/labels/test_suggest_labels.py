"""Suggestions of a model in a Label Studio project."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.dataset import pipeline
from model.errors import StorageError
from model.labels import server_predictions
from model.labels.candidates import Candidate, Region
from model.labels.controls import Control
from model.labels.crops import CropOptions
from model.labels.suggestions import Suggestion, suggest
from model.labels.suspected import SuspectedLabel, SuspectedLabels
from model.storage import failures
from tests.labels.label_studio_server import LEGACY_TOKEN, PERSONAL_TOKEN, Project, label_studio
from tests.labels.label_studio_tasks import annotation, box_item, choice_item
from tests.labels.suggesting import (
    RECTANGLES,
    coloured_photo,
    labels_of,
    labels_on,
    predictor,
    project_of,
    suggested,
)

VERSION = "topgraft:colours"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "SECONDS_BETWEEN_TRIES", (0.0,))


def coloured_project(*colours: str) -> Project:
    return project_of(*(coloured_photo(colour) for colour in colours))


@pytest.mark.parametrize("token", [LEGACY_TOKEN, PERSONAL_TOKEN])
def test_each_photo_without_an_annotation_gets_its_class(tmp_path: Path, token: str) -> None:
    project = coloured_project("red", "reddish", "blue", "green")
    project.tasks[3]["annotations"] = [annotation(choice_item("green"))]
    with label_studio(project) as address:
        result = suggested(address, predictor(tmp_path), token)
    assert labels_on(project) == [[(VERSION, ["red"])], [(VERSION, ["red"])], [(VERSION, ["blue"])], []]
    assert (result.tasks, result.annotated, result.new, result.removed) == (4, 1, 3, 0)
    assert project.shown["model_version"] == VERSION
    [stored] = project.predictions(1)
    [item] = stored["result"]
    assert (item["from_name"], item["to_name"], item["type"]) == ("kind", "image", "choices")
    assert 0.99 < item["score"] == stored["score"] <= 1
    scores = [one.score for one in result.suggestions]
    assert [one.task for one in result.suggestions] == [2, 1, 3] and scores == sorted(scores)
    assert 0.5 < scores[0] < 0.9


def test_each_box_gets_the_class_of_what_is_inside(tmp_path: Path) -> None:
    project = project_of(coloured_photo("green", box="red"), configuration=RECTANGLES)
    turned = box_item("green", "r2", x=5, y=75, width=15, height=15, rotation=10)
    unlabelled: dict[str, Any] = {**box_item(name="r3", x=70, y=70), "type": "rectangle"}
    del unlabelled["value"]["rectanglelabels"]
    project.add_prediction(1, model_version="detector", result=[box_item("blue"), turned, unlabelled], score=0.4)
    with label_studio(project) as address:
        suggested(address, predictor(tmp_path))
    [detected, ours] = project.predictions(1)
    assert detected["model_version"] == "detector" and labels_of(detected) == ["blue", "green", ""]
    assert labels_of(ours) == ["red", "green", "green"]
    assert [item["id"] for item in ours["result"]] == ["r1", "r2", "r3"]
    assert ours["result"][1]["value"] == {**turned["value"], "rectanglelabels": ["green"]}
    assert (ours["result"][1]["original_width"], ours["result"][1]["original_height"]) == (320, 240)
    assert ours["score"] == min(item["score"] for item in ours["result"])


def test_the_margin_of_a_box_is_part_of_what_is_classified(tmp_path: Path) -> None:
    project = project_of(coloured_photo("green", box="red"), configuration=RECTANGLES)
    project.add_prediction(1, model_version="detector", result=[box_item("blue")], score=0.4)
    with label_studio(project) as address:
        assert suggested(address, predictor(tmp_path)).suggestions[0].labels == ("red",)
        wide = suggested(address, predictor(tmp_path), crops=CropOptions(margin=1.0))
        assert wide.suggestions[0].labels == ("green",)
        # The boxes of the detector are read, not those of our former suggestion.
        project.predictions(1)[0]["result"] = [box_item("blue", x=60)]
        assert suggested(address, predictor(tmp_path)).suggestions[0].labels == ("green",)


def test_the_same_command_again_changes_nothing(tmp_path: Path) -> None:
    project = coloured_project("red", "blue")
    with label_studio(project) as address:
        suggested(address, predictor(tmp_path))
        stored = [dict(task) for task in project.tasks]
        project.changes.clear()
        result = suggested(address, predictor(tmp_path))
    assert (result.new, result.unchanged, result.removed) == (0, 2, 0)
    assert project.changes == [] and project.tasks == stored


def test_former_suggestions_are_replaced_and_those_of_others_kept(tmp_path: Path) -> None:
    project = coloured_project("red", "blue")
    project.add_prediction(1, model_version="other", result=[choice_item("green")], score=None)
    with label_studio(project) as address:
        suggested(address, predictor(tmp_path, "first"))
        project.tasks[1]["annotations"] = [annotation(choice_item("blue"))]
        result = suggested(address, predictor(tmp_path, "second"))
    assert (result.new, result.removed) == (1, 2)
    assert labels_on(project) == [[("other", ["green"]), ("topgraft:second", ["red"])], []]
    assert project.shown["model_version"] == "topgraft:second"


def test_the_most_uncertain_ones_are_kept_of_more_than_requested(tmp_path: Path) -> None:
    project = coloured_project("red", "reddish", "blue")
    with label_studio(project) as address:
        suggested(address, predictor(tmp_path))
        result = suggested(address, predictor(tmp_path), most=1)
    assert [one.task for one in result.suggestions] == [2] and result.omitted == 2
    assert labels_on(project) == [[], [(VERSION, ["red"])], []]


def test_suspected_labels_come_first_and_are_marked(tmp_path: Path) -> None:
    project = project_of(
        coloured_photo("green", box="red"), coloured_photo("blue"), coloured_photo("blue"), configuration=RECTANGLES
    )
    other = box_item("blue", "r2", x=70, y=70)
    project.tasks[0]["annotations"] = [annotation(box_item("green", "r1"), other, name=8)]
    project.tasks[1]["annotations"] = [annotation(box_item("blue"), name=9)]
    project.add_prediction(3, model_version="detector", result=[box_item("red")])
    doubts = {
        1: (SuspectedLabel("8", "r1", "green", "red", 0.02),),
        2: (SuspectedLabel("9", "r1", "green", "red", 0.03),),
        7: (SuspectedLabel("9", "r1", "green", "red", 0.03),),
    }
    with label_studio(project) as address:
        result = suggested(address, predictor(tmp_path), suspected=SuspectedLabels(doubts, ("gone.png",)))
    assert [(one.task, one.labels, one.given) for one in result.suggestions] == [
        (1, ("red", "blue"), ("green",)),
        (3, ("blue",), ()),
    ]
    [marked] = project.predictions(1)
    assert marked["model_version"] == f"{VERSION}:suspected-label-error"
    assert marked["result"][0]["meta"] == {"text": ["Suspected label error: labelled green"]}
    assert "meta" not in marked["result"][1]
    assert [(one.task, "changed" in one.reason) for one in result.left_out] == [(2, True), (7, False)]
    assert result.corrected == ("gone.png",) and project.shown["model_version"] == VERSION


def test_photos_without_a_suggestion_are_listed(tmp_path: Path) -> None:
    whole = coloured_photo("red")
    project = project_of(whole, whole[: len(whole) // 2], whole, whole)
    del project.photos[project.tasks[2]["data"]["image"]]
    project.tasks[3]["data"] = {"text": "words"}
    with label_studio(project) as address:
        result = suggested(address, predictor(tmp_path))
    assert labels_on(project) == [[(VERSION, ["red"])], [], [], []]
    reasons = {one.task: one.reason for one in result.left_out}
    assert "truncated" in reasons[2] and "not found (404)" in reasons[3]
    assert reasons[4] == "expected the address of a photo, received None"


def test_labels_of_all_kinds_arrive_as_they_are(tmp_path: Path) -> None:
    classes = ("a/b", "\N{OCTOPUS} and more", "x" * 200)
    configuration = {"kind": {**project_of().configuration["kind"], "labels": list(classes)}}
    project = project_of(coloured_photo("red"), coloured_photo("green"), coloured_photo("blue"))
    project.configuration = configuration
    from tests.support.small_model import write_model

    write_model(tmp_path / "models" / "kinds", classes=classes)
    with label_studio(project) as address:
        suggested(address, predictor(tmp_path, "kinds"))
    assert [labels_of(task["predictions"][0]) for task in project.tasks] == [[label] for label in classes]


@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("is_carried_out", [False, True])
def test_the_next_run_completes_one_that_ended_at_any_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_carried_out: bool
) -> None:
    monkeypatch.setattr(server_predictions, "_PREDICTIONS_PER_REQUEST", 1)
    project = coloured_project("red", "blue")
    project.add_prediction(1, model_version="other", result=[choice_item("green")], score=0.5)
    project.add_prediction(2, model_version=VERSION, result=[choice_item("red")], score=0.5)
    project.add_prediction(2, model_version="topgraft:older", result=[choice_item("red")], score=0.5)

    def end(at: int) -> int | None:
        return 403 if at == number else None

    with label_studio(project) as address:
        if is_carried_out:
            project.after_change = end
        else:
            project.before_change = end
        with pytest.raises(StorageError):
            suggested(address, predictor(tmp_path))
        assert len(project.changes) == number
        # At every moment, each photo has a suggestion or still its former one.
        assert number == 1 or (labels_on(project)[0][-1] == (VERSION, ["red"]) and project.predictions(2))
        project.before_change = project.after_change = lambda at: None
        suggested(address, predictor(tmp_path))
    assert labels_on(project) == [[("other", ["green"]), (VERSION, ["red"])], [(VERSION, ["blue"])]]
    assert project.shown["model_version"] == VERSION


def test_a_request_that_was_carried_out_but_not_answered_leaves_no_second_prediction(tmp_path: Path) -> None:
    project = coloured_project("red", "blue")
    project.after_change = lambda number: 502 if number == 1 else None
    with label_studio(project) as address:
        result = suggested(address, predictor(tmp_path))
    assert labels_on(project) == [[(VERSION, ["red"])], [(VERSION, ["blue"])]]
    assert (result.new, result.removed) == (2, 2)


@pytest.mark.parametrize(
    "stored",
    [
        lambda one: None,
        lambda one: one | {"score": 1.7},
        lambda one: one | {"result": [choice_item("green", "other")]},
        lambda one: one | {"model_version": "topgraft:another"},
    ],
)
def test_what_the_server_does_not_store_as_sent_is_reported(tmp_path: Path, stored: Any) -> None:
    project = coloured_project("red", "blue")
    project.add_prediction(1, model_version="topgraft:former", result=[choice_item("green")], score=0.5)
    project.stored = stored
    with label_studio(project) as address:
        with pytest.raises(StorageError, match="expected 2 predictions as they were sent, found 2 missing or changed"):
            suggested(address, predictor(tmp_path))
        assert ("topgraft:former", ["green"]) in labels_on(project)[0] and "model_version" not in project.shown
        project.stored = dict
        suggested(address, predictor(tmp_path))
    assert labels_on(project) == [[(VERSION, ["red"])], [(VERSION, ["blue"])]]


def test_projects_that_hide_suggestions_or_have_more_labels_are_warned_of(tmp_path: Path) -> None:
    project = coloured_project("red")
    project.configuration = {"kind": {**project.configuration["kind"], "labels": ["red", "green", "blue", "grey"]}}
    project.shown = {"show_collab_predictions": False}
    with label_studio(project) as address:
        result = suggested(address, predictor(tmp_path))
    assert "never suggests, these labels of the project: grey" in result.warnings[0]
    assert "Use predictions to prelabel tasks" in result.warnings[1]


def test_photos_are_read_only_a_little_ahead(tmp_path: Path) -> None:
    read: list[str] = []
    content = coloured_photo("red")

    class Photos:
        is_lasting = True
        connections: int | None = 4

        def find(self, task: Any) -> tuple[str, ...]:
            return (task.address,)

        def suffix(self, name: str) -> str:
            return ".png"

        def read(self, name: str) -> bytes:
            read.append(name)
            return content

    control = Control("kind", "Choices", "image", "image", ("red", "green", "blue"))
    candidates: Iterator[Candidate] = (Candidate(number, str(number), (Region("r"),)) for number in range(10_000))
    stream = suggest(candidates, Photos(), predictor(tmp_path), control, CropOptions())
    first = [next(stream) for _ in range(20)]
    assert [one.task for one in first] == list(range(20)) and all(isinstance(one, Suggestion) for one in first)
    assert len(read) <= 20 + 4 * pipeline._RESULTS_PER_THREAD + 2 * pipeline.BATCH_SIZE
