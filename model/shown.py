"""Text from outside that is shown: on a terminal, in a log, in a message, on a page, on a figure or as JSON.

Names of classes, files and models, and messages of servers and libraries may hold characters that move the cursor,
change colours, reverse the direction of writing, or are invisible. They are replaced by their codes, such as `\\x1b`.
Arabic, Hebrew, combined accents and joined emoji remain as they are.
"""

import json
import re
import unicodedata
from collections.abc import Callable

CONTROLS = (
    r"\x00-\x1f\x7f-\x9f"  # C0, DEL and C1
    r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f"  # directions of writing; line and paragraph separators
    r"\u00ad\u034f\u180e\u200b\u2060-\u2065\ufeff\ufff0-\ufffb\ufffe\uffff"  # soft hyphens, blanks without width
    r"\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # letters without a glyph
    r"\ud800-\udfff"  # halves of characters: bytes of file names that are not UTF-8
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e00ff\U000e01f0-\U000e0fff"
)
"""Characters that are always replaced, for a set of a regular expression; the last line are formats without a width.

Joiners, selectors and tags depend on their neighbours. `model/page/static/shown.js` has the same.
"""

ELLIPSIS = "…"

_JOINERS = "\u200c\u200d"
_TAGS = r"\U000e0020-\U000e007f"
_SELECTORS = r"\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
# Flags of regions, such as that of Wales, are written in tags.
_FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
_SUSPICIOUS = re.compile(f"(?P<flag>{_FLAG})|(?P<selector>[{_SELECTORS}])|(?P<joiner>[{_JOINERS}])|[{CONTROLS}{_TAGS}]")
_SELECTABLE = re.compile(f"[^{CONTROLS}{_TAGS}{_JOINERS}{_SELECTORS}\\s]")
_JOINING_END = re.compile(f"\U0001f3f4[\U000e0020-\U000e007e]+$|[{_JOINERS}]+$")
_JOINING_START = re.compile(f"^[{_JOINERS}{_SELECTORS}{_TAGS}\u0300-\u036f\u20d0-\u20ff\U0001f3fb-\U0001f3ff]+")
# Letters of scripts with joined forms, marks and emoji: what a joiner may stand between.
_JOINED = frozenset(("Lo", "Mn", "Mc", "So", "Sk", "Sm"))


def printable(text: str) -> str:
    """A text as one line of visible characters, which any UTF-8 terminal shows without side effects."""
    return _replaced(text, escape, kept="")


def printable_text(text: str) -> str:
    """A text of several lines; line feeds and tabs remain."""
    return _replaced(text, escape, kept="\n\t")


def one_line(value: object) -> str:
    """A text without line breaks; other characters that are not visible are replaced by their codes."""
    return printable(" ".join(str(value).split()))


def without_middle(text: str, kept: int) -> str:
    """Both ends of a visible text, `kept` characters in all, with an ellipsis in between.

    A joiner, selector, tag or combining mark that has lost its neighbour is left out.
    """
    head = kept - kept // 2
    first, last = text[:head], text[len(text) - kept // 2 :]
    return _JOINING_END.sub("", first) + ELLIPSIS + _JOINING_START.sub("", last)


def indented(text: str) -> str:
    """A text whose further lines are indented: a value with a line feed in it cannot pass for another message."""
    return text.replace("\n", "\n  ").replace("\n  \n", "\n\n")


def printable_json(document: str) -> str:
    """A JSON document of the same value; what `printable` replaces is written as escape sequences of JSON."""
    return _replaced(document, lambda char: json.dumps(char)[1:-1], kept="\n")


def encodable(text: str, encoding: str | None) -> str:
    """A text of characters that an encoding has; the others are replaced by their codes."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, errors="backslashreplace").decode(encoding)


def escape(char: str) -> str:
    """The code of a character, such as `\\x1b`, `\\u202e` or `\\n`."""
    return char.encode("unicode_escape").decode()


def _replaced(text: str, code: Callable[[str], str], kept: str) -> str:
    if text.isascii() and text.isprintable():
        return text

    def visible(found: re.Match[str]) -> str:
        return found[0] if found[0] in kept or _is_harmless(found) else code(found[0])

    return _SUSPICIOUS.sub(visible, text)


def _is_harmless(found: re.Match[str]) -> bool:
    """Whether a joiner joins, a selector selects, or tags are a flag."""
    text, start, end = found.string, *found.span()
    if found["joiner"]:
        return start > 0 and _is_joined(text[start - 1]) and _is_joined(text[end : end + 1])
    if found["selector"]:
        return start > 0 and bool(_SELECTABLE.match(text[start - 1]))
    return bool(found["flag"])


def _is_joined(char: str) -> bool:
    return char > "\x7f" and unicodedata.category(char) in _JOINED


def counted(number: int, thing: str) -> str:
    """`1 image`, `2,000 images`, `2 classes`."""
    if number == 1:
        return f"1 {thing}"
    return f"{number:,} {thing}{'es' if thing.endswith('s') else 's'}"
