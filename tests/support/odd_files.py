"""Odd contents of files: what a damaged disk, another version, an editor or an attacker leaves in place of JSON."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LARGE = 60_000_000

ODD_VALUES: dict[str, Any] = {
    "null": None,
    "truth": True,
    "negative": -1,
    "huge": 10**30,
    "fraction": 0.5,
    "text": "x",
    "control": "\x1b[31m\n\u202e\0",
    "climbing": "../../etc/passwd",
    "long": "x" * 1_000_000,
    "list": [],
    "list of lists": [[]],
    "object": {},
    "object of objects": {"a": {"b": None}},
}
"""Values of another type, range or length than that of any field."""

ODD_CONTENTS: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "blank": lambda: b" \n",
    "half": lambda: b'{"name": "x", "sta',
    "html": lambda: b"<html>",
    "brackets": lambda: b"[" * 100_000,
    "braces": lambda: b'{"a":' * 100_000,
    "500 levels": lambda: b"[" * 500 + b"]" * 500,
    "infinite": lambda: b'{"format": 1e999}',
    "digits": lambda: b'{"format": ' + b"1" * 100_000 + b"}",
    "nan": lambda: b"NaN",
    "half surrogate": lambda: b'{"\\ud800": "\\udfff"}',
    "nul bytes": lambda: b"\0" * 1000,
    "byte order mark": lambda: b"\xef\xbb\xbf{}",
    "utf-16": lambda: '{"name": "x"}'.encode("utf-16"),
    "not utf-8": lambda: b'{"name": "\xff\xfe"}',
    "keys twice": lambda: b'{"name": 1, "name": 2}',
    "many keys, one twice": lambda: b"{" + b",".join(b'"%d":0' % key for key in (*range(20_000), 19_999)) + b"}",
    "large text": lambda: b'"' + b"x" * LARGE + b'"',
    "number": lambda: b"5",
    "text": lambda: b'"x"',
    "null": lambda: b"null",
    "list": lambda: b"[]",
    "list of lists": lambda: b"[[[]]]",
    "object": lambda: b"{}",
}

ODD_PLACES: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("missing"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}
"""What can be in the place of a file; each is created at a path that does not exist."""


def spoiled(content: Any) -> Iterator[tuple[str, Any]]:
    """Each variant of a JSON value in which one value inside it is odd or missing, with a description."""
    for path in _paths(content):
        for name, value in ODD_VALUES.items():
            yield f"{'/'.join(map(str, path))} = {name}", _replaced(content, path, value)
        if isinstance(path[-1], str):
            yield f"{'/'.join(map(str, path))} missing", _removed(content, path)


def _paths(content: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, value in (
        content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    ):
        yield (*before, key)
        yield from _paths(value, (*before, key))


def _replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(content))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


def _removed(content: Any, path: tuple[Any, ...]) -> Any:
    copy = _replaced(content, path, None)
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy
