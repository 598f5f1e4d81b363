"""The report in Chromium, opened as a file: its script, its policy, and the photos behind the numbers."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.dataset.rereading import PhotoReader
from model.evaluation.evaluate import evaluate_probabilities
from model.evaluation.learning_curve import LearningCurve
from model.evaluation.marks import count_marks, judge_all
from model.evaluation.photo_study import study_photos
from model.evaluation.report.content import ReportContent
from model.evaluation.report.render import render_report, with_thumbnails
from model.results import Sample
from model.training_cost import TrainingCost
from tests.evaluation.study_photos import photo_features
from tests.evaluation.test_report import _content, _evaluation, _everything
from tests.support.axe import installed_axe, serious_problems
from tests.support.browser import playwright, running_chromium

pytestmark = pytest.mark.browser

# Number of lines of text in each cell.
LINES = """cells => cells.map(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return new Set([...range.getClientRects()].map(line => line.top)).size;
})"""

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
def studied(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report with all sections, as HTML."""
    folder = tmp_path_factory.mktemp("studied")
    photos = photo_features(120, 4, wrong=12, folder=folder)
    for row, sample in enumerate(photos.samples):
        sample.path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (2 * row, 90, 200)).save(sample.path)
    rows = [row for row, split in enumerate(photos.splits) if split != "train"]
    samples = [photos.samples[row] for row in rows]
    evaluation = evaluate_probabilities(photos.classes, samples, photos.probabilities[rows])
    correct = np.array([photos.labels[rows] == 9, photos.labels[rows] == 0, photos.labels[rows] < 2], float)
    measured = np.vstack([correct, np.ones(len(rows))])
    curve = LearningCurve(photos.classes, (11, 22, 45, 90), photos.labels[rows], measured, "test photos")
    content = dataclasses.replace(
        _everything(photos.classes),
        evaluations={"test": evaluation, "val": evaluation},
        uncalibrated={},
        study=study_photos(photos, evaluation, curve),
        cost=TrainingCost(12.0),
    )
    return render_report(with_thumbnails(content, PhotoReader()))


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
    return sorted(page.locator("dialog .file").all_text_contents())


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


def test_photos_are_shown_once_however_often_they_are_opened(page: "playwright.Page", content: ReportContent) -> None:
    opened = 0
    targets = ("svg.matrix a", "table.sortable a", "[data-low]", ".card svg", "table.sortable .meter")
    for target in targets * 3:
        for place in (page.locator(target).first, page.locator(target).last):
            place.dispatch_event("click")
            names = _shown(page)
            assert len(set(names)) == len(names) > 0
            page.keyboard.press("Escape")
            playwright.expect(page.locator("dialog .file")).to_have_count(0)
            opened += 1
    assert opened == 30


def test_bars_show_their_photos(page: "playwright.Page", content: ReportContent) -> None:
    found = content.evaluation
    predicted, confidence = found.probabilities.argmax(axis=1), found.probabilities.max(axis=1)

    def names(rows: np.ndarray) -> list[str]:
        return sorted(found.samples[row].name for row in np.flatnonzero(rows))

    row = page.locator("table.sortable tbody tr", has=page.locator('a[href="#class-2"]'))
    sides = {1: (found.labels == 2) | (predicted == 2), 2: found.labels == 2, 3: predicted == 2}
    for column, rows in sides.items():
        row.locator("td").nth(column).locator(".meter").focus()
        page.keyboard.press("Enter")
        assert _shown(page) == names(rows) != []
        page.keyboard.press("Escape")
    page.locator(".card svg").first.click()
    assert _shown(page) == names(found.labels != predicted) != []
    page.keyboard.press("Escape")
    dots = page.locator('svg[aria-label="Accuracy by coverage"] circle')
    assert dots.count() == 10
    for tenth in (1, 5, 10):
        dots.nth(tenth - 1).click()
        assert _shown(page) == names(confidence >= np.sort(confidence)[-4 * tenth])
        page.keyboard.press("Escape")


def test_links_open_their_photos_without_the_script(
    browser: "playwright.Browser", content: ReportContent, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(content), encoding="utf-8")
    page = browser.new_page(java_script_enabled=False)
    page.goto(path.as_uri())
    for target in ("#cell-0-1", "#class-2"):
        page.locator(f'a[href="{target}"]').first.click()
        playwright.expect(page.locator(f"{target} .file").first).to_be_visible()
    page.close()


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


