"""Text from outside as it is shown: visible characters only, through few functions."""

import ast
import io
import json
import logging
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.errors import BadRequest
from model.durable import json_text
from model.errors import DatasetError
from model.logs import ProtectingFilter
from model.shown import CONTROLS, encodable, indented, printable, printable_json, printable_text

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for package in ("model", "api", "topgraft") for path in (ROOT / package).rglob("*.py"))
FORBIDDEN = re.compile(f"[{CONTROLS}]")
HOSTILE = "\x1b]0;title\x07\x9b2J\r\x08\x7f\u202e\u2066\u200b\u200d\u2028\ufeff\U000e0041\udcff"

READABLE = {
    "Arabic": "\u0642\u0637\u0629",
    "Persian with a zero-width non-joiner": "\u062e\u0627\u0646\u0647\u200c\u0647\u0627",
    "Hebrew": "\u05d7\u05ea\u05d5\u05dc",
    "Hindi with a zero-width joiner": "\u0915\u094d\u200d\u0937",
    "combined accents": "e\u0301a\u0308",
    "a joined emoji": "\U0001f468\u200d\U0001f52c",
    "a joined emoji with selectors": "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f468",
    "a nod": "\U0001f642\u200d\u2195\ufe0f",
    "a skin tone": "\U0001f44d\U0001f3fd\u200d\U0001f33e",
    "a keycap": "1\ufe0f\u20e3",
    "the flag of Wales": "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
    "a narrow space": "10\u202fAM",
    "markup of rich": "[bold]cat[/bold] :bomb:",
}


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_texts_of_all_languages_stay_readable(text: str) -> None:
    assert printable(text) == printable_text(text) == text


@pytest.mark.parametrize("char", HOSTILE)
def test_a_hostile_character_is_replaced_by_its_code(char: str) -> None:
    shown = printable(f"a{char}b")
    assert shown == f"a{char}b" if char.isprintable() else shown.startswith("a\\") and shown.isascii()


@pytest.mark.parametrize("text", ["a\u200db", "\u200d\U0001f468", "a\ufe0f\ufe0f", " \ufe0f", "\U000e0067\U000e007f"])
def test_joiners_selectors_and_tags_are_shown_where_they_do_nothing(text: str) -> None:
    assert "\\" in printable(text)


@given(st.text(st.one_of(st.characters(), st.sampled_from(HOSTILE + "\n\t[")), max_size=20))
def test_every_text_is_shown_by_visible_characters(text: str) -> None:
    shown = printable(text)
    assert not FORBIDDEN.search(shown) and printable(shown) == shown
    assert shown.encode().decode() == shown
    assert not FORBIDDEN.search(printable_text(text).replace("\n", "").replace("\t", ""))
    assert printable_text(printable_text(text)) == printable_text(text)


@given(st.text(st.one_of(st.characters(), st.sampled_from(HOSTILE)), max_size=20))
@example("\ud800")
def test_json_has_the_same_value(text: str) -> None:
    document = printable_json(json.dumps({text: text}, indent=2, ensure_ascii=False))
    assert json.loads(document) == {text: text} and not FORBIDDEN.search(document.replace("\n", ""))
    assert json.loads(json_text([text])) == [text.encode(errors="backslashreplace").decode()]


def test_a_value_with_line_feeds_cannot_pass_for_another_message() -> None:
    assert indented("Error: a\nError: b\n\nc") == "Error: a\n  Error: b\n\n  c"


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "utf-8", None])
def test_a_text_can_be_written_in_any_encoding(encoding: str | None) -> None:
    assert encodable("\u0142\U0001f600e", encoding).encode(encoding or "utf-8")


def test_messages_of_errors_are_visible_also_after_a_change_of_process() -> None:
    error = pickle.loads(pickle.dumps(DatasetError(f"photos: {HOSTILE}\nand more")))
    for shown in (str(error), error.message, str(BadRequest(HOSTILE))):
        assert not FORBIDDEN.search(shown.replace("\n", ""))
    assert "\nand more" in error.message


def test_log_lines_are_visible_and_of_one_line() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(ProtectingFilter())
    logger = logging.getLogger("some.other.library")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        logger.error("%s: %d", f"{HOSTILE}\nforged", 1)
        logger.error(f"joined {HOSTILE}\nforged")
        logger.error("%(name)s", {"name": f"{HOSTILE}\nforged"})
        try:
            raise ValueError(f"{HOSTILE}\nlast")
        except ValueError as error:
            logger.exception("failed: %s", error)
    finally:
        logger.removeHandler(handler)
    shown = stream.getvalue()
    assert not FORBIDDEN.search(shown.replace("\n", ""))
    assert "\nforged" not in shown and "\\nforged: 1" in shown and "\n  forged" in shown


