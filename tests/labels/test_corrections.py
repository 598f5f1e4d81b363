"""Suggestions for suspected labels: only these change, and what cannot be suggested is listed."""

import copy
from pathlib import Path
from typing import Any

import pytest

from model.labels.suggest_labels import LabelSuggestions
from model.labels.suspected import SuspectedLabel, SuspectedLabels
from tests.labels.label_studio_server import Project, label_studio
from tests.labels.label_studio_tasks import annotation, box_item, choice_item
from tests.labels.suggesting import CHOICES, PHOTO, RECTANGLES, coloured_photo, predictor, project_of, suggested

NOTES = {"note": {"type": "TextArea", "to_name": ["image"], "inputs": [PHOTO], "labels": []}}
BRUSH = {"outline": {"type": "PolygonLabels", "to_name": ["image"], "inputs": [PHOTO], "labels": ["post"]}}
MARK = {"text": ["Suspected label error: labelled green"]}


def boxed_project(*annotations: dict[str, Any], configuration: dict[str, Any] | None = None) -> Project:
    """One photo with a red box on green."""
    project = project_of(coloured_photo("green", box="red"), configuration=configuration or RECTANGLES)
    project.tasks[0]["annotations"] = list(annotations)
    return project


def corrected(folder: Path, project: Project, *doubts: SuspectedLabel, **options: Any) -> LabelSuggestions:
    with label_studio(project) as address:
        return suggested(address, predictor(folder), suspected=SuspectedLabels({1: doubts}), **options)


def doubt(region: str = "r1", given: str = "green", suggestion: str = "red", name: int = 8) -> SuspectedLabel:
    return SuspectedLabel(str(name), region, given, suggestion, 0.02)


