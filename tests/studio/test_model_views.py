"""The views Result, Try it and Share in a real browser, with the keyboard, on a phone, in the dark and in French."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from model.curation.changes import add_photo, changes
from model.curation.places import UNLABELLED, photos_in
from model.registry import Registry
from model.studio.routes.trial import MAX_LISTED
from model.workspace import Workspace
from tests.studio.conftest import ModelStudio
from tests.studio.visit import PHONE, assert_fits, visiting
from tests.support.axe import installed_axe
from tests.support.browser import playwright, running_chromium
from tests.support.nextcloud_server import FOLDER, NAME, TOKEN
from tests.support.photos import encoded, random_image
from tests.support.studio_models import BLUE, DATASET, HURT, ISSUES
from tests.support.waiting import answers, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def browser() -> "Iterator[playwright.Browser]":
    with running_chromium(*CAMERA) as running:
        yield running


@pytest.fixture
def page(browser: "playwright.Browser", models: ModelStudio, request: Any) -> "Iterator[playwright.Page]":
    """A tab of the studio, which loads nothing from elsewhere."""
    with visiting(browser, models.studio, **getattr(request, "param", {})) as visit:
        opened = visit.context.new_page()
        addresses: set[str] = set()
        opened.on("pageerror", lambda error: visit.complaints.append(str(error)))
        opened.on("request", lambda one: addresses.add(one.url))
        yield opened
        assert all(urlsplit(one).scheme in ("blob", "data") or one.startswith(models.studio.url) for one in addresses)


@pytest.fixture(scope="module")
def service(models: ModelStudio) -> str:
    """The address of the service, which answers."""
    address = models.get("api/state").json()["service"]["address"]
    wait_until(lambda: answers(f"{address}/v2/models/topgraft/"), 90, models.studio.process)
    return str(address)


def show(page: "playwright.Page", models: ModelStudio, view: str, model: str = NAME) -> None:
    page.goto(f"{models.studio.url}#{view}/{model}")
    page.locator("main h1").wait_for()


def dataset(models: ModelStudio) -> Path:
    return models.studio.home / "data" / DATASET


def file(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def another_file(content: bytes, end: bytes = b"copy") -> bytes:
    """The same photo as a file with other bytes: decoders ignore what follows the image."""
    return content + end


def test_suspected_labels_are_decided_by_one_key_each(page: "playwright.Page", models: ModelStudio) -> None:
    show(page, models, "result")
    page.get_by_text("Expect 88 of 100 new photos to be right, between 74 and 95").wait_for()
    playwright.expect(page.frame_locator(".report iframe").locator("body")).to_have_text("All of it.")
    (first, given, suggested), (second, kept, _), _ = ISSUES
    page.get_by_text(f"The label is {given}. The model finds {suggested}.").wait_for()
    page.keyboard.press("c")
    page.get_by_text(f"The label is {kept}.").wait_for()
    moved = dataset(models) / suggested / Path(first).name
    assert not (dataset(models) / first).exists()
    page.keyboard.press("k")
    page.get_by_text("1 corrected, 1 kept.").wait_for()
    playwright.expect(page.get_by_role("button", name="Train again")).to_be_enabled()
    entry = changes(dataset(models))[0]
    assert entry.model == NAME and entry.by and entry.details["to"] == suggested
    assert (dataset(models) / second).is_file() and moved.parent.is_dir()
    page.keyboard.press("u")
    page.get_by_text(f"The label is {given}.").wait_for()
    assert (dataset(models) / first).is_file()


def test_the_class_of_which_more_is_to_be_collected_is_opened(page: "playwright.Page", models: ModelStudio) -> None:
    show(page, models, "result")
    page.get_by_role("link", name="Collect more of blue").click()
    card = page.locator(".class-card[data-key='class blue']")
    playwright.expect(card).to_be_focused()
    playwright.expect(card).to_have_attribute("aria-pressed", "true")
    playwright.expect(page.locator(".class-tools h2")).to_contain_text("blue")
    page.goto(f"{models.studio.url}#photos/{DATASET}/none%2F%25")
    page.get_by_text("There is no class none/% any more").wait_for()


def test_a_label_that_another_tab_has_changed_is_explained(page: "playwright.Page", models: ModelStudio) -> None:
    show(page, models, "result")
    photo, given, suggested = ISSUES[0]
    page.get_by_text(f"The label is {given}.").wait_for()
    other = models.post("api/corrections", dataset=DATASET, photo=photo, model=NAME, **{"class": suggested})
    assert other.ok
    page.keyboard.press("c")
    page.get_by_text("It may have been moved meanwhile").wait_for()
    assert models.post(f"api/datasets/{DATASET}/undo").ok


def test_a_model_is_chosen_and_that_is_undone(page: "playwright.Page", models: ModelStudio) -> None:
    show(page, models, "result", BLUE)
    page.get_by_role("button", name="Use this one").click()
    page.locator("main").get_by_text("This model is used for predictions.").wait_for()
    assert Registry().latest(Workspace(models.studio.home)).name == BLUE
    page.get_by_role("button", name="Undo the last choice").click()
    page.get_by_role("button", name="Use this one").wait_for()
    page.get_by_label("Compare with").select_option(NAME)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.frame_locator("iframe[title='Models side by side']").locator("h1").wait_for(timeout=60_000)


def test_models_that_are_damaged_or_deleted_are_explained(page: "playwright.Page", models: ModelStudio) -> None:
    show(page, models, "result", HURT)
    page.get_by_text("is damaged").first.wait_for()
    doomed = models.studio.home / "models" / "doomed"
    shutil.copytree(models.studio.home / "models" / BLUE, doomed)
    show(page, models, "share", "doomed")
    page.get_by_text("curl -F").wait_for()
    shutil.rmtree(doomed)
    page.get_by_text("There is no model doomed any more").wait_for()


def test_a_tried_photo_is_confirmed_or_corrected(page: "playwright.Page", models: ModelStudio, service: str) -> None:
    known = (dataset(models) / "green" / "5.png").read_bytes()
    content = another_file(known)
    show(page, models, "try")
    page.get_by_label("Your name, for the history").fill("Zoé")
    page.set_input_files("input[type=file]", [file("leaf.png", content)])
    page.get_by_role("heading", name="green").wait_for()
    page.get_by_role("button", name="Right: ⁨green⁩").click()
    page.locator("main").get_by_text("Added to green.").wait_for()
    assert (dataset(models) / "green" / "leaf.png").read_bytes() == content
    page.get_by_role("button", name="Undo").click()
    page.get_by_label("Wrong, it is").fill("blue")
    page.keyboard.press("Enter")
    page.locator("main").get_by_text("Added to blue.").wait_for()
    assert (dataset(models) / "blue" / "leaf.png").is_file()
    assert not (dataset(models) / "green" / "leaf.png").exists()
    last = changes(dataset(models))[0]
    assert (last.by, last.model, last.details["answer"]) == ("Zoé", NAME, "green")
    page.set_input_files("input[type=file]", [file("known.png", known)])
    page.get_by_role("button", name="Right: ⁨green⁩").click()
    page.locator("main").get_by_text("It is already in green").wait_for()
    page.get_by_role("button", name="Where it looked").first.click()
    page.locator("#heat-image").wait_for()
    page.keyboard.press("Escape")


def test_photos_that_are_tried_at_once_are_all_answered(
    page: "playwright.Page", models: ModelStudio, service: str
) -> None:
    """The model has no reference features, which the first answers find out side by side."""
    colours = ("red", "green", "blue")
    photos = [file(f"{name}.png", (dataset(models) / name / "3.png").read_bytes()) for name in colours]
    show(page, models, "try")
    page.set_input_files("input[type=file]", photos)
    for name in colours:
        page.locator(".answer", has_text=f"{name}.png").get_by_role("heading", name=name).wait_for()
    assert page.locator(".answer .notice").count() == 0


@pytest.mark.parametrize("view", ["share", "result", "try"])
def test_a_view_is_complete_after_the_studio_has_returned(
    page: "playwright.Page", models: ModelStudio, view: str
) -> None:
    page.route("**/api/models/**", lambda route: route.abort())
    show(page, models, view)
    alerts = page.locator("main").get_by_role("alert")
    alerts.first.wait_for()
    page.unroute("**/api/models/**")
    page.evaluate("dispatchEvent(new Event('online'))")
    playwright.expect(alerts).to_have_count(0)
    complete = {"share": "curl -F", "result": "Expect 88 of 100", "try": "Choose photos"}
    page.get_by_text(complete[view]).first.wait_for()


def test_the_choices_are_shown_after_the_studio_has_returned(page: "playwright.Page", models: ModelStudio) -> None:
    page.route("**/api/training-options*", lambda route: route.abort())
    page.goto(f"{models.studio.url}#training/{DATASET}")
    alert = page.locator("main .notice:visible")
    alert.wait_for()
    page.unroute("**/api/training-options*")
    page.evaluate("dispatchEvent(new Event('online'))")
    page.get_by_text("Balanced", exact=True).wait_for()
    playwright.expect(alert).to_have_count(0)


def test_choices_that_were_measured_differently_are_not_compared(page: "playwright.Page", models: ModelStudio) -> None:
    """One was trained on these photos, and measured on few of them; of the others, there is the benchmark."""
    tested = {"trainings": 1, "seconds": 5, "accuracy": 1, "interval": [0.7, 1], "images": 10, "measured_by": "test"}

    def answer(route: Any) -> None:
        found = route.fetch().json()
        found["choices"][0]["here"] = tested
        route.fulfill(json=found)

    note = page.get_by_text("do not compare them")
    page.goto(f"{models.studio.url}#training/{DATASET}")
    page.get_by_text("by cross-validation on").first.wait_for()
    assert note.count() == 0
    page.route("**/api/training-options*", answer)
    page.reload()
    page.get_by_text("accuracy of the last one on 10 test photos").wait_for()
    note.wait_for()


def test_programs_say_how_they_run_on_another_computer(page: "playwright.Page", models: ModelStudio) -> None:
    show(page, models, "share")
    page.get_by_text("ssh -N -L").wait_for()


def test_a_class_that_was_renamed_since_is_offered_by_its_name_of_today(
    page: "playwright.Page", models: ModelStudio, service: str
) -> None:
    content = another_file((dataset(models) / "green" / "5.png").read_bytes(), b"lime")
    renamed = {"kind": "rename_class", "name": "green", "new_name": "lime"}
    assert models.post(f"api/datasets/{DATASET}/changes", **renamed).ok
    show(page, models, "try")
    page.set_input_files("input[type=file]", [file("lime.png", content)])
    page.get_by_text("⁨green⁩ is called ⁨lime⁩ today.").wait_for()
    page.get_by_role("button", name="Right: ⁨lime⁩").click()
    page.locator("main").get_by_text("Added to lime.").wait_for()
    assert (dataset(models) / "lime" / "lime.png").read_bytes() == content
    show(page, models, "result")
    page.get_by_text("Renamed since this model was trained: green → lime.").wait_for()
    for _ in range(2):
        assert models.post(f"api/datasets/{DATASET}/undo").ok
    assert not (dataset(models) / "lime").exists()


def test_a_file_that_is_no_photo_and_a_refused_class_are_explained(
    page: "playwright.Page", models: ModelStudio, service: str
) -> None:
    show(page, models, "try")
    page.set_input_files("input[type=file]", [file("text.png", b"no photo")])
    page.locator(".answer .notice").wait_for()
    page.set_input_files("input[type=file]", [file("noise.png", encoded(random_image(5), "PNG"))])
    page.get_by_label("Wrong, it is").fill("../<script>")
    page.keyboard.press("Enter")
    page.get_by_text("Choose another name").wait_for()
    assert page.get_by_label("Wrong, it is").is_visible()


def test_the_camera_answers_live_and_takes_photos(page: "playwright.Page", models: ModelStudio, service: str) -> None:
    show(page, models, "try")
    page.get_by_role("button", name="Camera").click()
    page.locator(".live .bars li").first.wait_for()
    page.get_by_role("button", name="Take a photo").click()
    page.locator(".answer .best").wait_for()
    page.get_by_role("button", name="Camera").click()
    assert page.locator(".live").is_hidden()


def test_photos_are_sorted_by_keys_alone(
    page: "playwright.Page", models: ModelStudio, service: str, tmp_path: Path
) -> None:
    for seed in range(6):
        source = tmp_path / f"{seed}.png"
        source.write_bytes(encoded(random_image(seed), "PNG"))
        add_photo(dataset(models), "", source)
    before = {name: len(photos_in(dataset(models), name)) for name in ("red", "green")}
    show(page, models, "try")
    page.get_by_role("button", name="Start sorting").press("Enter")
    page.locator(".sort-class kbd", has_text="↵").wait_for()
    for key in ("1", "1", "2", "s"):
        page.keyboard.press(key)
    page.get_by_text("3 sorted").wait_for()
    # Both are taken back, and no key decides about the photo that is still shown meanwhile.
    for key in ("u", "u", "2", "s"):
        page.evaluate("key => document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))", key)
    page.get_by_text("1 sorted").wait_for()
    page.keyboard.press("1")
    page.get_by_text("2 sorted").wait_for()
    page.keyboard.press("1")
    page.get_by_text("3 sorted").wait_for()
    wait_until(lambda: len(photos_in(dataset(models), "red")) == before["red"] + 3, 20)
    assert len(photos_in(dataset(models), "green")) == before["green"]
    assert len(photos_in(dataset(models), UNLABELLED)) == 3
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Start sorting").wait_for()


# Skips photos as fast as they are shown; returns the first ones, and the one after them.
SKIP = """async (count) => {
  const seen = [];
  while (seen.length <= count) {
    const photo = document.querySelector(".unsorted img")?.src;
    if (photo && photo !== seen.at(-1)) {
      seen.push(photo);
      document.dispatchEvent(new KeyboardEvent("keydown", { key: "s", bubbles: true }));
    } else await new Promise(requestAnimationFrame);
  }
  return seen;
}"""


def test_skipped_photos_come_back_after_all_others(page: "playwright.Page", models: ModelStudio) -> None:
    folder = dataset(models) / UNLABELLED
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(MAX_LISTED + 3):
        shutil.copy(dataset(models) / "red" / "2.png", folder / f"skipped {number}.png")
    count = len(photos_in(dataset(models), UNLABELLED))
    show(page, models, "try", BLUE)
    page.get_by_role("button", name="Start sorting").click()
    *seen, after = page.evaluate(SKIP, count)
    assert len(set(seen)) == count and after in seen
    shutil.rmtree(folder)


def test_a_model_is_downloaded_and_published_from_the_page(page: "playwright.Page", models: ModelStudio) -> None:
    show(page, models, "share")
    page.get_by_role("button", name="Prepare Archive").press("Enter")
    link = page.locator('[data-format="archive"] a')
    link.wait_for()
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == f"{NAME}.tar.xz"
    page.get_by_role("button", name="Prepare Keras").click()
    page.locator('[data-format="keras"] .notice').wait_for()

    page.get_by_label("Folder in your storage").fill(f"rshare:{FOLDER}")
    page.get_by_label("Title", exact=True).fill("Colours")
    page.get_by_role("button", name="Check and show the steps").click()
    playwright.expect(page.locator(".publish-steps li")).to_have_count(5, timeout=30_000)
    page.get_by_role("button", name="Publish", exact=True).click()
    page.get_by_role("link", name=f"/s/{TOKEN}/download").wait_for()
    playwright.expect(page.locator('.publish-steps [data-state="done"]')).to_have_count(5)
    page.reload()
    page.get_by_role("link", name=f"/s/{TOKEN}/download").wait_for()


@pytest.mark.parametrize("page", [PHONE | {"locale": "fr"}], indirect=True)
def test_a_phone_in_french_shows_every_view_without_scrolling_sideways(
    page: "playwright.Page", models: ModelStudio
) -> None:
    for view, title in (("result", "attendre"), ("try", "Essayer"), ("share", "Partager")):
        show(page, models, view)
        page.get_by_role("heading", name=title).first.wait_for()
        page.locator("main .panel:visible, main .drop").first.wait_for()
        assert_fits(page)


@pytest.mark.parametrize("page", [{"bypass_csp": True}], indirect=True)
def test_no_view_breaks_a_serious_rule_of_accessibility(
    page: "playwright.Page", models: ModelStudio, tmp_path_factory: pytest.TempPathFactory
) -> None:
    axe = installed_axe(tmp_path_factory.mktemp("axe"))
    for view in ("result", "try", "share"):
        show(page, models, view)
        page.locator("main .panel:visible, main .drop").first.wait_for()
        page.add_script_tag(path=str(axe))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate("axe.run(document, {iframes: false}).then(result => result.violations)")
            serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
            assert [(rule["id"], rule["nodes"][0]["html"]) for rule in serious] == [], (view, scheme)
