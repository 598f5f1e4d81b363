"""The demo page in a real browser, with a real service and a trained model.

With TOPGRAFT_SCREENSHOTS=docs/images the screenshot of the documentation is written again.
"""

import csv
import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import psutil
import pytest
from PIL import Image

from model.shown import printable
from model.synthesis.composition import write_demo_dataset
from model.tables import original_text
from tests.page.photos import CLASSES, photo, write_photos
from tests.support.browser import playwright, running_chromium
from tests.support.command import COMMAND, ROOT
from tests.support.deepaas_server import REAL_DATASET, Server, running_server
from tests.support.page_server import Line, running_page
from tests.support.ports import free_port
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.browser]

DESKTOP = {"viewport": {"width": 1180, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
MIN_TOUCH_TARGET = 44
QUESTIONS = "**/api/predict?*"
SECONDS_BETWEEN_CHECKS = 3
# Until something happens, on a busy machine.
SECONDS = 60
KEEP_NOTICES = """() => {
  window.noticed = [];
  const keep = ({ addedNodes }) => addedNodes.forEach((node) => noticed.push(node.textContent));
  const observer = new MutationObserver((changes) => changes.forEach(keep));
  observer.observe(document.querySelector("#notice"), { childList: true, subtree: true });
}"""
OWNED = "<img src=x onerror=\"document.title='owned'\">"
CONTROLS = "a\u202egpj\u2066\u200b\ufeff\U000e0041.jpg"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with a model `odd`, whose class names are."""
    home = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
    write_photos(home / "data" / "odd")
    arguments = ("train", "--dataset", "odd", "--name", "odd", "--epochs", "30", "--folds", "0")
    environment = os.environ | {"TOPGRAFT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    training = subprocess.Popen([*COMMAND, *arguments], cwd=home, env=environment)
    try:
        with running_server(home) as running:
            assert training.wait(240) == 0
            yield running
    finally:
        training.kill()


@pytest.fixture(scope="module")
def line(server: Server) -> Iterator[Line]:
    address = urlsplit(server.root)
    carries = Line(free_port(), (str(address.hostname), int(address.port or 0)))
    yield carries
    carries.cut()


@pytest.fixture(scope="module")
def url(line: Line, server: Server) -> Iterator[str]:
    with running_page(f"http://127.0.0.1:{line.port}", server.home) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> "Iterator[playwright.Browser]":
    with running_chromium() as running:
        yield running


class Visit:
    """A user's visit of the page, with the errors that the browser reported."""

    def __init__(self, context: "playwright.BrowserContext", url: str) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.addresses: set[str] = set()
        self.asking = self.max_asking = 0
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", self._begin)
        self.page.on("requestfinished", self._end)
        self.page.on("requestfailed", self._end)
        self.page.goto(url)

    def add(self, *photos: tuple[str, bytes]) -> None:
        given = [{"name": name, "mimeType": "image/jpeg", "buffer": content} for name, content in photos]
        self.page.set_input_files("#photos", given)

    def ready(self) -> None:
        self.page.wait_for_selector("#model:not([disabled])")

    def done(self, total: int) -> None:
        """Wait until all photos have their answer."""
        self.page.get_by_text(f"{total} of {total}", exact=False).first.wait_for(timeout=30_000)

    def card(self, name: str) -> "playwright.Locator":
        return self.page.locator(".card", has=self.page.locator(".file bdi", has_text=name))

    def shown(self, name: str) -> str:
        return self.card(name).locator(".best").inner_text()

    def count_questions(self) -> list[str]:
        """The names of the photos that are asked about from now on."""
        asked: list[str] = []

        def note(request: "playwright.Request") -> None:
            if "api/predict" in request.url:
                asked.extend(parse_qs(urlsplit(request.url).query)["name"])

        self.page.on("request", note)
        return asked

    def keep_notices(self) -> None:
        """Record the texts of the notice and its button from now on: it may appear and disappear between two checks."""
        self.page.evaluate(KEEP_NOTICES)

    def noticed(self) -> str:
        return "\n".join(self.page.evaluate("window.noticed"))

    def table(self) -> str:
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Download CSV").click()
        return Path(download.value.path()).read_bytes().decode("utf-8-sig")

    def _hear(self, message: "playwright.ConsoleMessage") -> None:
        # A refused photo is an answer, which the browser reports as a failed request.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _begin(self, request: "playwright.Request") -> None:
        self.addresses.add(request.url)
        self.asking += "api/predict" in request.url
        self.max_asking = max(self.max_asking, self.asking)

    def _end(self, request: "playwright.Request") -> None:
        self.asking -= "api/predict" in request.url


@pytest.fixture
def visit(browser: "playwright.Browser", url: str, line: Line, request: Any) -> Iterator[Visit]:
    line.cut()
    line.join()
    context = browser.new_context(**getattr(request, "param", DESKTOP))
    context.set_default_timeout(15_000)
    visit = Visit(context, url)
    visit.ready()
    yield visit
    assert visit.complaints == []
    assert all(address.startswith((url, "blob:")) for address in visit.addresses)
    assert visit.page.title() == "Topgraft"
    context.close()


def each_class() -> list[tuple[str, bytes]]:
    return [(f"photo-{label}.jpg", photo((colour,), seed=9 + label)) for label, colour in enumerate(CLASSES.values())]


def large_photo() -> bytes:
    """A PNG that is small to send and keeps a worker busy for a second."""
    stream = io.BytesIO()
    Image.new("RGB", (8000, 8000), "red").save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def end_decoding(server: Server) -> None:
    """End the idle processes that have decoded earlier photos: the next large photo starts one."""
    for process in server.decoding_processes():
        process.kill()
    wait_until(lambda: not server.decoding_processes(), SECONDS)


def worker_with_a_large_photo(server: Server) -> psutil.Process:
    """The worker that has just started a process to decode a photo."""
    [decoding] = wait_until(server.decoding_processes, SECONDS)
    return decoding.parent()


def unknown_photo(server: Server) -> bytes:
    """A photo that is out-of-distribution: noise."""
    for seed in range(10):
        stream = io.BytesIO()
        noise = np.random.default_rng(seed).integers(0, 256, (200, 200, 3), np.uint8)
        Image.fromarray(noise).save(stream, "JPEG")
        if has_mark(server, stream.getvalue(), "odd", "unknown"):
            return stream.getvalue()
    raise AssertionError("the model claims to know noise")


def uncertain_photo(server: Server) -> bytes:
    """A photo between the classes of the model."""
    colours = list(CLASSES.values())
    for seed in range(40):
        content = photo(tuple(colours[(seed + step) % 6] for step in range(2 + seed % 5)), seed)
        if has_mark(server, content, "odd", "uncertain"):
            return content
    raise AssertionError("the model is certain of each of 40 mixtures")


def has_mark(server: Server, content: bytes, model: str, mark: str) -> bool:
    return server.predict(content, model=model).json()["predictions"][0][mark]


def test_the_table_of_a_dropped_folder_equals_that_of_the_api(visit: Visit, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "cruise" / "day 1"
    folder.mkdir(parents=True)
    photos = dict(each_class())
    for name, content in photos.items():
        (folder / name).write_bytes(content)
    (folder / ".DS_Store").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("no photo")
    (folder / "photo-7.jpg").write_bytes(b"damaged")
    drop(visit.page, tmp_path / "cruise")
    visit.done(7)
    for label, name in enumerate(CLASSES):
        assert visit.shown(f"photo-{label}.jpg") == name
    assert "received text" in visit.card("photo-7.jpg").locator(".state").inner_text()
    assert visit.page.locator("#show-failed").inner_text() == "Errors 1"
    assert visit.page.locator("#progress").is_hidden()

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        for path in sorted(folder.glob("photo-*")):
            entries.write(path, path.relative_to(tmp_path))
    expected = list(csv.reader(io.StringIO(server.predict(archive.getvalue(), "text/csv").content.decode())))
    received = list(csv.reader(io.StringIO(visit.table())))
    assert received[0] == expected[0]
    assert received[:-1] == expected[:-1]
    # What is wrong with a damaged file is said a little differently of one alone.
    assert received[-1][:4] == expected[-1][:4] and received[-1][4]


def test_bars_and_numbers_equal_those_of_the_api(visit: Visit, server: Server) -> None:
    content = each_class()[0][1]
    answer = server.predict(content, top_k=3).json()
    visit.page.locator("#top-k").fill("3")
    visit.page.locator("#top-k").blur()
    visit.add(("one.jpg", content))
    visit.done(1)
    rows = visit.card("one.jpg").locator(".bars li")
    assert rows.locator(".label").all_inner_texts() == answer["labels"]
    widths = [
        row.evaluate("bar => bar.clientWidth / bar.parentElement.clientWidth")
        for row in rows.locator(".meter span").all()
    ]
    assert widths == pytest.approx(answer["probabilities"], abs=0.02)
    visit.page.locator("#top-k").fill("2")
    visit.page.locator("#top-k").blur()
    playwright.expect(rows).to_have_count(2)
    visit.page.locator("#top-k").fill("0")
    visit.page.locator("#top-k").blur()
    assert visit.page.locator("#top-k:invalid").count() == 1
    assert rows.count() == 2


def test_unknown_predictions_are_explained(visit: Visit, server: Server) -> None:
    content = unknown_photo(server)
    closest = server.predict(content).json()["labels"][0]
    visit.add(("strange.jpg", content), ("plain.jpg", each_class()[0][1]))
    visit.done(2)
    assert visit.shown("strange.jpg").endswith("Unknown")
    words = visit.card("strange.jpg").locator(".summary").inner_text()
    assert "does not resemble" in words and f"Closest: \u2068{closest}\u2069" in words
    playwright.expect(visit.page.locator("#live")).to_contain_text(f"strange.jpg: unknown. {words}")
    assert "true" in visit.table()
    visit.page.get_by_role("button", name="Unknown 1").click()
    assert visit.card("strange.jpg").is_visible() and not visit.card("plain.jpg").is_visible()


def test_both_classes_of_an_uncertain_prediction_are_shown(visit: Visit, server: Server) -> None:
    content = uncertain_photo(server)
    answer = server.predict(content).json()["predictions"][0]
    visit.add(("between.jpg", content), ("plain.jpg", each_class()[0][1]))
    visit.done(2)
    first, second = answer["labels"][0], answer["second"]
    assert visit.shown("between.jpg").endswith(f"\u2068{first}\u2069 or \u2068{second}\u2069")
    assert "confidence" in visit.card("between.jpg").locator(".summary").inner_text()
    visit.page.get_by_role("button", name="Uncertain 1").click()
    assert visit.card("between.jpg").is_visible() and not visit.card("plain.jpg").is_visible()


@pytest.mark.parametrize(
    "name",
    [f"{OWNED}.jpg", "'\"><script>document.title='owned'</script>.jpg", "🦠 أزرق 深蓝 ${1}.jpg", CONTROLS],
    ids=["image", "script", "letters", "controls"],
)
def test_names_are_escaped(visit: Visit, name: str) -> None:
    shown = printable(name)
    visit.add((name, each_class()[5][1]), (f"bad {name}", b"damaged"))
    visit.done(2)
    assert visit.page.locator(".file bdi").all_inner_texts() == [shown, f"bad {shown}"]
    assert visit.card(shown).first.locator(".best bdi").inner_text() == OWNED
    visit.card(shown).first.locator(".show-heat").click()
    visit.page.locator("#heat-image").wait_for()
    assert visit.page.locator("#heat-title").inner_text() == shown
    assert visit.page.locator("main script, main img:not([src^='blob:']):not([hidden])").count() == 0
    visit.page.keyboard.press("Escape")
    assert name in [original_text(row[0]) for row in csv.reader(io.StringIO(visit.table()))]


def test_the_page_works_by_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    with page.expect_file_chooser() as chooser:
        tab_to(page, "choose-photos")
        page.keyboard.press("Enter")
    chooser.value.set_files([{"name": "one.jpg", "mimeType": "image/jpeg", "buffer": each_class()[1][1]}])
    visit.done(1)
    playwright.expect(page.locator("#live")).to_contain_text("one.jpg: 深蓝色")
    tab_to(page, "model")
    tab_to(page, "top-k")
    tab_to(page, "csv")
    with page.expect_download():
        page.keyboard.press("Enter")
    tab_to(page, "show-heat")
    page.keyboard.press("Enter")
    page.locator("#heat-image").wait_for()
    assert (
        page.locator("#heat-image").get_attribute("alt")
        == "The photo, the heat map of the class 深蓝色, and the most probable classes."
    )
    page.keyboard.press("Escape")
    assert page.locator("#heat").is_hidden()
    assert page.evaluate("document.activeElement.classList.contains('show-heat')")
    with page.expect_file_chooser():
        page.keyboard.press("Shift+Tab")
        tab_to(page, "choose-folder", key="Shift+Tab")
        page.keyboard.press(" ")


@pytest.mark.parametrize("visit", [PHONE, PHONE | {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"])
def test_the_page_works_on_a_phone(visit: Visit) -> None:
    page = visit.page
    for moment in ("empty", "answered", "figure"):
        if moment == "answered":
            visit.add(*each_class(), ("x" * 200 + ".jpg", b"damaged"))
            visit.done(7)
        if moment == "figure":
            visit.card("photo-4.jpg").locator(".show-heat").tap()
            page.locator("#heat-image").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360, moment
        for target in page.locator("button:visible, select:visible, input:visible, a:visible").all():
            box = target.bounding_box()
            assert box["height"] >= MIN_TOUCH_TARGET, (moment, target.inner_text())
    assert page.locator("#heat-frame").evaluate("frame => frame.scrollLeft") > 0
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (red + green + blue < 150) == dark


@pytest.mark.parametrize("visit", [DESKTOP, PHONE, PHONE | {"color_scheme": "dark"}], indirect=True)
def test_the_models_of_a_dataset_are_compared_in_a_table(visit: Visit, server: Server) -> None:
    page = visit.page
    page.locator("#leaderboard summary").press("Enter")
    [model] = server.metadata()["models"]
    row = page.locator("#leaderboard tbody tr td").all_inner_texts()
    assert page.locator("#leaderboard caption").inner_text() == "odd"
    assert row[:2] == ["odd", f"{100 * model['accuracy']:.1f} %"]
    assert row[4:] == [
        f"{model['training_seconds']:.0f}",
        f"{model['megabytes']:.1f}",
        f"{model['milliseconds_per_photo']:.1f}",
    ]
    assert model["training_seconds"] > 0 and model["milliseconds_per_photo"] > 0
    width = page.evaluate("document.documentElement.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_hundred_photos_are_cancelled_and_resumed(visit: Visit) -> None:
    page = visit.page
    content = each_class()[2][1]
    visit.add(*((f"{index:03}.jpg", content) for index in range(100)))
    page.locator(".card[data-state=answered]").nth(4).wait_for(state="attached")
    page.locator("#cancel").click()
    over = page.evaluate("document.querySelector('#progress').value")
    assert 5 <= over < 100
    playwright.expect(page.locator(".card[data-state=cancelled]")).to_have_count(100 - int(over))
    assert page.locator("#resume").is_visible()
    assert len(visit.table().splitlines()) == 1 + over
    page.locator("#resume").click()
    visit.done(100)
    assert visit.max_asking <= 3
    table = list(csv.reader(io.StringIO(visit.table())))
    assert [row[0] for row in table[1:]] == [f"{index:03}.jpg" for index in range(100)]
    assert len({tuple(row[1:]) for row in table[1:]}) == 1
    page.locator("#clear").click()
    assert page.locator(".card").count() == 0 and page.locator("#results").is_hidden()


def test_the_page_waits_for_a_service_that_stops(visit: Visit, line: Line) -> None:
    visit.add(each_class()[0])
    visit.done(1)
    line.cut()
    visit.add(*each_class()[1:4])
    playwright.expect(visit.page.locator("#notice")).to_contain_text("topgraft serve")
    assert visit.page.locator("#service").get_attribute("data-reachable") == "no"
    assert visit.page.locator(".card[data-state=failed]").count() == 0
    line.join()
    visit.done(4)
    assert visit.page.locator(".card[data-state=answered]").count() == 4
    playwright.expect(visit.page.locator("#notice")).to_be_hidden()


def test_the_page_waits_for_a_lost_worker_and_keeps_its_predictions(visit: Visit, server: Server) -> None:
    visit.add(each_class()[0])
    visit.done(1)
    asked = visit.count_questions()
    visit.keep_notices()
    end_decoding(server)
    visit.add(("large.png", large_photo()), *each_class()[1:3])
    worker_with_a_large_photo(server).kill()
    wait_until(lambda: "A new one is starting" in visit.noticed(), SECONDS)
    visit.done(4)
    assert "Start again" not in visit.noticed()
    assert visit.page.locator(".card[data-state=failed]").count() == 0
    playwright.expect(visit.page.locator("#notice")).to_be_hidden()
    assert "photo-0.jpg" not in asked


def test_the_page_waits_while_a_proxy_reports_the_service_unavailable(visit: Visit) -> None:
    def refuse(route: "playwright.Route") -> None:
        route.fulfill(status=503, content_type="text/html", body="<h1>503 Service Temporarily Unavailable</h1>")

    visit.page.route(QUESTIONS, refuse, times=1)
    visit.keep_notices()
    visit.add(each_class()[0])
    visit.done(1)
    assert "status 503" in visit.noticed()
    assert "Start again" not in visit.noticed()
    assert visit.shown("photo-0.jpg") == "red"


def test_photos_added_after_a_clear_do_not_wait_for_earlier_ones(visit: Visit) -> None:
    page = visit.page
    hold_up_four_times(visit)
    page.locator("#clear").click()
    with page.expect_request(QUESTIONS):
        visit.add(each_class()[1])
    playwright.expect(page.locator("#notice")).to_be_visible()
    page.unroute(QUESTIONS)
    page.clock.run_for(1000 * SECONDS_BETWEEN_CHECKS)
    visit.done(1)
    assert visit.shown("photo-1.jpg") == "深蓝色"


def test_a_restarted_service_is_soon_found_after_many_retries(visit: Visit, line: Line) -> None:
    page = visit.page
    hold_up_four_times(visit)
    page.unroute(QUESTIONS)
    line.cut()
    pass_time(page, lambda: page.locator("#service").get_attribute("data-reachable") == "no")
    line.join()
    page.clock.run_for(1000 * SECONDS_BETWEEN_CHECKS)
    visit.done(1)
    assert visit.shown("photo-0.jpg") == "red"


def hold_up_four_times(visit: Visit) -> None:
    """Let the worker of one photo be lost four times; the page's clock is paused afterwards."""

    def lose_worker(route: "playwright.Route") -> None:
        route.fulfill(status=503, headers={"Retry-After": "1"}, json={"message": "the worker was lost"})

    visit.page.clock.install(time=0)
    visit.page.reload()
    visit.ready()
    visit.page.clock.pause_at(60)
    visit.page.route(QUESTIONS, lose_worker)
    asked = visit.count_questions()
    visit.add(each_class()[0])
    pass_time(visit.page, lambda: len(asked) == 4)
    playwright.expect(visit.page.locator("#notice")).to_be_visible()


def pass_time(page: "playwright.Page", until: Callable[[], bool]) -> None:
    """Advance the page's clock from check to check."""

    def advances() -> bool:
        page.clock.run_for(1000 * SECONDS_BETWEEN_CHECKS)
        return until()

    wait_until(advances, 15)


def test_a_damaged_model_stops_the_queue_until_the_user_resumes(visit: Visit, server: Server) -> None:
    hurt = server.home / "models" / "hurt"
    shutil.copytree(server.home / "models" / "odd", hurt)
    try:
        visit.page.reload()
        visit.ready()
        visit.page.select_option("#model", "hurt")
        visit.add(each_class()[0], ("text.jpg", b"no photo"))
        visit.done(2)
        whole = (hurt / "model.onnx").read_bytes()
        (hurt / "model.onnx").write_bytes(whole[:1000])
        asked = visit.count_questions()
        visit.add(*each_class()[1:4])
        start_again = visit.page.get_by_role("button", name="Start again")
        start_again.wait_for()
        assert "hurt" in visit.page.locator("#notice-text").inner_text()
        (hurt / "model.onnx").write_bytes(whole)
        start_again.click()
        visit.done(5)
        assert visit.page.locator(".card[data-state=answered]").count() == 4
        assert visit.page.locator("#counts").inner_text() == "5 of 5 by hurt"
        assert {"photo-1.jpg", "photo-2.jpg", "photo-3.jpg"} == set(asked)
    finally:
        shutil.rmtree(hurt)


def test_a_service_that_has_not_started_is_reported_and_waited_for(
    browser: "playwright.Browser", url: str, line: Line
) -> None:
    line.cut()
    context = browser.new_context(**DESKTOP)
    visit = Visit(context, url)
    playwright.expect(visit.page.locator("#notice")).to_contain_text("No DEEPaaS service answers")
    visit.add(each_class()[0])
    line.join()
    visit.ready()
    visit.done(1)
    assert visit.shown("photo-0.jpg") == "red"
    context.close()


def test_photos_of_a_model_deleted_midway_can_go_to_another(visit: Visit, server: Server) -> None:
    doomed = server.home / "models" / "doomed"
    shutil.copytree(server.home / "models" / "odd", doomed)
    visit.page.reload()
    visit.ready()
    visit.page.select_option("#model", "doomed")
    visit.add(each_class()[0])
    visit.done(1)
    shutil.rmtree(doomed)
    visit.add(*each_class()[1:4])
    playwright.expect(visit.page.locator("#notice")).to_contain_text("Choose another model")
    assert visit.page.locator(".card[data-state=failed]").count() == 0
    visit.page.select_option("#model", "odd")
    visit.done(4)
    playwright.expect(visit.page.locator("#counts")).to_have_text("4 of 4 by odd")
    playwright.expect(visit.page.locator("#notice")).to_be_hidden()


def test_only_the_photo_that_is_too_large_is_refused(visit: Visit, tmp_path: Path) -> None:
    large = tmp_path / "large.tif"
    with open(large, "wb") as file:
        file.truncate((128 << 20) + 1)
    small = tmp_path / "small.jpg"
    small.write_bytes(each_class()[0][1])
    visit.page.set_input_files("#photos", [large, small])
    visit.done(2)
    assert "at most 128 MB" in visit.card("large.tif").locator(".state").inner_text()
    assert visit.shown("small.jpg") == "red"


@pytest.mark.skipif("TOPGRAFT_SCREENSHOTS" not in os.environ, reason="made where TOPGRAFT_SCREENSHOTS names a folder")
def test_the_screenshot_of_the_documentation(visit: Visit, server: Server) -> None:
    write_demo_dataset(server.home / "data" / "demo", images_per_class=3)
    training = server.wait_for_training(server.start_training(dataset=str(REAL_DATASET), name="plankton"))
    assert training["status"] == "done", training
    visit.page.reload()
    visit.ready()
    visit.page.select_option("#model", "plankton")
    on_land = [path.read_bytes() for path in sorted((server.home / "data" / "demo").rglob("*.jpg"))]
    strange = next(content for content in on_land if has_mark(server, content, "plankton", "unknown"))
    photos = [sorted(folder.iterdir())[1] for folder in sorted((REAL_DATASET / "images").iterdir())]
    visit.add(*((f"photo-{path.name[-8:]}", path.read_bytes()) for path in photos), ("on-land.jpg", strange))
    visit.done(7)
    assert visit.shown("on-land.jpg").endswith("Unknown")
    visit.page.locator(".card img:visible").nth(6).wait_for()
    visit.page.screenshot(path=Path(os.environ["TOPGRAFT_SCREENSHOTS"]) / "page.png", full_page=True)


def drop(page: "playwright.Page", path: Path) -> None:
    """Drag a file or folder of the disk onto the page, as a person does."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 250, "data": data})


def tab_to(page: "playwright.Page", name: str, key: str = "Tab") -> None:
    """Press a key until the element of that id or class has the focus, which must be seen."""
    for _ in range(15):
        page.keyboard.press(key)
        found, outline = page.evaluate(
            "name => [document.activeElement.id === name || document.activeElement.classList.contains(name),"
            " getComputedStyle(document.activeElement).outlineStyle]",
            name,
        )
        if found:
            assert outline == "solid", name
            return
    raise AssertionError(f"the keyboard does not reach {name}")
