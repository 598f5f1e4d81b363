"""The pages of docs/reports/ are made with the present sections and script."""

import re
from pathlib import Path

import pytest

from model.evaluation.report import render
from model.evaluation.report.policy import report_script, safe_beginning
from tests.support.browser import running_chromium

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "docs" / "reports"
SECTIONS = ROOT / "model" / "evaluation" / "report" / "sections"
COMPARISON = ROOT / "model" / "evaluation" / "comparison" / "comparison.html.jinja"
# The demo dataset has no search for options, and its photos are no problem of the dataset section.
WITHOUT = {"Hyperparameter search"}
AGAIN = "write it again: python -m docs.write_reports"


def headings_of(template: Path) -> list[str]:
    """Headings of a template that are the same for every model."""
    found = re.findall(r"<h2>(.*?)</h2>", template.read_text(encoding="utf-8"))
    return [heading for heading in found if "{" not in heading]


@pytest.mark.parametrize("path", REPORTS.glob("*.html"), ids=lambda path: path.stem)
def test_the_page_has_the_present_script_and_policy(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert page.startswith(safe_beginning()), AGAIN
    assert report_script() in page, AGAIN
    assert "/tmp" not in page and str(ROOT) not in page


def test_the_report_has_the_sections_of_the_present_templates() -> None:
    page = (REPORTS / "traffic-signs.html").read_text(encoding="utf-8")
    expected = [name for section, _ in render.SECTIONS for name in headings_of(SECTIONS / f"{section}.html.jinja")]
    assert [heading for heading in re.findall(r"<h2>(.*?)</h2>", page) if heading in expected] == [
        heading for heading in expected if heading not in WITHOUT
    ], AGAIN
    assert "What to do next" in page, AGAIN


def test_the_comparison_has_the_sections_of_the_present_template() -> None:
    page = (REPORTS / "traffic-signs-comparison.html").read_text(encoding="utf-8")
    expected = headings_of(COMPARISON)
    assert expected and [one for one in re.findall(r"<h2>(.*?)</h2>", page) if one in expected] == expected, AGAIN
    assert "Replace small-photos?" in page, AGAIN


def test_the_report_of_real_photos_has_figures_and_no_photos() -> None:
    page = (REPORTS / "phytoplankton-mini.html").read_text(encoding="utf-8")
    assert "What to do next" in page and page.count("<svg") > 5, AGAIN
    assert "data:image" not in page, AGAIN


@pytest.mark.browser
def test_a_print_of_real_pages_has_at_most_five_pages_and_most_are_full(tmp_path: Path) -> None:
    style = re.compile(r"<style>.*?</style>", re.DOTALL)
    [present] = style.findall(render.render_page("page", []))
    with running_chromium() as browser:
        for path in REPORTS.glob("*.html"):
            # The page as it would be written now, also before it is written again.
            styled = tmp_path / path.name
            styled.write_text(style.sub(lambda _: present, path.read_text("utf-8"), count=1), encoding="utf-8")
            page = browser.new_page(viewport={"width": 703, "height": 1000})
            page.goto(styled.as_uri())
            pages = len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(format="A4")))
            page.emulate_media(media="print")
            # The width and height between the margins of A4 are 703 and 1039 CSS pixels.
            filled = page.evaluate("document.documentElement.scrollHeight") / 1039
            assert pages <= 5 and pages - filled < 1.5, (path.name, pages, filled)
            page.close()
