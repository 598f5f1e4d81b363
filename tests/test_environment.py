"""Environment variables: every row of the table unset, empty, good and bad, and that nothing else reads any."""

import ast
import logging
import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from model import environment, environment_variable, process_environment, resources
from model.environment import VARIABLES
from model.environment_variable import HostPattern, Variable

ROOT = Path(__file__).resolve().parent.parent

# Kind -> a good text, its value, and texts that are refused.
TEXTS: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    "text": (" some text ", "some text", ()),
    "path": ("/some/where", Path("/some/where"), ()),
    "yes or no": ("TRUE", True, ("2", "maybe", "none")),
    "whole number": (" 7 ", 7, ("-1", "1.5", "many")),
    "megabytes": ("20", 20 << 20, ("0", "-1", "1GB")),
    "gigabytes": ("0.5", 1 << 29, ("much", "0", "-1", "nan", "5GB")),
    "seconds": ("0.5", 0.5, ("soon", "0", "-1", "nan", "inf")),
    "port": ("8080", 8080, ("0", "65536", "http")),
    "ports": ("80, 9000", frozenset({80, 9000}), ("0", "web", "80,", "80;443")),
    "URL": (
        " https://a.example.org/b/ ",
        "https://a.example.org/b",
        ("a.example.org", "ftp://a", "http://", "http://a?b"),
    ),
    "hosts": ("*.Example.org:8443", (HostPattern("*.example.org", "8443"),), ("a b", "x.*", "http://", "a,,b")),
    "networks": ("127.0.0.1, ::1", (ip_network("127.0.0.1"), ip_network("::1")), ("localhost", "10.0.0.1/8")),
    "folders": ("/a:/b", (Path("/a"), Path("/b")), ("a", "/a:b", "/a:")),
    "threads": (" Share ", "share", ("0", "-1", "half")),
    "cores": ("0-3,7", 5, ("a few", "1-", ",")),
}
REFUSED = [(variable, text) for variable in VARIABLES for text in TEXTS[variable.kind.name][2]]


def name_of(value: object) -> str:
    return value.name if isinstance(value, Variable) else repr(value)


@pytest.fixture(autouse=True)
def nothing_logged_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_variable, "_logged", set())


@pytest.mark.parametrize("variable", VARIABLES, ids=name_of)
def test_an_unset_or_blank_variable_has_its_default(
    variable: Variable[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(variable.name, raising=False)
    assert variable.read() == variable.default and not variable.is_set and variable.raw == ""
    for blank in ("", "  "):
        monkeypatch.setenv(variable.name, blank)
        assert variable.read() == variable.default and not variable.is_set and variable.problem() == ""
    assert caplog.text == ""


@pytest.mark.parametrize("variable", VARIABLES, ids=name_of)
def test_a_valid_value_is_read_each_time(
    variable: Variable[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    text, value, _ = TEXTS[variable.kind.name]
    monkeypatch.setenv(variable.name, text)
    # Spaces may be part of a password.
    assert variable.read() == (text if variable.secret else value)
    assert variable.is_set and variable.problem() == "" and caplog.text == ""
    monkeypatch.delenv(variable.name)
    assert variable.read() == variable.default


@pytest.mark.parametrize(("variable", "text"), REFUSED, ids=name_of)
def test_an_invalid_value_is_logged_once_and_the_default_applies(
    variable: Variable[Any], text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(variable.name, text)
    assert [variable.read(), variable.read()] == [variable.default] * 2
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    # The filter of logs, if it is installed, removes the query of a URL.
    shown = text.split("?")[0]
    for part in (variable.name, variable.kind.expected, shown, variable.default_text):
        assert part in record.getMessage()


def test_the_defaults_are_the_safe_ones() -> None:
    assert environment.ALLOW_PRIVATE_URLS.default is False
    assert environment.URL_PORTS.default == {80, 443}
    assert environment.MAX_UPLOAD.default == 512 << 20


def test_names_are_unique_and_the_parts_of_the_table_in_order() -> None:
    names = [variable.name for variable in VARIABLES]
    assert len(set(names)) == len(names)
    sections = [variable.section for variable in VARIABLES]
    assert sorted(sections, key=list(dict.fromkeys(sections)).index) == sections
    rows = [value for value in vars(environment).values() if isinstance(value, Variable)]
    assert [row.name for row in rows if row not in VARIABLES] == []


def test_secrets_are_marked() -> None:
    secrets = {variable.name for variable in VARIABLES if variable.secret}
    assert {name for name in map(name_of, VARIABLES) if name.endswith(("PASS", "PASSWORD", "TOKEN"))} <= secrets


def test_variables_of_remotes_are_found_by_their_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_CONFIG_PETS_TYPE", "webdav")
    monkeypatch.setenv("RCLONE_CONFIG_PETS_USER", " ")
    assert process_environment.set_variables("RCLONE_CONFIG_PETS_") == {"RCLONE_CONFIG_PETS_TYPE": "webdav"}
    process_environment.unset_blank("RCLONE_CONFIG_PETS_")
    assert process_environment.set_variables("RCLONE_CONFIG_PETS_") == {"RCLONE_CONFIG_PETS_TYPE": "webdav"}


@pytest.mark.parametrize(
    ("text", "workers", "threads"),
    [("", 2, 6), ("all", 2, 6), ("share", 2, 3), ("share", 4, 2), ("share", 9, 1), ("2", 2, 2), ("99", 2, 6)],
)
def test_threads_are_all_processors_a_fraction_or_a_number(
    text: str, workers: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "available_processors", lambda: 6)
    monkeypatch.setenv("TOPGRAFT_THREADS", text)
    assert resources.worker_threads(workers) == threads


def reads(path: Path) -> Iterator[str]:
    """Every place in a file that reads an environment variable; to set one, or to pass all on, is none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in (one for one in ast.walk(tree) if isinstance(one, ast.expr | ast.stmt)):
        text = ast.unparse(node)
        is_call = isinstance(node, ast.Call) and text.startswith(("os.environ.get(", "os.getenv(", "os.environ.items("))
        is_item = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and text.startswith("os.environ[")
        is_import = isinstance(node, ast.ImportFrom) and node.module == "os" and "environ" in text
        if is_call or is_item or is_import:
            yield f"{path.relative_to(ROOT)}:{node.lineno}: {text}"


def test_only_the_table_reads_variables() -> None:
    sources = [path for room in ("topgraft", "model", "api") for path in (ROOT / room).rglob("*.py")]
    readers = [ROOT / "model" / f"{name}.py" for name in ("environment_variable", "process_environment")]
    assert [place for path in sources if path not in readers for place in reads(path)] == []
    assert all(list(reads(path)) for path in readers)


def test_every_variable_that_a_message_names_is_in_the_table() -> None:
    sources = [path for room in ("model", "api") for path in (ROOT / room).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"TOPGRAFT_[A-Z_]+", path.read_text(encoding="utf-8"))}
    assert named <= set(map(name_of, VARIABLES))