@pytest.mark.parametrize("threshold", [0.0, 0.45, 0.613, 0.7, 1.0])
def test_the_slider_counts_photos_that_the_page_does_not_list(
    browser: "playwright.Browser",
    content: ReportContent,
    threshold: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, path = render_report(content), tmp_path / "report.html"
    monkeypatch.setattr("model.evaluation.report.sections.photos.MAX_LISTED_BYTES", 1000)
    shown = []
    for source in (whole, render_report(content)):
        path.write_text(source, encoding="utf-8")
        page = browser.new_page()
        page.goto(path.as_uri())
        page.locator("#explorer input").fill(str(threshold))
        shown.append(page.locator("#explorer output").inner_text())
        listed = page.locator(".cell [data-c]").count()
        page.locator('a[href="#cell-0-0"]').first.click()
        note = "photos are listed, the errors first; all are in predictions/test.csv."
        assert (note.replace("photos are", "the photos are") in page.locator("dialog").inner_text()) is (listed < 40)
        page.close()
    assert shown[0] == shown[1] and 9 <= listed < 40


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


def test_fractions_are_sorted_as_numbers_and_missing_ones_first(page: "playwright.Page") -> None:
    values = ["0.9", "", "0.8571428571428571", "1.0"]
    rows = "table.sortable tbody tr"
    page.eval_on_selector_all(
        rows, "(rows, values) => rows.forEach((row, index) => { row.cells[2].dataset.v = values[index]; })", values
    )
    page.locator("table.sortable thead button").nth(2).click()
    found = page.eval_on_selector_all(rows, "rows => rows.map(row => row.cells[2].dataset.v)")
    assert found == ["", "0.8571428571428571", "0.9", "1.0"]


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
    page.locator("details.class summary").first.click()
    names = page.locator("#class-0 .file").all_inner_texts()
    expected = [sample.name for sample in content.evaluation.samples if sample.label == 0]
    assert sorted(names) == sorted(expected)
    assert page.locator("#cell-0-1 svg.thumbnail").first.is_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_page_fits_its_width(
    browser: "playwright.Browser", studied: str, tmp_path: Path, width: int, scheme: str
) -> None:
    path = tmp_path / "report.html"
    path.write_text(studied, encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 30)")
    page.close()


def test_no_table_is_wider_than_a_phone(browser: "playwright.Browser", studied: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(studied, encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    page.locator("details").evaluate_all("found => found.forEach(one => { one.open = true; })")
    tables = page.locator(".scroll:has(table)")
    assert tables.count() >= 5
    widths = tables.evaluate_all("found => found.map(one => one.scrollWidth - one.clientWidth)")
    assert widths == [0] * len(widths), tables.all_inner_texts()
    # The columns of the table of classes can be sorted there too.
    page.locator("table.sortable thead button").nth(1).click()
    assert page.locator('table.sortable th[aria-sort="ascending"]').count() == 1
    page.close()


def test_a_print_has_at_most_five_pages_and_is_light(
    browser: "playwright.Browser", studied: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(studied, encoding="utf-8")
    page = browser.new_page(color_scheme="dark")
    page.goto(path.as_uri())
    pages = len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(format="A4")))
    assert 1 <= pages <= 5
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.close()


def test_a_point_of_the_map_shows_its_photo(browser: "playwright.Browser", studied: str, tmp_path: Path) -> None:
    for page in _opened(browser, studied, tmp_path):
        page.locator("svg.map g[data-t]").first.dispatch_event("pointerover")
        assert page.locator("#tip img").evaluate("image => image.src").startswith("data:image/webp")
        page.locator('svg.map g[tabindex="0"]').focus()
        before = page.locator("#tip").inner_text()
        page.keyboard.press("ArrowRight")
        assert page.locator("#tip").inner_text() != before
        assert page.locator("svg.map .ring").count() == page.locator("svg.map g title", has_text="predicted").count()


def test_axe_finds_nothing_serious(browser: "playwright.Browser", studied: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(studied, encoding="utf-8")
    assert serious_problems(browser, path, installed_axe(tmp_path)) == []


def test_names_of_classes_do_not_break_inside_words_on_a_phone(browser: "playwright.Browser", tmp_path: Path) -> None:
    classes = ("priority_road", "speed_limit", "turn_right", "no_entry")
    labels = np.repeat(np.arange(4), 10)
    predicted = (labels + (np.arange(40) % 4 == 0)) % 4
    samples = [Sample(Path(), f"{row}.png", label) for row, label in enumerate(labels.tolist())]
    evaluation = evaluate_probabilities(classes, samples, 0.6 * np.eye(4, dtype=np.float32)[predicted] + 0.1)
    path = tmp_path / "report.html"
    path.write_text(render_report(ReportContent(_content(classes).manifest, {"test": evaluation})), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    cells = page.locator("h3:text('Most frequent confusions') + table td.c")
    assert cells.count() == 8 and set(cells.evaluate_all(LINES)) == {1}
    table = page.locator("h3:text('Most frequent confusions') + table")
    assert table.evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")
    page.close()
