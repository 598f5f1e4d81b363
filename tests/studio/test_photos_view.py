"""The view *Photos* in a real browser: uploads, changes by mouse and keyboard, the verdict, and very many photos."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.curation import changes
from model.curation.journal import locked
from model.curation.places import read_contents
from model.curation.plans import AddClass
from tests.page.visit import MIN_TOUCH_TARGET
from tests.support.axe import installed_axe
from tests.support.photos import encoded, random_image, write_photos, zip_of
from tests.support.ports import free_port
from tests.support.studio_server import Studio, running_studio

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SECONDS = 60
MANY = 10_000
MAX_CELLS = 300
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

WATCH_LONG_TASKS = """() => {
  window.longest = 0;
  const keep = ({ duration }) => (longest = Math.max(longest, duration));
  new PerformanceObserver((list) => list.getEntries().forEach(keep)).observe({ entryTypes: ["longtask"] });
}"""

# Scrolls to the end in steps of a screen; returns the largest number of elements that stood for photos.
SCROLL = """async () => {
  const grid = document.querySelector(".grid");
  let most = 0;
  for (let top = 0; top < grid.scrollHeight; top += 4 * grid.clientHeight) {
    grid.scrollTop = top;
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    most = Math.max(most, grid.querySelectorAll(".cell").length);
  }
  return most;
}"""


@pytest.fixture(scope="module")
def state(browser: Any, studio: Studio) -> Any:
    """Cookies of a session."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(studio.link)
    page.wait_for_selector(".drop-zone")
    stored = context.storage_state()
    context.close()
    return stored


class Visit:
    """A page at an address; `complaints` are its errors."""

    def __init__(self, context: Any, url: str) -> None:
        context.set_default_timeout(1000 * SECONDS)
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def card(self, name: str) -> Any:
        return self.page.locator(".class-card", has=self.page.get_by_text(name, exact=True))

    def open(self, name: str) -> None:
        self.card(name).click()
        self.page.locator(".class-tools h2", has_text=name).wait_for()

    def counts(self, **expected: int) -> None:
        """Wait until the cards show these numbers of photos."""
        for name, count in expected.items():
            self.page.locator(".class-card", has_text=name).locator(f"text=/^{count} photos?$/").wait_for()


@pytest.fixture
def visit(browser: Any, state: Any, studio: Studio, dataset: Path) -> Iterator[Visit]:
    context = browser.new_context(storage_state=state, viewport={"width": 1280, "height": 900})
    shown = Visit(context, f"{studio.url}#photos/{dataset.name}")
    shown.counts(blue=8, red=8)
    yield shown
    context.close()
    assert shown.complaints == []


@pytest.fixture
def dataset(studio: Studio, request: pytest.FixtureRequest) -> Path:
    return write_photos(studio.home / "data" / request.node.name.partition("[")[0])


