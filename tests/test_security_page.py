"""docs/security.md: every promise names a test that plays it, and each of these tests exists."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")
# Sections whose list items are promises.
LISTS = ("Uploads and requests", "Other web pages", "URLs in requests (SSRF)")
PROMISES = ("Uploads and requests", "Other web pages", "Files that requests can name", "Outgoing connections")


def _section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _rows() -> list[str]:
    """Rows of the table of attacks."""
    table = [line for line in _section("Uploads and requests").splitlines() if line.startswith("|")]
    return table[2:]


def _items() -> list[str]:
    """List items, each in one line."""
    found = [re.findall(r"^- .*(?:\n  .*)*", _section(title), re.MULTILINE) for title in LISTS]
    return [" ".join(item.split()) for items in found for item in items]


@functools.cache
def _functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def _tests_of(text: str) -> list[str]:
    return [name for _, name in NAMED.findall(text) if name]


def test_the_page_has_promises() -> None:
    assert len(_rows()) > 20
    assert len(_items()) > 8


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row.split("|")[1].strip()[:40])
def test_every_attack_names_the_test_that_plays_it(row: str) -> None:
    named = row.split("|")[3]
    assert _tests_of(named)
    assert [path for path, name in NAMED.findall(named) if not name] == []


@pytest.mark.parametrize("item", _items(), ids=lambda item: item[2:42])
def test_every_rule_of_a_list_names_the_test_that_plays_it(item: str) -> None:
    assert _tests_of(item)


@pytest.mark.parametrize("title", PROMISES)
def test_every_section_of_promises_names_tests(title: str) -> None:
    assert _tests_of(_section(title))


def test_every_named_test_exists() -> None:
    named = [(path, name) for path, name in NAMED.findall(PAGE) if name]
    assert len(named) > 50
    assert [f"{path}::{name}" for path, name in named if name not in _functions(path)] == []