def test_all_other_labels_of_the_annotation_stay_as_they_are(tmp_path: Path) -> None:
    several = box_item("blue", "r2", x=70, y=70)
    several["value"]["rectanglelabels"] = ["blue", "green"]
    outline = box_item("post", "p1") | {"from_name": "outline", "type": "polygonlabels"}
    outline["value"] = {"points": [[1, 1], [9, 1], [9, 9]], "polygonlabels": ["post"]}
    others = [
        several,
        box_item("red", "r3", x=5, y=5) | {"origin": "manual", "meta": {"text": ["bent"]}, "locked": True},
        outline,
        {"id": "r1", "from_name": "note", "to_name": "image", "type": "textarea", "value": {"text": ["rusty"]}},
        choice_item("blue"),
        {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"},
    ]
    suspected = box_item("green", "r1") | {"meta": {"text": ["by the road"], "place": 3}}
    project = boxed_project(
        annotation(suspected, *copy.deepcopy(others), name=8),
        configuration=RECTANGLES | NOTES | BRUSH | CHOICES,
    )
    result = corrected(tmp_path, project, doubt(), control="label")
    [stored] = project.predictions(1)
    changed, *kept = stored["result"]
    assert kept == others
    assert changed.pop("score") == stored["score"] == result.suggestions[0].score
    assert changed == suspected | {
        "value": suspected["value"] | {"rectanglelabels": ["red"]},
        "meta": {"text": ["by the road", *MARK["text"]], "place": 3},
    }
    assert result.suggestions[0].labels == ("red", "blue", "green", "red") and result.left_out == ()


def test_other_choices_of_the_photo_stay_when_one_is_corrected(tmp_path: Path) -> None:
    project = project_of(coloured_photo("red"), configuration=CHOICES | {"weather": CHOICES["kind"]})
    weather = choice_item("blue", "weather") | {"id": "c2"}
    project.tasks[0]["annotations"] = [annotation(choice_item("green"), weather, name=8)]
    corrected(tmp_path, project, doubt("c1"), control="kind")
    [stored] = project.predictions(1)
    assert [item["value"]["choices"] for item in stored["result"]] == [["red"], ["blue"]]
    assert stored["result"][1] == weather


def test_a_small_box_keeps_its_label_and_is_listed(tmp_path: Path) -> None:
    small = box_item("green", "r2", x=1, y=1, width=1, height=1)
    project = boxed_project(annotation(box_item("green", "r1"), small, name=8))
    result = corrected(tmp_path, project, doubt(), doubt("r2"))
    assert project.predictions(1)[0]["result"][1] == small
    assert [(one.labels, one.given) for one in result.suggestions] == [(("red", "green"), ("green",))]
    [left_out] = result.left_out
    assert left_out.task == 1 and left_out.reason.startswith("the box 'r2': expected a box of at least 8 pixels a side")


def test_a_suspected_label_of_a_small_box_only_is_listed(tmp_path: Path) -> None:
    project = boxed_project(annotation(box_item("green", "r1", width=1, height=1), box_item("red", "r2"), name=8))
    project.tasks += project_of(coloured_photo("blue"), coloured_photo("blue")).tasks[1:]
    project.photos[project.tasks[1]["data"]["image"]] = coloured_photo("blue")
    project.add_prediction(2, model_version="detector", result=[box_item("red")])
    result = corrected(tmp_path, project, doubt())
    assert [one.task for one in result.suggestions] == [2] and project.predictions(1) == []
    assert [(one.task, "at least 8 pixels" in one.reason) for one in result.left_out] == [(1, True)]


@pytest.mark.parametrize(("label", "kept"), [("blue", ["red", "blue"]), ("object", ["red"])])
def test_a_small_box_of_a_detector_is_listed_and_keeps_a_label_of_the_project(
    tmp_path: Path, label: str, kept: list[str]
) -> None:
    project = boxed_project()
    small = box_item(label, "r2", x=1, y=1, width=1, height=1)
    project.add_prediction(1, model_version="detector", result=[box_item("object"), small])
    with label_studio(project) as address:
        result = suggested(address, predictor(tmp_path))
    assert list(result.suggestions[0].labels) == kept
    assert [(one.task, one.reason[:12]) for one in result.left_out] == [(1, "the box 'r2'")]


def test_suspected_labels_of_several_annotations_are_corrected_in_the_first_and_otherwise_listed(
    tmp_path: Path,
) -> None:
    project = boxed_project(
        annotation(box_item("blue", "r1"), name=7),
        annotation(box_item("green", "r1"), box_item("blue", "r2", x=70, y=70), name=8),
        annotation(box_item("green", "r5"), name=9),
    )
    doubts = doubt(name=7), doubt(), doubt("r2"), doubt("r5", name=9), doubt("r6", name=10)
    result = corrected(tmp_path, project, *doubts)
    assert [one.labels for one in result.suggestions] == [("red", "blue")]
    reasons = [one.reason for one in result.left_out]
    assert ["it was changed" in reason for reason in reasons] == [True, True, False, True]
    assert reasons[2].startswith("'green' (suspected 'red'): expected suspected labels of one annotation")
    assert {one.task for one in result.left_out} == {1}


def test_each_suspected_label_that_cannot_be_corrected_is_listed(tmp_path: Path) -> None:
    project = boxed_project(annotation(box_item("green", "r1"), box_item("green", "r2", x=70, y=70), name=8))
    result = corrected(tmp_path, project, doubt(suggestion="stop"), doubt("r2"))
    assert result.suggestions[0].labels == ("green", "red")
    assert [one.reason for one in result.left_out] == [
        "'green' (suspected 'stop'): expected the suggested class as a label of the control label"
    ]


@pytest.mark.parametrize(
    ("item", "named"),
    [
        (box_item("removed", "r2", x=70, y=70), "found the label 'removed'"),
        (box_item("cat", "r2") | {"from_name": "former"}, "found a label of the control 'former'"),
    ],
)
def test_an_annotation_that_the_server_would_refuse_is_left_out(
    tmp_path: Path, item: dict[str, Any], named: str
) -> None:
    project = boxed_project(annotation(box_item("green", "r1"), item, name=8))
    project.tasks += project_of(coloured_photo("blue"), coloured_photo("blue")).tasks[1:]
    project.photos[project.tasks[1]["data"]["image"]] = coloured_photo("blue")
    project.add_prediction(2, model_version="detector", result=[box_item("red")])
    result = corrected(tmp_path, project, doubt())
    assert [one.task for one in result.suggestions] == [2] and project.predictions(1) == []
    assert [(one.task, named in one.reason) for one in result.left_out] == [(1, True)]


def test_a_cancelled_annotation_is_not_corrected(tmp_path: Path) -> None:
    project = boxed_project(
        annotation(box_item("green", "r1"), name=8, was_cancelled=True), annotation(box_item("green", "r1"), name=9)
    )
    result = corrected(tmp_path, project, doubt(), doubt(name=9))
    assert [one.labels for one in result.suggestions] == [("red",)]
    assert ["it was changed" in one.reason for one in result.left_out] == [True]


def test_the_project_shows_the_corrections_if_there_are_no_other_suggestions(tmp_path: Path) -> None:
    project = boxed_project(annotation(box_item("green", "r1"), name=8))
    result = corrected(tmp_path, project, doubt())
    assert project.shown["model_version"] == "topgraft:colours:suspected-label-error" and result.warnings == ()


def test_how_to_see_the_corrections_next_to_other_suggestions_is_stated(tmp_path: Path) -> None:
    project = project_of(coloured_photo("red"), coloured_photo("blue"))
    project.tasks[0]["annotations"] = [annotation(choice_item("green"), name=8)]
    result = corrected(tmp_path, project, doubt("c1"))
    assert project.shown["model_version"] == "topgraft:colours"
    assert "choose topgraft:colours:suspected-label-error in Settings > Annotation" in result.warnings[0]