def test_a_chosen_folder_becomes_a_dataset_and_bad_files_are_listed(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "Leaves"
    for name in ("elm", "oak"):
        for number in range(6):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{number}.jpg").write_bytes(encoded(random_image(10 * ord(name[0]) + number)))
    (folder / "oak" / "notes.txt").write_text("seen at dawn")
    for number in range(9):
        (folder / "elm" / f"page {number}.txt").write_text("no photo")
    (folder / "oak" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "home").mkdir()
    with running_studio(tmp_path / "home") as studio:
        context = browser.new_context()
        visit = Visit(context, studio.link)
        visit.page.set_input_files("input[webkitdirectory]", folder)
        visit.counts(elm=6, oak=6)
        visit.page.locator(".upload", has_text="12 photos added").wait_for()
        visit.page.locator(".upload summary").click()
        assert visit.page.locator(".upload details li").count() == 9
        visit.page.get_by_role("button", name="Show 2 more").click()
        visit.page.locator(".upload details li", has_text="received text beginning with 'seen at dawn'").wait_for()
        assert visit.page.locator(".upload details li").count() == 10
        visit.page.locator(".conclusion", has_text="Ready to train").wait_for()
        assert sorted(path.name for path in (tmp_path / "home" / "data" / "Leaves" / "oak").iterdir())[-1] == "5.jpg"
        assert visit.complaints == []
        context.close()


def test_photos_are_changed_by_the_keyboard_only(visit: Visit, dataset: Path) -> None:
    page = visit.page
    visit.open("red")
    page.locator(".grid").focus()
    for key in ("ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(key)
    page.locator(".chosen", has_text="3 selected").wait_for()
    page.keyboard.press("m")
    page.locator("dialog select:focus").wait_for()
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    visit.counts(blue=11, red=5)
    page.locator(".grid").focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    visit.counts(red=0, Removed=5)
    page.keyboard.press("Control+z")
    visit.counts(red=5)
    page.keyboard.press("Control+z")
    visit.counts(blue=8, red=8)
    page.locator(".grid").focus()
    page.keyboard.press("Enter")
    page.locator("dialog.large-photo img").wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="History").press("Enter")
    page.locator("dialog.history li", has_text="3 photos moved").wait_for()
    assert page.locator("dialog.history li").count() == len(changes.changes(dataset)) == 4


def test_classes_are_added_renamed_merged_and_removed(visit: Visit, dataset: Path) -> None:
    page = visit.page

    def answer(opener: str, value: str, accept: str) -> None:
        page.get_by_role("button", name=opener, exact=True).click()
        field = page.locator("dialog [name=value]")
        field.select_option(value) if field.evaluate("one => one.tagName") == "SELECT" else field.fill(value)
        page.get_by_role("dialog").get_by_role("button", name=accept, exact=True).click()

    answer("New class", "<script>", "Create")
    page.locator("dialog .problem", has_text="Choose another name").wait_for()
    page.locator("dialog [name=value]").fill("green")
    page.keyboard.press("Enter")
    visit.counts(green=0)
    visit.open("blue")
    answer("Rename", "navy", "Rename")
    visit.counts(navy=8)
    visit.open("navy")
    answer("Merge into …", "red", "Merge into …")
    visit.counts(red=16)
    visit.open("green")
    page.get_by_role("button", name="Remove the class").click()
    page.locator(".conclusion", has_text="Add a second class").wait_for()
    assert list(read_contents(dataset).classes) == ["red"]


def drop_on(page: Any, path: Path, target: Any) -> None:
    """Drag a folder of the disk onto an element, as a user does."""
    box = target.bounding_box()
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def test_photos_and_files_are_dropped_on_a_class(visit: Visit, dataset: Path, tmp_path: Path) -> None:
    page = visit.page
    visit.open("red")
    page.locator(".cell").nth(0).click()
    page.locator(".cell").nth(3).click(modifiers=["Shift"])
    page.drag_and_drop("#photo-1", ".class-card[data-key='class blue']")
    visit.counts(blue=12, red=4)
    folder = tmp_path / "more oaks"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.jpg").write_bytes(encoded(random_image(90 + number)))
    drop_on(page, folder, page.locator(".class-card[data-key='class blue']"))
    visit.counts(blue=14)
    packed = zip_of(**{f"{number}.jpg": encoded(random_image(70 + number)) for number in range(3)})
    (tmp_path / "more.zip").write_bytes(packed)
    page.set_input_files("input[type=file]:not([webkitdirectory])", tmp_path / "more.zip")
    visit.counts(red=4)
    page.locator(".upload", has_text="3 photos added").wait_for()
    visit.card("Without a class").wait_for()


def test_two_tabs_see_each_others_changes(
    visit: Visit, browser: Any, state: Any, studio: Studio, dataset: Path
) -> None:
    context = browser.new_context(storage_state=state)
    other = Visit(context, f"{studio.url}#photos/{dataset.name}")
    other.counts(red=8)
    visit.open("red")
    visit.page.locator(".cell").first.click()
    visit.page.get_by_role("button", name="Remove", exact=True).click()
    other.counts(red=7)
    changes.change(dataset, AddClass("by the command line"))
    visit.card("by the command line").wait_for()
    context.close()


def test_an_upload_goes_on_when_the_connection_and_the_server_are_back(browser: Any, tmp_path: Path) -> None:
    source = tmp_path / "source" / "elm"
    source.mkdir(parents=True)
    for number in range(450):
        (source / f"{number}.jpg").write_bytes(encoded(random_image(number)))
    (tmp_path / "home").mkdir()
    port = free_port()
    context = browser.new_context()
    with running_studio(tmp_path / "home", port=port) as studio:
        visit = Visit(context, studio.link)
        visit.page.wait_for_selector(".drop-zone")
        broken: list[str] = []

        def kill_once(route: Any) -> None:
            if broken or "first=0&" in route.request.url:
                return route.continue_()
            broken.append(route.request.url)
            studio.process.kill()
            route.abort()

        visit.page.route("**/uploads/*?first=*", kill_once)
        visit.page.set_input_files("input[webkitdirectory]", tmp_path / "source")
        visit.page.locator(".upload[data-state='waiting']").wait_for()
        assert broken and studio.process.wait() != 0
    with running_studio(tmp_path / "home", port=port):
        visit.page.locator(".upload", has_text="photos added").wait_for()
        [dataset] = (tmp_path / "home" / "data").iterdir()
        received = {path.name: path.read_bytes() for path in (dataset / "elm").iterdir()}
        assert received == {path.name: path.read_bytes() for path in source.iterdir()}
        context.close()


def test_an_import_is_cancelled_found_again_and_closed(visit: Visit, studio: Studio, dataset: Path) -> None:
    page = visit.page
    source = write_photos(studio.home / "data" / "from elsewhere")
    row = page.locator(".upload", has_text=source.name)

    def start() -> None:
        page.get_by_role("button", name="Import", exact=True).click()
        page.get_by_label("What to copy into this dataset").fill(source.name)
        page.keyboard.press("Enter")

    with locked(dataset):
        start()
        row.locator("progress").wait_for()
        page.reload()
        row.locator("progress").wait_for()
        row.get_by_role("button", name="Cancel").click()
    page.locator(".upload[data-state=cancelled]", has_text="Nothing was added").wait_for()
    (source / "red" / "more.jpg").write_bytes(encoded(random_image(200)))
    start()
    page.locator(".upload[data-state=done]", has_text="1 photo of from elsewhere was imported").wait_for()
    visit.counts(red=9, blue=8)
    page.reload()
    row.get_by_role("button", name="Close").click()
    page.reload()
    visit.counts(red=9)
    assert row.count() == 0


def test_very_many_photos_scroll_smoothly(browser: Any, state: Any, studio: Studio) -> None:
    dataset = studio.home / "data" / "many"
    for name in ("elm", "oak"):
        (dataset / name).mkdir(parents=True)
    photo = dataset / "oak" / "0.jpg"
    photo.write_bytes(encoded(random_image(5)))
    (dataset / "elm" / "other.jpg").write_bytes(encoded(random_image(6)))
    for number in range(1, MANY):
        os.link(photo, dataset / "oak" / f"{number}.jpg")
    context = browser.new_context(storage_state=state, viewport={"width": 1280, "height": 900})
    visit = Visit(context, f"{studio.url}#photos/many")
    visit.open("oak")
    visit.page.wait_for_selector(".cell")
    visit.page.evaluate(WATCH_LONG_TASKS)
    assert 20 < visit.page.evaluate(SCROLL) < MAX_CELLS
    print(f"longest task: {visit.page.evaluate('longest'):.0f} ms")
    visit.page.locator(".grid").focus()
    visit.page.keyboard.press("End")
    visit.page.locator(f"#photo-{MANY - 1}").wait_for()
    visit.page.keyboard.press("Control+a")
    visit.page.locator(".chosen", has_text="10,000 selected").wait_for()
    context.close()


def test_the_view_on_a_phone_in_french_and_dark_has_no_serious_findings(
    browser: Any, state: Any, studio: Studio, dataset: Path, tmp_path: Path
) -> None:
    axe = installed_axe(tmp_path)
    (dataset / "red" / "same.jpg").write_bytes((dataset / "blue" / "0.jpg").read_bytes())
    for options in ({}, {"color_scheme": "dark"}, PHONE | {"locale": "fr-FR", "color_scheme": "dark"}):
        context = browser.new_context(storage_state=state, bypass_csp=True, **options)
        visit = Visit(context, f"{studio.url}#photos/{dataset.name}")
        visit.page.wait_for_selector(".findings")
        visit.page.locator(".cell").first.click()
        visit.page.add_script_tag(path=str(axe))
        found = visit.page.evaluate("axe.run(document).then(result => result.violations)")
        assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        small = visit.page.evaluate(
            f"[...document.querySelectorAll('main button, main select')].filter((one) => one.offsetParent && "
            f"one.offsetHeight < {MIN_TOUCH_TARGET}).map((one) => one.outerHTML)"
        )
        assert small == []
        if options.get("locale"):
            assert "Déposez ici" in visit.page.inner_text("main")
        context.close()
