"""Commands, links and generated tables of the documentation are valid and complete."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template

import click
import pytest

from model.cli.command import topgraft
from tests.support.command import ROOT

PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "docker" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
)


def fenced(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            yield page.name, block


def exported_values() -> dict[str, str]:
    """Variables that a page sets, with the values of its examples."""
    words = [word for _, block in fenced("sh") for word in re.findall(r"\b([A-Z]\w*=[^\s$#]+)", block)]
    return dict(word.split("=", 1) for word in words)


def commands() -> Iterator[list[str]]:
    values = exported_values()
    for _, block in fenced("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(Template(line).safe_substitute(values), comments=True)
            if words and words[0].endswith("topgraft"):
                yield words[1:]


@pytest.mark.parametrize("name", ["options", "environment"])
def test_a_generated_page_is_up_to_date(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    generator = importlib.import_module(f"write_{name}")
    page = getattr(generator, f"{name}_page")()
    assert generator.PAGE.read_text(encoding="utf-8") == page, f"run: python docs/write_{name}.py"


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_on_the_pages_can_be_parsed(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pets.yaml", "export.json", "models/signs/dataset_files/label_issues.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    context = topgraft.make_context("topgraft", words)
    command: click.Command = topgraft
    rest = words
    while isinstance(command, click.Group):
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
    command.make_context(command.name, rest, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_on_the_pages_resolves(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_anchor_on_the_pages_is_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    targets = [(page.parent / path if path else page, anchor) for path, anchor in links]
    assert [f"{path.name}#{anchor}" for path, anchor in targets if anchor not in anchors(path)] == []


def test_every_make_target_on_the_pages_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    used = {
        word
        for _, block in fenced("sh")
        for line in block.splitlines()
        if line.startswith("make ")
        for word in shlex.split(line, comments=True)[1:]
        if "=" not in word
    }
    assert used <= targets
