"""Lines of list files: the form `path label`, and other forms that have only one meaning.

Spreadsheets and Windows write commas, quotes and backslashes; other tools write class names in place of numbers. Such a
line is read if the file that it then names exists.
"""

import itertools
import re
import urllib.parse
from collections.abc import Iterator, Mapping

from model.dataset.listing import BLANKS
from model.dataset.tables.column_names import IMAGE_NAMES, LABEL_NAMES, normal

# A longer number is no label, and `int` is slow on very long ones.
_LABEL = re.compile(r"[+-]?[0-9]{1,18}")
# A whole number, as programs for numbers write it.
_WHOLE = re.compile(r"([+-]?[0-9]{1,18})\.0{1,18}")
_ARROW = re.compile(r"(.+?)[ \t]*[=-]>[ \t]*([^>]+)")
_NO_BREAK = "\u00a0\u202f"
_FILE_ADDRESS = "file://"
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


def is_header(line: str) -> bool:
    """Whether a line has only names of columns, one of images and one of labels, such as `image,label`."""
    names = [normal(name) for name in re.split(rf"[{re.escape(_SEPARATORS + BLANKS)}]+", line.strip(BLANKS))]
    known = {name for of_kind in LABEL_NAMES for name in of_kind}
    return len(names) == 2 and any(one in IMAGE_NAMES and two in known for one, two in (names, names[::-1]))


def possible_readings(line: str, label_of: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Possible paths and labels of a line, the most literal first; none if no reading has a path and a label.

    Args:
        label_of: class name -> label, for lines with a class name in place of the number.
    """
    strict = parse_line(line)
    if strict is not None:
        yield strict
    if len(line) <= _MAX_LENGTH:
        written = line.strip(BLANKS)
        plain = written.translate(dict.fromkeys(map(ord, _NO_BREAK), " ")).strip(_SEPARATORS + BLANKS)
        for form in dict.fromkeys((written, plain)):
            yield from itertools.islice(_other_readings(form, label_of), _MAX_READINGS)


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
    arrow = _ARROW.fullmatch(line)
    if arrow:
        yield arrow[1], arrow[2]
    first = re.match(rf"({_LABEL.pattern})[{re.escape(_SEPARATORS + BLANKS)}]+(?=.)", line)
    if first:
        yield line[first.end() :], first[1]


def _label(text: str, label_of: Mapping[str, int]) -> int | None:
    text = _unquoted(text)
    if text in label_of and not _LABEL.fullmatch(text):
        return label_of[text]
    number = _WHOLE.sub(r"\1", text)
    return int(number) if _LABEL.fullmatch(number) else None


def _paths(name: str) -> Iterator[str]:
    """Possible meanings of a written path: itself, without quotes, with `/` in place of `\\`."""
    name = name.strip(BLANKS).rstrip(_SEPARATORS + BLANKS)
    for path in dict.fromkeys((name, _unquoted(name))):
        if path:
            if path.startswith(_FILE_ADDRESS):
                path = urllib.parse.unquote(path.removeprefix(_FILE_ADDRESS).removeprefix("localhost"))
            yield path
            if "\\" in path:
                yield path.replace("\\", "/")


def _unquoted(text: str) -> str:
    text = text.strip(BLANKS)
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] == text[0]:
        return text[1:-1].replace(text[0] * 2, text[0])
    return text
