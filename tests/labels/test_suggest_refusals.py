"""Projects, servers and files that suggestions cannot be made for: reported, and nothing is sent."""

import json
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from model.errors import (
    DatasetError,
    StorageBusyError,
    StorageError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageUnreachableError,
)
from model.labels.suspected import SuspectedLabel, read_suspected
from model.storage import failures
from tests.labels.label_studio_server import LEGACY_TOKEN, Project, label_studio
from tests.labels.label_studio_tasks import annotation, choice_item
from tests.labels.suggesting import (
    CHOICES,
    PHOTO,
    RECTANGLES,
    coloured_photo,
    labels_on,
    predictor,
    project_of,
    suggested,
)
from tests.support.command import COMMAND, Run, environment_of_tests
from tests.support.small_model import write_model


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "SECONDS_BETWEEN_TRIES", (0.0,))


def control(kind: str, *labels: str, shown: str = "Image", **more: Any) -> dict[str, Any]:
    inputs = [{"type": shown, "value": "image"}]
    return {"type": kind, "to_name": ["image"], "inputs": inputs, "labels": list(labels), **more}


COLOURS = ("red", "green", "blue")


@pytest.mark.parametrize(
    ("configuration", "name", "reason"),
    [
        ({}, "", "expected a labelling configuration, found none"),
        ({"ner": control("Labels", *COLOURS, shown="Text")}, "", "configuration for photos, found one for Text"),
        ({"sound": control("Labels", *COLOURS, shown="Audio")}, "", "configuration for photos, found one for Audio"),
        ({"brush": control("BrushLabels", *COLOURS)}, "", r"control Choices or RectangleLabels .* found brush \(Brush"),
        (
            {"kind": control("Choices", *COLOURS), "label": control("RectangleLabels", *COLOURS)},
            "",
            r"found several: kind \(Choices\), label \(RectangleLabels\)\. .* such as --control kind",
        ),
        (CHOICES, "no", r"expected the control 'no', found kind \(Choices\)"),
        (CHOICES | {"brush": control("BrushLabels", *COLOURS)}, "brush", r"RectangleLabels .* found brush \(BrushLa"),
        (
            {"kind": control("Choices", "Red", "green", "yellow")},
            "",
            r"not found: 'red' \(the project has 'Red'\), 'blue'\. Add them to Settings > Labeling Interface",
        ),
        ({"kind": control("Choices", dynamic_labels=True)}, "", "labels in the configuration .* each task states"),
    ],
)
def test_projects_that_cannot_have_the_classes_as_labels_are_refused(
    tmp_path: Path, configuration: dict[str, Any], name: str, reason: str
) -> None:
    project = project_of(coloured_photo("red"))
    project.configuration = configuration
    with label_studio(project) as address, pytest.raises(DatasetError, match=reason) as caught:
        suggested(address, predictor(tmp_path), control=name)
    assert address in caught.value.message and project.changes == []


def test_choices_of_regions_are_refused(tmp_path: Path) -> None:
    project = project_of(coloured_photo("red"))
    project.shown = {"label_config": "<View><Choices toName='image' perRegion='true'\n name='kind'></Choices></View>"}
    with label_studio(project) as address, pytest.raises(DatasetError, match=r"with perRegion: .* Use RectangleLabels"):
        suggested(address, predictor(tmp_path))


def test_labels_that_differ_by_case_are_distinguished(tmp_path: Path) -> None:
    project = project_of(coloured_photo("red"))
    project.configuration = {"kind": control("Choices", "Red", "RED", "red", "green", "blue")}
    with label_studio(project) as address:
        suggested(address, predictor(tmp_path))
    assert labels_on(project) == [[("topgraft:colours", ["red"])]]


