"""Lines of list files: the form `path label`, and other forms that have only one meaning.

Spreadsheets and Windows write commas, quotes and backslashes; other tools write class names in place of numbers. Such a
line is read if the file that it then names exists.
"""

import itertools
import re
from collections.abc import Iterator, Mapping

from model.dataset.listing import BLANKS

# A longer number is no label, and `int` is slow on very long ones.
_LABEL = re.compile(r"[+-]?[0-9]{1,18}")
_SEPARATORS = ",;|"
_QUOTES = "\"'"
# Each reading costs a search for a file; a longer line names no file.
_MAX_READINGS, _MAX_LENGTH = 20, 8192


def parse_line(line: str) -> tuple[str, int] | None:
    """Parse a line of a list to path and label; None if the line is not `path label`.

    The label is the last field, so the path may contain spaces.
    """
    line = line.rstrip(BLANKS)
    end = max(line.rfind(blank) for blank in BLANKS) + 1
    name, label = line[:end].rstrip(BLANKS), line[end:]
    return (name, int(label)) if name and _LABEL.fullmatch(label) else None


def possible_readings(line: str, label_of: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Possible paths and labels of a line, the most literal first; none if no reading has a path and a label.

    Args:
        label_of: class name -> label, for lines with a class name in place of the number.
    """
    strict = parse_line(line)
    if strict is not None:
        yield strict
    if len(line) <= _MAX_LENGTH:
        yield from itertools.islice(_other_readings(line.strip(BLANKS), label_of), _MAX_READINGS)


def _other_readings(line: str, label_of: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    for name, label_text in _fields(line):
        label = _label(label_text, label_of)
        if label is not None:
            for path in _paths(name):
                yield path, label


def _fields(line: str) -> Iterator[tuple[str, str]]:
    """Path and label as written: divided at a separator or a blank, the label last or, if it is a number, first."""
    for at in range(len(line) - 1, 0, -1):
        if line[at] in _SEPARATORS or line[at] in BLANKS:
            yield line[:at], line[at + 1 :]
    first = re.match(rf"({_LABEL.pattern})[{re.escape(_SEPARATORS + BLANKS)}]+(?=.)", line)
    if first:
        yield line[first.end() :], first[1]


def _label(text: str, label_of: Mapping[str, int]) -> int | None:
    text = _unquoted(text)
    return int(text) if _LABEL.fullmatch(text) else label_of.get(text)


def _paths(name: str) -> Iterator[str]:
    """Possible meanings of a written path: itself, without quotes, with `/` in place of `\\`."""
    name = name.strip(BLANKS).rstrip(_SEPARATORS + BLANKS)
    for path in dict.fromkeys((name, _unquoted(name))):
        if path:
            yield path
            if "\\" in path:
                yield path.replace("\\", "/")


def _unquoted(text: str) -> str:
    text = text.strip(BLANKS)
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] == text[0]:
        return text[1:-1].replace(text[0] * 2, text[0])
    return text