# Functions that write to a terminal, besides those of model/cli/output.py.
WRITERS = re.compile(
    r"print|print_tb|print_exc|print_exception|print_stack|echo|secho|confirm|prompt|progressbar|echo_via_pager|rprint"
)
TERMINALS = re.compile(r"sys\.(__)?std(out|err)(__)?")
# What is no writing of text.
HARMLESS = ("fileno", "flush", "isatty", "encoding")
OUTPUT = ROOT / "model" / "cli" / "output.py"


def writings(path: Path) -> Iterator[str]:
    """Places of a file that write to standard output or standard error by other functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    accessed = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in HARMLESS}
    for node in ast.walk(tree):
        source = ast.unparse(node) if isinstance(node, (ast.Call, ast.Attribute)) else ""
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        of_library, _, name = called.rpartition(".")
        is_writer = bool(WRITERS.fullmatch(name)) and of_library in ("", "click", "traceback", "rich")
        is_ours = name == "confirm" and not of_library
        is_terminal = isinstance(node, ast.Attribute) and bool(TERMINALS.fullmatch(source)) and id(node) not in accessed
        is_message = name == "exit" and any(isinstance(argument, ast.JoinedStr) for argument in node.args)  # type: ignore[attr-defined]
        if (is_writer and not is_ours) or name in ("Console", "StreamHandler") or is_terminal or is_message:
            yield f"{path.relative_to(ROOT)}:{node.lineno}: {source}"  # type: ignore[attr-defined]


def test_only_one_file_writes_to_the_terminal() -> None:
    assert [line for path in SOURCES if path != OUTPUT for line in writings(path)] == []


def test_every_log_is_protected_where_it_is_configured() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in SOURCES}
    assert [path for path, text in sources.items() if "basicConfig(" in text and "protect_logs()" not in text] == []


def test_the_check_sees_what_is_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        *("print(1)", "click.echo(1)", "sys.stdout.write('')", "traceback.print_exc()", "sys.exit(f'{1}')"),
        *("Console()", "print_to(file=sys.stderr)", "click.confirm('')", "sys.stderr.isatty()", "sys.exit(1)"),
    )
    path = tmp_path / "wrong.py"
    path.write_text("\n".join(lines))
    monkeypatch.setattr("tests.test_shown.ROOT", tmp_path)
    assert sorted({line.split(":")[1] for line in writings(path)}) == [str(line) for line in range(1, 9)]


# Of these, and of tuples of errors under a name, one may be a system error.
SYSTEM_ERRORS = re.compile(
    r"(OS|Permission|FileNotFound|FileExists|Connection|Timeout|IsADirectory|NotADirectory|BlockingIO|BrokenPipe)Error"
    r"|Exception|BaseException|_?[A-Z_]*[A-Z]"
)
LOGGED = re.compile(r"log\.(debug|info|warning|error|critical)|warnings\.warn|str|repr|quoted")


def numbered_messages(path: Path) -> Iterator[str]:
    """Places where a message or a log line contains the text of a system error, which begins with `[Errno 13]`."""
    for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(handler, ast.ExceptHandler) or handler.type is None:
            continue
        caught = [node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)]
        for node in ast.walk(handler) if any(map(SYSTEM_ERRORS.fullmatch, caught)) else ():
            # `!r` writes the class with its arguments.
            is_text = isinstance(node, ast.FormattedValue) and node.conversion != ord("r")
            shown: list[ast.expr] = [node.value] if is_text else []  # type: ignore[attr-defined]
            if isinstance(node, ast.Call) and LOGGED.fullmatch(ast.unparse(node.func)):
                shown = node.args
            if any(isinstance(one, ast.Name) and one.id == handler.name for one in shown):
                yield f"{path.relative_to(ROOT)}:{node.lineno}: write without_number(...) or with_path(...)"  # type: ignore[attr-defined]


def test_no_message_and_no_log_line_contains_the_number_of_a_system_error() -> None:
    assert [line for path in SOURCES for line in numbered_messages(path)] == []


def test_the_check_sees_the_numbers_of_system_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uses = (
        *("raise DatasetError(f'{error}')", "log.warning('%s', error)", "x = str(error)", "warnings.warn(error)"),
        *("log.info('%s', without_number(error))", "raise ValueError from error", "x = error.strerror"),
    )
    path = tmp_path / "wrong.py"
    path.write_text("".join(f"try:\n    f()\nexcept (OSError, ValueError) as error:\n    {use}\n" for use in uses))
    monkeypatch.setattr("tests.test_shown.ROOT", tmp_path)
    assert [line.split(":")[1] for line in numbered_messages(path)] == ["4", "8", "12", "16"]