def test_a_control_of_one_of_several_photos_gets_labels_of_that_photo(tmp_path: Path) -> None:
    project = project_of(coloured_photo("red"))
    project.tasks[0]["data"] = {"text": "words", "right": project.tasks[0]["data"]["image"]}
    inputs = [{"type": "Text", "value": "text"}, PHOTO | {"value": "right"}]
    project.configuration = {"kind": control("Choices", *COLOURS) | {"to_name": ["words", "second"], "inputs": inputs}}
    with label_studio(project) as address:
        suggested(address, predictor(tmp_path))
    assert project.predictions(1)[0]["result"][0]["to_name"] == "second"


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, StorageRefusedError, r"refuses the access token \(401\)\. Check it"),
        (403, StorageRefusedError, r"refuses the access token \(403\)\. Check it"),
        (404, StorageNotFoundError, r"not found \(404\)\. Check the address and the number of the project"),
        (500, StorageBusyError, r"overloaded or failing \(500\)"),
    ],
)
@pytest.mark.parametrize("path", ["/api/projects/1/", "/api/tasks"])
def test_a_server_that_refuses_is_reported(
    tmp_path: Path, status: int, error: type[StorageError], words: str, path: str
) -> None:
    project = project_of(coloured_photo("red"))
    project.statuses[path] = status
    with label_studio(project) as address, pytest.raises(error, match=words):
        suggested(address, predictor(tmp_path))
    assert project.changes == []


def test_a_server_that_is_down_is_reported(tmp_path: Path) -> None:
    with label_studio(Project([])) as address:
        pass
    with pytest.raises(StorageUnreachableError, match="no answer"):
        suggested(address, predictor(tmp_path))


@pytest.mark.parametrize("path", ["/api/projects/1/", "/api/tasks"])
def test_a_login_page_is_no_answer(tmp_path: Path, path: str) -> None:
    project = project_of(coloured_photo("red"))
    project.pages[path] = "<html>Log in</html>"
    with label_studio(project) as address, pytest.raises(StorageError, match="received a web page, such as a login"):
        suggested(address, predictor(tmp_path))
    assert project.changes == []


def test_what_the_server_says_about_a_refused_request_is_quoted(tmp_path: Path) -> None:
    project = project_of(coloured_photo("red"))
    project.before_change = lambda number: 400
    with label_studio(project) as address, pytest.raises(StorageError, match=r"received status 400: '\{\}'"):
        suggested(address, predictor(tmp_path))


def test_an_empty_project_is_refused(tmp_path: Path) -> None:
    with label_studio(project_of()) as address, pytest.raises(DatasetError, match=r"is empty\. Import photos"):
        suggested(address, predictor(tmp_path))


def test_a_project_without_boxes_is_refused(tmp_path: Path) -> None:
    project = project_of(coloured_photo("red"), coloured_photo("blue"), configuration=RECTANGLES)
    words = "found 2 that cannot, such as task 1: expected boxes to classify, found none"
    with label_studio(project) as address, pytest.raises(DatasetError, match=words):
        suggested(address, predictor(tmp_path))
    assert project.changes == []


def test_a_project_whose_photos_cannot_be_read_is_refused(tmp_path: Path, shared_datasets: Path) -> None:
    truncated = (shared_datasets / "lego-signs" / "images" / "small_IMG_1533.jpg").read_bytes()
    project = project_of(truncated)
    with label_studio(project) as address, pytest.raises(DatasetError, match=r"such as task 1: .*truncated"):
        suggested(address, predictor(tmp_path))
    assert project.changes == []


def test_a_project_that_is_annotated_needs_none(tmp_path: Path) -> None:
    project = project_of(coloured_photo("red"))
    project.tasks[0]["annotations"] = [annotation(choice_item("red"))]
    with label_studio(project) as address:
        result = suggested(address, predictor(tmp_path))
    assert (result.suggestions, result.annotated) == ((), 1) and project.changes == []


def write_tables(folder: Path, **changed: str) -> tuple[Path, Path]:
    """A table of suspected labels, and a dataset with the origin of its images."""
    contents = {
        "issues": "image,split,given,suggested,quality\nimages/a-1.png,train,cat,dog,0.0200\n",
        "origin": "image,class,task,annotation,region\na-1.png,cat,5,8,r1\n",
    } | changed
    errors, dataset = folder / "label_issues.csv", folder / "made"
    dataset.mkdir()
    errors.write_text(contents["issues"])
    if contents["origin"]:
        (dataset / "origin.csv").write_text(contents["origin"])
    return errors, dataset


