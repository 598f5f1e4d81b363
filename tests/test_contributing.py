"""CONTRIBUTING.md and the pages of docs name paths and names that exist."""

import re
from pathlib import Path

import pytest

from tests.test_floors import ROOMS

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "CONTRIBUTING.md"
PAGES = (ROOT / "README.md", GUIDE, ROOT / "docker" / "README.md", *sorted((ROOT / "docs").glob("*.md")))

FOLDERS = r"(?:topgraft|model|api|tests|docs|docker|benchmarks|notebooks|pipelines|presets|\.ci|\.sqa)"
PATH = re.compile(rf"(?:`|python -m pytest |python )({FOLDERS}/[\w./-]*|setup\.cfg|Dockerfile|ai4-metadata\.yml)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_on_a_page_exists(page: Path) -> None:
    named = set(PATH.findall(page.read_text(encoding="utf-8")))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_guide_names_paths() -> None:
    assert len(set(PATH.findall(GUIDE.read_text(encoding="utf-8")))) > 50


def test_every_name_in_the_guide_is_defined_where_it_says() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    found = re.findall(r"`(\w+)`(?: or `(\w+)`)? in `((?:model|api|benchmarks)/[\w./]+\.py)`", text)
    assert len(found) > 8
    missing = [
        f"{name} in {path}"
        for *names, path in found
        for name in filter(None, names)
        if not re.search(rf"^(class )?{name}\b", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert missing == []


def test_the_guide_lists_the_rooms_in_their_order() -> None:
    row = r"^\| `((?:model|api|topgraft)[\w/]*(?:\.py)?)` \|"
    listed = re.findall(row, GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [room.removesuffix(".py").replace("/", ".") for room in listed] == list(ROOMS)
