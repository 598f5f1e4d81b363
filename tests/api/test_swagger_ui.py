"""Swagger UI in a real browser: train on a folder, then classify an uploaded photo.

With TOPGRAFT_SCREENSHOTS=docs/images the screenshots of the documentation are written again.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.synthesis.composition import write_demo_dataset
from tests.support.browser import Operation, playwright, running_chromium
from tests.support.deepaas_server import REAL_DATASET, Server, running_server
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# Takes room in a screenshot and is of no use to a reader.
COMPACT = """
.swagger-ui .wrapper { padding: 0 12px }
.swagger-ui .parameters-col_name { min-width: 130px }
.swagger-ui .curl-command, .swagger-ui .request-url, .swagger-ui .responses-inner h4,
.swagger-ui .opblock-section-header label { display: none !important }
.swagger-ui .responses-inner { padding-top: 0 }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
    write_demo_dataset(home / "data" / "demo", images_per_class=30)
    with running_server(home) as running:
        yield running


@pytest.fixture
def page(server: Server) -> "Iterator[playwright.Page]":
    with running_chromium() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 1000}, device_scale_factor=1.5)
        page.goto(f"{server.root}/api")
        page.add_style_tag(content=COMPACT)
        yield page


def test_a_model_is_trained_and_used_in_swagger_ui(page: "playwright.Page", server: Server) -> None:
    train = _start_training(page, "demo", "traffic-signs")
    _screenshot(page, "swagger-train.png", train.block.locator(".opblock-summary"), train.row("images_directory"))
    _wait_until_trained(page, train)
    photo = {"name": "street.jpg", "mimeType": "image/jpeg", "buffer": _unseen_photo(server.home / "data" / "demo")}
    predict = Operation(page, "post", "predict/")
    predict.row("image").locator("input[type=file]").set_input_files(photo)
    assert predict.execute() == 200
    answer = predict.answer()
    assert answer["status"] == "OK"
    assert answer["model"] == "traffic-signs"
    assert answer["labels"][0] == "stop"
    assert answer["predictions"][0]["image"] == "street.jpg"

    predict.select("accept", "image/png")
    assert predict.execute() == 200
    figure = predict.block.locator(".live-responses-table img")
    wait_until(lambda: figure.evaluate("image => image.naturalWidth") > 0, seconds=10)
    _screenshot(page, "swagger-predict.png", predict.block.locator(".opblock-summary"), figure)

    _read_report(page, server)


def _read_report(page: "playwright.Page", server: Server) -> None:
    """The report looks as it does from disk, and its policy stops nothing that it needs."""
    address = server.metadata()["models"][0]["report"]
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    looks = []
    for url in (server.root + address, (server.home / "models" / "traffic-signs" / "report.html").as_uri()):
        page.goto(url)
        assert page.locator("h1").first.is_visible()
        assert page.locator("svg").count() > 2
        assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "1040px"
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        looks.append(_settled_screenshot(page))
    assert looks[0] == looks[1]
    assert logged == []


def _settled_screenshot(page: "playwright.Page") -> bytes:
    """A screenshot of the whole page, once two in a row are equal."""
    page.mouse.move(0, 0)
    taken = [page.screenshot(full_page=True)]

    def is_settled() -> bool:
        taken.append(page.screenshot(full_page=True))
        return taken[-1] == taken[-2]

    wait_until(is_settled, seconds=30)
    return taken[-1]


def test_train_on_real_photos_then_predict_a_test_photo(page: "playwright.Page") -> None:
    if not REAL_DATASET.is_dir():
        pytest.skip(f"the real photos are not there: {REAL_DATASET}")
    _wait_until_trained(page, _start_training(page, str(REAL_DATASET), "plankton"))
    name, _, label = (REAL_DATASET / "dataset_files" / "test.txt").read_text().splitlines()[0].rpartition(" ")
    content = (REAL_DATASET / "images" / name).read_bytes()
    predict = Operation(page, "post", "predict/")
    predict.fill("model", "plankton")
    predict.row("image").locator("input[type=file]").set_input_files(
        {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": content}
    )
    assert predict.execute() == 200
    answer = predict.answer()
    classes = (REAL_DATASET / "dataset_files" / "classes.txt").read_text().split()
    assert answer["model"] == "plankton"
    assert answer["labels"][0] == classes[int(label)]


def test_swagger_refuses_what_is_out_of_range(page: "playwright.Page") -> None:
    train = Operation(page, "post", "train/")
    train.fill("epochs", "0")
    train.block.get_by_role("button", name="Execute").click()
    assert train.row("epochs").locator("input.invalid").count() == 1


def _start_training(page: "playwright.Page", dataset: str, name: str) -> Operation:
    train = Operation(page, "post", "train/")
    train.fill("dataset", dataset)
    train.fill("name", name)
    train.select("backbone", "EfficientNetLite0")
    assert train.execute() == 200
    return train


def _wait_until_trained(page: "playwright.Page", train: Operation) -> None:
    uuid = train.answer()["uuid"]
    train.close()
    status = Operation(page, "get", "train/{uuid}")
    status.fill("uuid", str(uuid))

    def over() -> dict[str, object] | None:
        assert status.execute() == 200
        return None if status.answer()["status"] == "running" else status.answer()

    training = wait_until(over, seconds=240)
    assert training["status"] == "done", training
    status.close()


def _unseen_photo(dataset: Path) -> bytes:
    """A stop sign of the test split."""
    lines = (dataset / "dataset_files" / "test.txt").read_text().splitlines()
    name = next(line.rpartition(" ")[0] for line in lines if line.startswith("stop/"))
    return (dataset / "images" / name).read_bytes()


def _screenshot(page: "playwright.Page", name: str, first: "playwright.Locator", last: "playwright.Locator") -> None:
    """A screenshot of the page from one element down to another, if screenshots are requested."""
    directory = os.environ.get("TOPGRAFT_SCREENSHOTS")
    if not directory:
        return
    Path(directory).mkdir(parents=True, exist_ok=True)
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # for the colours of what the mouse has left
    top = first.evaluate("element => element.getBoundingClientRect().top + scrollY") - 8
    bottom = last.evaluate("element => element.getBoundingClientRect().bottom + scrollY") + 6
    clip = {"x": 0, "y": top, "width": page.viewport_size["width"], "height": bottom - top}
    page.screenshot(path=Path(directory) / name, clip=clip, full_page=True)
