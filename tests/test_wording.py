"""Texts that users read keep to the standard terms of the field: one word for one thing."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A term that is not used (a regular expression; a space stands for any white space), and what is written instead.
TERMS = {
    r"(go|goes|going|gone|went) on with": "resume, continue with",
    r"anew": "again; resample (bootstrap); re-create (a file)",
    r"(surest|surer)": "most confident, more confident",
    r"(told|tells)": "report, show, state, list",
    r"(see|sees|seen) to (it|that|what|the|this)": "check ..., make sure that ...",
    r"(take|takes|taking|taken|took) over": "import",
    r"(given|gives|giving|gave) up": "cancelled, aborted",
    r"by heart": "overfitting",
    r"(nobody|somebody|whoever|everybody|anybody)": "name the user, the client, another process",
    r"whose turn": "queue",
    r"(its|their) turn": "queued, in the queue",
    r"under way": "running",
    r"(in|into) line": "queue, position in the queue",
    r"evidence map": "class activation map",
    r"unlike all": "out-of-distribution",
    r"learnt to see": "pretrained",
    r"sure enough": "confident enough",
    r"right answers": "correct predictions",
    r"(look|looks|looked|looking) (at|into|after)": "check, inspect",
    r"(between|a|each|every|next|last|first) looks?": "check, probe; view (augmentation)",
    r"(sha256|md5|file|files|archive|manifest) sums?": "checksum, digest",
    r"(wants|wanted(?!.accuracy))": "requested, enabled, expected",
    r"reservations?": "run, job",
    r"a storage(?! server)": "remote storage, remote",
}
TERM = re.compile("|".join(rf"\b{term}\b".replace(" ", r"\s+") for term in TERMS), re.IGNORECASE)

# A name that is not used in Python (a regular expression for all of it), and what is written instead.
NAMES = {
    r"_*(most|fewest|least)_(?!common).*": "max_*, min_*",
    r"_*(of|there|beside|here|told|alone|heeded)": "a noun for a value, a verb for a function",
}
NAME = re.compile("|".join(NAMES), re.IGNORECASE)

PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "Dockerfile",
        "Makefile",
        "Jenkinsfile",
        "setup.cfg",
        "pyproject.toml",
        "tox.ini",
        ".sqa/*",
        ".ci/*",
        "docs/*.md",
        "docs/*.json",
        "presets/*",
        "docker/**/*",
        "pipelines/*",
    )
    for path in ROOT.glob(pattern)
    if path.is_file()
)
TEMPLATES = sorted(
    path for path in (ROOT / "model").rglob("*") if path.suffix in (".jinja", ".html", ".js", ".css", ".svg")
)
SOURCES = sorted(path for room in ("topgraft", "model", "api") for path in (ROOT / room).rglob("*.py"))
# This file is left out, because it quotes the terms.
TESTS = sorted(
    path
    for folder in ("tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__).resolve()
)


def room_of(path: Path) -> str:
    """`model/storage` of a file in it or below, the file itself where it lies directly in `model/`, `api` for all."""
    parts = path.relative_to(ROOT).parts
    return "/".join(parts[:2] if parts[0] in ("model", "docs") else parts[:1])


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a file with their first lines: strings and docstrings of Python, else the whole of it."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, source
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def tokens(path: Path, kind: int) -> Iterator[tuple[int, str]]:
    """The names or comments of a Python file with their lines; nothing for other files."""
    if path.suffix == ".py":
        with path.open("rb") as stream:
            for token in tokenize.tokenize(stream.readline):
                if token.type == kind:
                    yield token.start[0], token.string


def replacement(found: str, terms: dict[str, str]) -> str:
    words = " ".join(found.split())
    return next(better for term, better in terms.items() if re.fullmatch(term, words, re.IGNORECASE))


def forbidden(path: Path) -> Iterator[str]:
    """Each forbidden term in the texts, comments and names of a file; names are split at underscores."""
    names = list(tokens(path, tokenize.NAME))
    words = [(line, name.replace("_", " ")) for line, name in names]
    place = path.relative_to(ROOT)
    for line, text in [*texts(path), *tokens(path, tokenize.COMMENT), *words]:
        for match in TERM.finditer(text):
            at = line + text.count("\n", 0, match.start())
            yield f"{place}:{at}: {match.group()!r}, instead: {replacement(match.group(), TERMS)}"
    for line, name in names:
        if NAME.fullmatch(name):
            yield f"{place}:{line}: {name!r}, instead: {replacement(name, NAMES)}"


ROOMS = sorted({room_of(path) for path in [*PAGES, *TEMPLATES, *SOURCES]})


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_the_standard_terms(room: str) -> None:
    files = [path for path in [*PAGES, *TEMPLATES, *SOURCES] if room_of(path) == room]
    assert [line for path in files for line in forbidden(path)] == []


@pytest.mark.parametrize("folder", sorted({str(path.parent.relative_to(ROOT)) for path in TESTS}))
def test_tests_and_benchmarks_use_the_standard_terms(folder: str) -> None:
    files = [path for path in TESTS if path.parent == ROOT / folder]
    assert [line for path in files for line in forbidden(path)] == []


def test_the_check_finds_terms_in_texts_comments_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    page, source = tmp_path / "page.md", tmp_path / "source.py"
    page.write_text("A training is gone\non with.\n")
    source.write_text(
        'most_rows = 1  # told\n\n\ndef begun_anew():\n    """Between looks."""\n    return "Nobody" * 2\n'
    )
    assert [line.partition(", instead")[0] for line in forbidden(page)] == ["page.md:1: 'gone\\non with'"]
    assert {line.partition(", instead")[0] for line in forbidden(source)} == {
        "source.py:1: 'told'",
        "source.py:1: 'most_rows'",
        "source.py:4: 'anew'",
        "source.py:5: 'Between looks'",
        "source.py:6: 'Nobody'",
    }
