"""The page of a comparison in Chromium, opened as a file: its widths, colours, print, and axe-core."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.evaluation.comparison.page import render_comparison
from tests.evaluation.test_comparison import comparison_of
from tests.support.axe import installed_axe, serious_problems
from tests.support.browser import playwright, running_chromium

pytestmark = pytest.mark.browser

CLASSES = ("priority_road", "speed_limit", "<b>yield</b>", "x" * 200, "قارب شراعي")


@pytest.fixture(scope="module")
def browser() -> "Iterator[playwright.Browser]":
    with running_chromium() as running:
        yield running


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two models, of which each is right about some photos that the other is wrong about."""
    folder = tmp_path_factory.mktemp("comparison")
    rng = np.random.default_rng(0)
    true = [CLASSES[label] for label in rng.integers(0, 5, 80)]
    wrong = [CLASSES[label] for label in rng.integers(0, 5, 80)]
    base = [other if row % 3 == 0 else name for row, (name, other) in enumerate(zip(true, wrong, strict=True))]
    new = [other if row % 7 == 1 else name for row, (name, other) in enumerate(zip(true, wrong, strict=True))]
    page = folder / "comparison.html"
    page.write_text(render_comparison(*comparison_of(folder, CLASSES, true, base, new)), encoding="utf-8")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_page_fits_its_width_and_loads_nothing(
    browser: "playwright.Browser", path: Path, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url[:4] == "http" else None)
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 30)")
    # The sentence is in the first screen, and every picture is drawn.
    assert page.locator("p.lead").first.bounding_box()["y"] < 800
    assert page.locator("img").evaluate_all("images => images.every(image => image.naturalWidth > 0)")
    assert page.locator("img").count() >= 3 and complaints == []
    page.close()


def test_class_names_do_not_break_inside_words_on_a_phone(browser: "playwright.Browser", path: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    for name in CLASSES[:2]:
        cell = page.locator("td.c", has_text=name).first
        assert cell.evaluate("cell => cell.clientHeight < 2.9 * parseFloat(getComputedStyle(cell).lineHeight)")
    page.close()


def test_a_print_is_short_and_light(browser: "playwright.Browser", path: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(path.as_uri())
    assert 1 <= len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(format="A4"))) <= 5
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.close()


def test_dots_are_no_buttons_where_the_page_lists_no_photos(browser: "playwright.Browser", path: Path) -> None:
    page = browser.new_page()
    page.goto(path.as_uri())
    page.locator("circle[data-low]").first.dispatch_event("click")
    assert page.locator("circle[role=button]").count() == 0 and not page.locator("dialog").is_visible()
    page.close()


def test_axe_finds_nothing_serious(browser: "playwright.Browser", path: Path, tmp_path: Path) -> None:
    assert serious_problems(browser, path, installed_axe(tmp_path)) == []
