"""The shell of the studio and its view *Training* in a real browser."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model.curation.changes import create_dataset
from tests.studio.visit import DESKTOP, PHONE, WIDE, Visit, assert_fits, visiting
from tests.support.axe import installed_axe, serious_problems_of
from tests.support.browser import playwright
from tests.support.command import ROOT
from tests.support.photos import write_image
from tests.support.ports import free_port
from tests.support.shapes import write_shapes
from tests.support.small_model import write_model
from tests.support.studio_server import Studio, running_studio

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]

FRENCH = json.loads((ROOT / "model" / "studio" / "static" / "texts" / "fr.json").read_text())
expect = playwright.expect


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    home = tmp_path_factory.mktemp("home")
    write_shapes(home / "data" / "shapes", 12)
    write_model(home / "models" / "colours")
    with running_studio(home) as running:
        yield running


@pytest.fixture
def visit(browser: "Browser", studio: Studio) -> Iterator[Visit]:
    with visiting(browser, studio) as running:
        yield running


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_axe(tmp_path_factory.mktemp("axe"))


def start_quick(page: "Page", name: str) -> None:
    page.get_by_text("Quick", exact=True).click()
    page.get_by_text("More options").click()
    page.locator("#option-name").fill(name)
    page.locator("#option-image_size").fill("64")
    page.get_by_role("button", name="Train", exact=True).click()


def test_a_link_opens_the_studio_once(browser: "Browser", studio: Studio) -> None:
    token = studio.session().post(f"{studio.url}api/link", timeout=10).json()["token"]
    first, second = browser.new_context(), browser.new_context()
    page = first.new_page()
    page.goto(f"{studio.url}#token={token}")
    expect(page.locator("nav [aria-current]")).to_be_visible()
    assert token not in page.url
    page = second.new_page()
    page.goto(f"{studio.url}#token={token}")
    expect(page.get_by_role("alert")).to_contain_text("has been used")
    assert page.locator("nav a").count() == 0
    first.close()
    second.close()


def test_a_password_opens_the_studio_which_says_that_it_is_exposed(browser: "Browser", tmp_path: Path) -> None:
    with running_studio(tmp_path, "--host", "0.0.0.0", TOPGRAFT_STUDIO_PASSWORD="open it") as studio:
        context = browser.new_context(**DESKTOP)
        page = context.new_page()
        page.goto(studio.url)
        page.get_by_label("Password").fill("guess")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("not the password")
        page.get_by_label("Password").fill("open it")
        page.keyboard.press("Enter")
        expect(page.locator("#notices")).to_contain_text("Other computers reach this studio at 0.0.0.0")
        context.close()


def test_a_model_is_trained_with_the_keyboard_only(visit: Visit) -> None:
    page = visit.open("training/shapes")
    page.wait_for_selector(".choice")
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert page.locator("[name=preset]:checked").get_attribute("value") == "quick"
    for _ in range(2):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    card = page.locator(".training")
    expect(card.locator(".steps")).to_be_visible()
    expect(card.locator(".training-state")).to_contain_text("The model is trained", timeout=60_000)
    expect(card.locator("polyline")).to_have_count(3)
    expect(page.locator("#live")).to_contain_text("trained")
    expect(card.get_by_role("link", name="Show the result")).to_be_visible()


def test_options_show_those_of_the_choice_and_keep_what_was_entered(visit: Visit) -> None:
    page = visit.open("training/shapes")
    page.get_by_text("More options").click()
    page.locator("#option-patience").fill("7")
    page.get_by_text("Quick", exact=True).click()
    values = {name: page.locator(f"#option-{name}").input_value() for name in ("image_size", "epochs", "patience")}
    assert values == {"image_size": "160", "epochs": "40", "patience": "7"}
    page.get_by_text("Balanced", exact=True).click()
    assert page.locator("#option-epochs").input_value() == "100"
    page.locator("#option-epochs").fill("0")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator("#option-epochs")).to_be_focused()
    assert page.locator(".training").count() == 0


def test_what_the_server_refuses_is_shown_with_the_reason(visit: Visit) -> None:
    page = visit.open("training/shapes")
    start_quick(page, "colours")
    expect(page.get_by_role("alert")).to_contain_text("name that is not in use")


def test_a_dataset_that_cannot_be_trained_says_why_before_the_button(visit: Visit) -> None:
    data = visit.studio.home / "data"
    dataset = create_dataset(data, "one-class")
    for seed in range(3):
        write_image(dataset / "red" / f"{seed}.jpg", "red", seed=seed)
    page = visit.open("training/one-class")
    page.locator("#dataset").select_option("one-class")
    start = page.get_by_role("button", name="Train", exact=True)
    expect(start).to_be_disabled()
    expect(page.get_by_text("Add a second class")).to_be_visible()
    page.locator("#dataset").select_option("shapes")
    expect(start).to_be_enabled()
    shutil.rmtree(dataset)


def test_a_cancelled_training_offers_a_button_and_no_command(visit: Visit) -> None:
    page = visit.open("training/shapes")
    start_quick(page, "cancelled")
    card = page.locator(".training", has_text="cancelled")
    card.get_by_role("button", name="Cancel").click()
    expect(card.get_by_role("button", name="Resume")).to_be_visible(timeout=30_000)
    expect(card).not_to_contain_text("topgraft")
    card.get_by_role("button", name="Remove").click()
    expect(card).to_have_count(0)


def test_two_tabs_show_the_same_training(visit: Visit) -> None:
    one, other = visit.open("training/shapes"), visit.open("training/shapes")
    start_quick(one, "in-two-tabs")
    for page in (one, other):
        card = page.locator(".training", has_text="in-two-tabs")
        expect(card.locator(".training-state")).to_contain_text("The model is trained", timeout=60_000)


def test_a_page_without_events_asks_for_the_state(visit: Visit) -> None:
    visit.context.route("**/api/events", lambda route: route.abort())
    page = visit.open("training/shapes")
    client = visit.studio.session()
    body = {"dataset": "shapes", "preset": "quick", "image_size": 64, "name": "without-events"}
    client.post(f"{visit.studio.url}api/trainings", json=body, timeout=10).raise_for_status()
    expect(page.locator(".training, .newest-models")).to_contain_text(["without-events"], timeout=60_000)


def test_a_page_that_slept_reconnects_and_shows_the_truth(visit: Visit) -> None:
    """A phone that wakes up after an hour: its connection is gone, and the world has changed."""
    page = visit.open("training/shapes")
    visit.context.set_offline(True)
    write_model(visit.studio.home / "models" / "made-meanwhile")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#notices")).to_contain_text("does not answer")
    visit.context.set_offline(False)
    expect(page.locator(".newest-models")).to_contain_text("made-meanwhile")
    expect(page.locator("#notices")).to_be_empty()


def test_a_page_continues_with_a_studio_that_was_killed(browser: "Browser", tmp_path: Path) -> None:
    port = free_port()
    with running_studio(tmp_path, port=port) as studio:
        visit = Visit(browser, studio)
        page = visit.open("training")
        studio.process.kill()
        studio.process.wait()
    expect(page.locator("#notices")).to_contain_text("does not answer")
    write_shapes(tmp_path / "data" / "late", 2)
    with running_studio(tmp_path, port=port):
        expect(page.locator("#dataset")).to_contain_text("late: 6 photos, 3 classes")
        expect(page.locator("#notices")).to_be_empty()
        visit.context.close()


def test_the_language_is_that_of_the_browser_or_the_chosen_one(browser: "Browser", studio: Studio) -> None:
    with visiting(browser, studio, locale="fr-FR") as visit:
        page = visit.open("training/shapes")
        expect(page.locator("h1")).to_have_text(FRENCH["training.title"])
        assert page.locator("html").get_attribute("lang") == "fr"
        page.locator(".more-options summary").click()
        expect(page.locator("#help-patience")).to_have_text(FRENCH["option.patience"])
        assert page.locator("#help-patience").get_attribute("lang") is None
        page.locator("#option-name").fill("colours")
        page.locator(".start").click()
        expect(page.get_by_role("alert").locator("[lang=en]")).to_contain_text("name that is not in use")
        page.goto(f"{studio.url}#photos/shapes")
        page.locator(".new-class").click()
        page.locator("dialog [name=value]").fill("a<b")
        page.keyboard.press("Enter")
        expect(page.locator("dialog .problem")).to_contain_text("Le nom a<b contient un caractère")
        page.keyboard.press("Escape")
        page.goto(f"{studio.url}#training/shapes")
        page.get_by_label(FRENCH["app.language"]).select_option("en")
        expect(page.locator("h1")).to_have_text("Train a model")
        page.reload()
        expect(page.locator("h1")).to_have_text("Train a model")


def test_the_keys_are_listed(visit: Visit) -> None:
    page = visit.open("training/shapes")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("start the training")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_link_for_another_browser_is_made_on_the_page(browser: "Browser", visit: Visit) -> None:
    page = visit.open("training/shapes")
    page.get_by_role("button", name="Open in another browser").click()
    link = page.get_by_label("This link opens the studio once").input_value()
    context = browser.new_context()
    other = context.new_page()
    other.goto(link)
    expect(other.locator("nav [aria-current]")).to_be_visible()
    context.close()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("options", [PHONE, DESKTOP, WIDE], ids=["phone", "desktop", "wide"])
@pytest.mark.parametrize("locale", ["en-GB", "fr-FR"])
def test_everything_fits(browser: "Browser", studio: Studio, options: dict, locale: str) -> None:
    with visiting(browser, studio, **options, locale=locale) as visit:
        page = visit.open("training/shapes")
        page.locator(".more-options summary").click()
        page.wait_for_selector(".option-group")
        assert_fits(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_there_are_no_serious_barriers(browser: "Browser", studio: Studio, scheme: str, axe: Path) -> None:
    with visiting(browser, studio, color_scheme=scheme, bypass_csp=True) as visit:
        page = visit.open("training/shapes")
        page.locator(".more-options summary").click()
        page.wait_for_selector(".option-group")
        assert serious_problems_of(page, axe) == []
