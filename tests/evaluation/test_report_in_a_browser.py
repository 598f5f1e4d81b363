"""The report in Chromium, opened as a file: its script, its policy, and the photos behind the numbers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.dataset.rereading import PhotoReader
from model.evaluation.evaluate import evaluate_probabilities
from model.evaluation.marks import count_marks, judge_all
from model.evaluation.report.content import ReportContent
from model.evaluation.report.render import render_report, with_thumbnails
from model.results import Sample
from tests.evaluation.test_report import _content, _evaluation
from tests.support.browser import playwright, running_chromium

pytestmark = pytest.mark.browser

CLASSES = ("alga", "<script>document.title='owned'</script>", "diatom \N{BUTTERFLY}", "قارب")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> ReportContent:
    folder = tmp_path_factory.mktemp("photos")
    found = _evaluation(CLASSES, images=40, wrong=9)
    samples = []
    for row, label in enumerate(found.labels.tolist()):
        path = folder / f"{row}.png"
        Image.new("RGB", (40, 30), (6 * row, 20, 200)).save(path)
        samples.append(Sample(path, path.name, label))
    spread = 0.6 * found.probabilities + 0.4 * np.random.default_rng(1).dirichlet(np.ones(4), 40)
    evaluation = evaluate_probabilities(CLASSES, samples, spread.astype(np.float32))
    plain = _content(CLASSES)
    return with_thumbnails(ReportContent(plain.manifest, {"test": evaluation}), PhotoReader())


@pytest.fixture(scope="module")
def browser() -> "Iterator[playwright.Browser]":
    with running_chromium() as running:
        yield running


@pytest.fixture
def page(browser: "playwright.Browser", content: ReportContent, tmp_path: Path) -> "Iterator[playwright.Page]":
    yield from _opened(browser, render_report(content), tmp_path)


def _opened(browser: "playwright.Browser", source: str, folder: Path) -> "Iterator[playwright.Page]":
    path = folder / "report.html"
    path.write_text(source, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url[:5] == "http:" else None)
    page.goto(path.as_uri())
    yield page
    page.close()
    assert complaints == []


def _shown(page: "playwright.Page") -> list[str]:
    return sorted(page.locator("dialog .file").all_inner_texts())


def _expected(content: ReportContent, true: int, predicted: int) -> list[str]:
    found = content.evaluation
    rows = np.flatnonzero((found.labels == true) & (found.probabilities.argmax(axis=1) == predicted))
    return sorted(found.samples[row].name for row in rows)


def test_a_cell_shows_exactly_its_photos(page: "playwright.Page", content: ReportContent) -> None:
    page.locator('svg.matrix a[href="#cell-0-1"]').click()
    assert _shown(page) == _expected(content, 0, 1) != []
    assert page.locator("dialog svg.thumbnail").count() == len(_expected(content, 0, 1))
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    assert page.title() == "survey: report"


def test_the_matrix_is_used_by_keyboard(page: "playwright.Page", content: ReportContent) -> None:
    page.locator('svg.matrix a[tabindex="0"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    href = page.evaluate("document.activeElement.getAttribute('href')")
    page.keyboard.press("Enter")
    _, true, predicted = href.split("-")
    assert _shown(page) == _expected(content, int(true), int(predicted)) != []


def test_a_class_and_a_dot_show_their_photos(page: "playwright.Page", content: ReportContent) -> None:
    found = content.evaluation
    predicted, confidence = found.probabilities.argmax(axis=1), found.probabilities.max(axis=1)
    page.locator('table.sortable a[href="#class-2"]').click()
    rows = np.flatnonzero((found.labels == 2) | (predicted == 2))
    assert _shown(page) == sorted(found.samples[row].name for row in rows)
    page.keyboard.press("Escape")
    dot = page.locator("circle[data-low]").last
    low, high = float(dot.get_attribute("data-low")), float(dot.get_attribute("data-high"))
    dot.focus()
    page.keyboard.press("Enter")
    rows = np.flatnonzero((confidence > low) & (confidence <= high))
    assert _shown(page) == sorted(found.samples[row].name for row in rows) != []


@pytest.mark.parametrize("threshold", [0.0, 0.45, 0.613, 0.7])
def test_the_slider_agrees_with_the_evaluation(
    page: "playwright.Page", content: ReportContent, threshold: float
) -> None:
    found = content.evaluation
    correct = found.probabilities.argmax(axis=1) == found.labels
    judged = judge_all(found.probabilities, None, CLASSES, {"confidence": threshold})
    counts = count_marks(judged, correct)
    page.locator("#explorer input").fill(str(threshold))
    text = page.locator("#explorer output").inner_text()
    assert f"({counts['accepted']} of 40 photos)" in text
    accuracy = counts["accepted_accuracy"]
    assert accuracy is not None and f"accuracy of these {accuracy:.1%}," in text
    assert f"{counts['uncertain']} photos to review" in text


def test_the_table_of_classes_is_sorted_by_a_column(page: "playwright.Page") -> None:
    def column() -> list[float]:
        return [
            float(value)
            for value in page.eval_on_selector_all(
                "table.sortable tbody tr", "rows => rows.map(row => row.cells[2].dataset.v)"
            )
        ]

    page.locator("table.sortable thead button").nth(2).click()
    assert column() == sorted(column())
    page.locator("table.sortable thead button").nth(2).click()
    assert column() == sorted(column(), reverse=True)


def test_scripts_of_others_do_not_run(browser: "playwright.Browser", content: ReportContent, tmp_path: Path) -> None:
    foreign = '<script>document.title="owned"</script><img alt="" src="data:," onerror="document.title=\'owned\'">'
    source = render_report(content).replace("<main>", f"<main>{foreign}")
    path = tmp_path / "report.html"
    path.write_text(source, encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.locator("#explorer output", has_text="coverage").wait_for()
    assert page.title() == "survey: report"
    page.close()


def test_without_script_everything_is_readable(
    browser: "playwright.Browser", content: ReportContent, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(content), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    page.locator("#class-0 summary").click()
    names = page.locator("#class-0 .file").all_inner_texts()
    expected = [sample.name for sample in content.evaluation.samples if sample.label == 0]
    assert sorted(names) == sorted(expected)
    assert page.locator("#cell-0-1 svg.thumbnail").first.is_visible()
    context.close()
