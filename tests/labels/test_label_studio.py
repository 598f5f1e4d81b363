"""From annotations in a real Label Studio to a model, its suggestions on the page, and the next model.

With TOPGRAFT_SCREENSHOTS=docs/images the screenshot of the documentation is written again.
"""

import csv
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from model.bundle import open_bundle
from model.synthesis.backgrounds import draw_background
from model.synthesis.composition import write_demo_dataset
from model.synthesis.traffic_signs import SIGNS, draw_sign
from tests.labels.label_studio_process import PASSWORD, TOKEN, USER, RealLabelStudio, running_label_studio
from tests.labels.label_studio_tasks import box_item
from tests.labels.workshop import check_the_workshop
from tests.support.browser import running_chromium
from tests.support.command import Run
from tests.support.photos import encoded
from tests.support.small_model import write_model
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

CONFIGURATION = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image"><Label value="red"/><Label value="blue"/></RectangleLabels>
</View>"""
ANNOTATED, UNLABELLED = 12, 4
OTHER_PROJECTS = (
    ("<View/>", "expected a labelling configuration, found none"),
    (
        '<View><Labels name="ner" toName="t"><Label value="a"/></Labels><Text name="t" value="$t"/></View>',
        "expected a labelling configuration for photos, found one for Text",
    ),
    (
        '<View><Labels name="part" toName="a"><Label value="a"/></Labels><Audio name="a" value="$a"/></View>',
        "expected a labelling configuration for photos, found one for Audio",
    ),
    (CONFIGURATION, "the project is empty"),
)
MILLISECONDS_FOR_A_PAGE = 60_000

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.system]


@pytest.fixture
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLabelStudio]:
    with running_label_studio(tmp_path_factory.mktemp("label-studio")) as server:
        yield server


def colour_of(number: int) -> str:
    return "red" if number % 2 else "blue"


def photo(number: int) -> bytes:
    """Grey noise with a box of coloured noise where `box_item` has it."""
    pixels = np.random.default_rng(number).integers(90, 150, (240, 320, 3), dtype=np.uint8)
    pixels[60:120, 80:160, 0 if colour_of(number) == "red" else 2] += 100
    return encoded(Image.fromarray(pixels), "PNG")


def written(run: Run, *arguments: object, token: str = TOKEN) -> Any:
    """The JSON that a command prints."""
    ran = run(*arguments, "--json", LABEL_STUDIO_API_KEY=token)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def train(run: Run, workspace: Path, name: str) -> int:
    """Train a model; its number of photos."""
    written(run, "train", "--dataset", "signs", "--name", name, "--folds", 0, "--epochs", 10, "--fine-tune", "none")
    counts = open_bundle(workspace / "models" / name).manifest.dataset["counts"]
    return sum(number for split in counts.values() for number in split.values())


def predictions(server: RealLabelStudio, project: int) -> dict[int, list[dict[str, Any]]]:
    """Task -> its predictions."""
    return {task["id"]: task["predictions"] for task in server.tasks(project)}


def open_task(page: "Page", server: RealLabelStudio, project: int, task: int, labels: set[str]) -> None:
    """Log in, open a task, and wait until the page shows the labels of its regions, which it draws several times."""
    page.set_default_timeout(MILLISECONDS_FOR_A_PAGE)
    page.goto(f"{server.address}/user/login/")
    page.locator("input[name=email]").fill(USER)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("button[type=submit]").click()
    page.wait_for_url(re.compile(r"^(?!.*/login).*$"), wait_until="commit")
    page.goto(f"{server.address}/projects/{project}/data?task={task}", wait_until="domcontentloaded")
    regions = page.locator(".lsf-outliner-item .lsf-labels-list")
    wait_until(lambda: set(regions.all_inner_texts()) == labels, MILLISECONDS_FOR_A_PAGE / 1000)


def accept(page: "Page", server: RealLabelStudio, project: int, task: int, label: str) -> None:
    """Open a task, and submit the suggestion that the page shows."""
    open_task(page, server, project, task, {label})
    page.locator(".lsf-annotation-button__name", has_text="topgraft").wait_for()
    with page.expect_response(re.compile(rf"/api/tasks/{task}/annotations")) as answered:
        page.get_by_role("button", name="Submit").click()
    assert answered.value.status == 201


def check_what_the_server_accepts_and_never_shows(run: Run, workspace: Path, label_studio: RealLabelStudio) -> None:
    """The server answers 201 to these predictions, which is why Topgraft checks them itself."""
    project = label_studio.create_project("Accepted", CONFIGURATION)
    [task] = label_studio.upload(project, {"photo.png": photo(1)}).values()
    for item, score in ((box_item("unknown"), 0.5), (box_item("red") | {"from_name": "no"}, 0.5), (box_item(), 1.7)):
        content = {"task": task, "model_version": "other", "score": score, "result": [item]}
        label_studio.request("POST", "/api/predictions/", json=content)
    bulk = [{"task": task, "score": 0.5, "result": [box_item("unknown")]}]
    answer = label_studio.request("POST", f"/api/projects/{project}/import/predictions", json=bulk)
    assert answer == {"created": 0} and len(predictions(label_studio, project)[task]) == 3

    write_model(workspace / "models" / "colours")
    source = ("--url", label_studio.address, "--project", project)
    refused = run("suggest-labels", "colours", *source, LABEL_STUDIO_API_KEY=TOKEN)
    assert refused.returncode == 3 and "not found: 'green'. Add them to" in refused.stderr
    assert len(predictions(label_studio, project)[task]) == 3


def check_other_projects(run: Run, workspace: Path, label_studio: RealLabelStudio) -> None:
    """Projects without labels of photos are refused."""
    for configuration, words in OTHER_PROJECTS:
        project = label_studio.create_project("Others", configuration)
        source = ("--url", label_studio.address, "--project", project)
        imported = run("import-labels", *source, "data/none", LABEL_STUDIO_API_KEY=TOKEN)
        assert imported.returncode == 3 and words in imported.stderr
    assert not (workspace / "data" / "none").exists()


def check_wrong_tokens_and_projects(run: Run, workspace: Path, label_studio: RealLabelStudio) -> None:
    """They are reported, and nothing is written."""
    for token, project, words in (("wrong", 1, "refuses the access token (401)"), (TOKEN, 999, "not found (404)")):
        source = ("--url", label_studio.address, "--project", project)
        ran = run("import-labels", *source, "data/none", LABEL_STUDIO_API_KEY=token)
        assert ran.returncode == 5 and words in ran.stderr, ran.stderr
    assert not (workspace / "data" / "none").exists()


def test_a_suggestion_is_shown_accepted_imported_and_trained_on(
    run: Run, workspace: Path, label_studio: RealLabelStudio
) -> None:
    # In one test, because the first start of the server takes minutes, and two processes would start two.
    check_wrong_tokens_and_projects(run, workspace, label_studio)
    check_other_projects(run, workspace, label_studio)
    check_what_the_server_accepts_and_never_shows(run, workspace, label_studio)
    check_the_workshop(workspace / "workshop", label_studio)
    project = label_studio.create_project("Signs", CONFIGURATION)
    numbers = {f"photo_{number}.png": number for number in range(ANNOTATED + UNLABELLED)}
    tasks = label_studio.upload(project, {name: photo(number) for name, number in numbers.items()})
    for name, task in tasks.items():
        if numbers[name] < ANNOTATED:
            label_studio.annotate(task, box_item(colour_of(numbers[name])))
        else:
            # A detector marks boxes, and does not know their classes.
            detected = {"task": task, "model_version": "detector", "score": 0.5, "result": [box_item("red")]}
            label_studio.request("POST", "/api/predictions/", json=detected)
    source = ("--url", label_studio.address, "--project", project)

    imported = written(run, "import-labels", *source, "data/signs")
    assert (imported["new"], imported["annotated"]) == (ANNOTATED, ANNOTATED)
    again = written(run, "import-labels", *source, "data/signs", token=label_studio.personal_token())
    assert again["changed"] is False
    assert train(run, workspace, "first") == ANNOTATED

    # One label is made a suspected error.
    with (workspace / "data" / "signs" / "origin.csv").open(newline="", encoding="utf-8") as stream:
        suspect = next(csv.DictReader(stream))
    suggestion = {"red": "blue", "blue": "red"}[suspect["class"]]
    issues = workspace / "label_issues.csv"
    row = f"images/{suspect['image']},train,{suspect['class']},{suggestion},0.0100\n"
    issues.write_text(f"image,split,given,suggested,quality\n{row}")
    made = written(run, "suggest-labels", "first", *source, "--errors", issues)
    assert (made["new"], made["removed"], made["left_out"]) == (UNLABELLED + 1, 0, [])
    first, *others = made["suggestions"]
    assert (str(first["task"]), first["labels"], first["given"]) == (suspect["task"], [suggestion], [suspect["class"]])
    scores = [one["score"] for one in others]
    assert scores == sorted(scores) and all(0.5 < score <= 1 for score in scores)
    classes = {task: colour_of(numbers[name]) for name, task in tasks.items()}
    assert {one["task"]: one["labels"] for one in others} == {
        task: [classes[task]] for name, task in tasks.items() if numbers[name] >= ANNOTATED
    }
    shown = label_studio.request("GET", f"/api/projects/{project}/")
    assert shown["model_version"] == "topgraft:first"
    assert written(run, "suggest-labels", "first", *source, "--errors", issues)["unchanged"] == UNLABELLED + 1

    accepted = next(one["task"] for one in others if one["labels"] == ["blue"])
    with running_chromium() as browser, browser.new_page(viewport={"width": 1200, "height": 800}) as page:
        accept(page, label_studio, project, accepted, "blue")
    [annotation] = [
        one for task in label_studio.tasks(project) if task["id"] == accepted for one in task["annotations"]
    ]
    assert annotation["result"][0]["value"]["rectanglelabels"] == ["blue"]

    imported = written(run, "import-labels", *source, "data/signs")
    assert (imported["new"], imported["unchanged"], imported["changed"]) == (1, ANNOTATED, True)
    with (workspace / "data" / "signs" / "origin.csv").open(newline="", encoding="utf-8") as stream:
        assert [one["class"] for one in csv.DictReader(stream) if one["task"] == str(accepted)] == ["blue"]
    assert train(run, workspace, "second") == ANNOTATED + 1
    assert written(run, "suggest-labels", "second", *source)["new"] == UNLABELLED - 1
    stored = predictions(label_studio, project)
    assert {one["model_version"] for some in stored.values() for one in some} == {"detector", "topgraft:second"}
    assert [one["model_version"] for one in stored[accepted]] == ["detector"]


def street_with_signs(signs: Sequence[str]) -> tuple[bytes, list[dict[str, Any]]]:
    """A drawn photo, and a box of each of its signs, all labelled as the first."""
    rng = np.random.default_rng(7)
    height, width, side = 400, 640, 110
    scene = Image.fromarray(draw_background((height, width), rng).astype(np.uint8))
    items = []
    for number, sign in enumerate(signs):
        left, top = 60 + number * 200, 90 + 50 * (number % 2)
        drawn = draw_sign(sign, rng).resize((side, side))
        scene.paste(drawn, (left, top), drawn)
        place = {"x": 100 * left / width, "y": 100 * top / height}
        item = box_item(signs[0], f"r{number}", width=100 * side / width, height=100 * side / height, **place)
        items.append(item | {"original_width": width, "original_height": height})
    return encoded(scene, "PNG"), items


@pytest.mark.skipif("TOPGRAFT_SCREENSHOTS" not in os.environ, reason="made where TOPGRAFT_SCREENSHOTS names a folder")
def test_the_screenshot_of_the_documentation(run: Run, workspace: Path, label_studio: RealLabelStudio) -> None:
    write_demo_dataset(workspace / "data" / "demo", images_per_class=20)
    written(run, "train", "--dataset", "demo", "--name", "signs")
    labels = "".join(f'<Label value="{sign}"/>' for sign in SIGNS)
    project = label_studio.create_project(
        "Signs",
        f'<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">{labels}'
        "</RectangleLabels></View>",
    )
    signs = ("stop", "yield", "no_entry")
    content, items = street_with_signs(signs)
    [task] = label_studio.upload(project, {"street.png": content}).values()
    detected = {"task": task, "model_version": "detector", "score": 0.5, "result": items}
    label_studio.request("POST", "/api/predictions/", json=detected)
    source = ("--url", label_studio.address, "--project", project)
    # As in the photos that the model was trained on, there is some background around a sign.
    written(run, "suggest-labels", "signs", *source, "--margin", 0.3)
    with running_chromium() as browser, browser.new_page(viewport={"width": 1400, "height": 700}) as page:
        open_task(page, label_studio, project, task, set(signs))
        page.screenshot(path=Path(os.environ["TOPGRAFT_SCREENSHOTS"]) / "suggestion.png")