def test_suspected_labels_are_found_by_the_origin_of_their_images(tmp_path: Path) -> None:
    more = "image,split,given,suggested,quality\nimages/a-1.png,train,cat,dog,0.02\nb.png,val,dog,cat,0.1\n"
    suspected = read_suspected(*write_tables(tmp_path, issues=more))
    assert suspected.by_task == {5: (SuspectedLabel("8", "r1", "cat", "dog", 0.02),)}
    assert suspected.missing == ("b.png",)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"issues": "a,b\n1,2\n"},
            "label_issues.csv of a training with the columns image, split, .* received 'a', 'b'",
        ),
        ({"issues": ""}, "with the columns image, split, given, suggested, quality, received ''"),
        (
            {"issues": "image,split,given,suggested,quality\nb.png,val,dog,cat,0.1\n"},
            "not found: b.png. The dataset is",
        ),
        (
            {"issues": "image,split,given,suggested,quality\na-1.png,val,cat,dog,7\n"},
            "quality from 0 to 1, received '7'",
        ),
        ({"origin": ""}, "found no origin.csv in it. Name its folder with --dataset"),
        ({"origin": "image,task,annotation,region\na-1.png,train/1,8,r1\n"}, "received 'train/1': .* another tool"),
        ({"origin": "image,task\na-1.png,1\n"}, "table of an import with the columns image, task, annotation"),
    ],
)
def test_tables_that_are_no_suspected_labels_are_refused(tmp_path: Path, changed: dict[str, str], reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        read_suspected(*write_tables(tmp_path, **changed))


def test_the_command_suggests_labels(run: Run, workspace: Path, tmp_path: Path) -> None:
    write_model(workspace / "models" / "colours")
    project = project_of(coloured_photo("red"), coloured_photo("reddish"))
    with label_studio(project) as address:
        options = ("suggest-labels", "latest", "--url", address, "--project", 1)
        made = run(*options, LABEL_STUDIO_API_KEY=LEGACY_TOKEN)
        assert made.returncode == 0, made.stderr
        (tmp_path / "token").write_text(LEGACY_TOKEN)
        again = run(*options, "--json", "--token-file", tmp_path / "token")
        refused = run(*options, "--json", LABEL_STUDIO_API_KEY="wrong")
        errors, dataset = write_tables(tmp_path)
        elsewhere = run(*options, "--errors", errors, LABEL_STUDIO_API_KEY=LEGACY_TOKEN)
        lone = run(*options, "--dataset", dataset, LABEL_STUDIO_API_KEY=LEGACY_TOKEN)
    assert f"{address}/projects/1: 2 suggestions by colours for the control kind" in made.stdout
    assert "2 new, 0 unchanged, 0 removed" in made.stdout and "task 2: red" in made.stdout
    answer = json.loads(again.stdout)
    assert (answer["new"], answer["unchanged"], answer["model_version"]) == (0, 2, "topgraft:colours")
    assert [(one["task"], one["labels"]) for one in answer["suggestions"]] == [(2, ["red"]), (1, ["red"])]
    assert refused.returncode == 5 and "refuses the access token" in json.loads(refused.stdout)["message"]
    assert elsewhere.returncode == 3 and "Name its folder with --dataset" in elsewhere.stderr
    assert lone.returncode == 2 and "expected --dataset together with --errors" in lone.stderr


@pytest.mark.slow
def test_a_killed_command_leaves_what_the_next_one_completes(run: Run, workspace: Path) -> None:
    write_model(workspace / "models" / "colours")
    project = project_of(coloured_photo("red"), coloured_photo("blue"))
    project.add_prediction(1, model_version="topgraft:former", result=[choice_item("green")], score=0.5)
    reached, go_on = threading.Event(), threading.Event()

    def wait_at_the_second(number: int) -> None:
        if number == 2:
            reached.set()
            go_on.wait(60)

    project.before_change = wait_at_the_second
    with label_studio(project) as address:
        arguments = ("suggest-labels", "colours", "--url", address, "--project", "1")
        environment = environment_of_tests(workspace) | {"LABEL_STUDIO_API_KEY": LEGACY_TOKEN}
        with subprocess.Popen([*COMMAND, *arguments], cwd=workspace, env=environment) as child:
            assert reached.wait(60)
            child.send_signal(signal.SIGKILL)
        go_on.set()
        assert child.returncode == -signal.SIGKILL
        assert ("topgraft:former", ["green"]) in labels_on(project)[0]
        made = run(*arguments, LABEL_STUDIO_API_KEY=LEGACY_TOKEN)
    assert made.returncode == 0, made.stderr
    assert labels_on(project) == [[("topgraft:colours", ["red"])], [("topgraft:colours", ["blue"])]]
