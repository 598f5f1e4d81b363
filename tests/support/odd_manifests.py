"""Manifests that no version of Topgraft writes: odd values of fields, and files that are no manifest."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

VALUES: list[tuple[str, Any]] = [
    *((field, value) for field in ("name", "created", "backbone", "engine") for value in (None, 1, [], "x" * 10_000)),
    *(("classes", value) for value in (None, 3, "red", [], [1], ["a", "a"], [""], ["x" * 501], [["a"]], {"a": 1})),
    *(("image_size", value) for value in (None, 0, -1, 4097, 10**30, 8.0, True, "8")),
    *(("temperature", value) for value in (None, 0, -1, True, "1", [1])),
    *(("versions", value) for value in (None, [], {"topgraft": 1}, {"topgraft": "x" * 10_000})),
    *(("train_config", value) for value in (None, [], "x")),
    *(("dataset", value) for value in (None, [], {"counts": 1}, {"counts": {"val": {"a": -1}}}, {"path": 5})),
    *(("metrics", value) for value in (None, [], "x", {"test": 1}, {"test": [1]})),
    *(("metrics", {"test": {"accuracy": value}}) for value in ("<b>", [1], {}, True, 2, -0.1)),
    *(("metrics", {"test": {"accuracy_interval": value}}) for value in ("xx", [1], [0, 1, 1], ["a", "b"], [0, 2])),
    *(("metrics", {"val": {"macro_f1": value}}) for value in ([1], "0.5", 10**30)),
    *(("metrics", {"val": {"images": value}}) for value in (-1, 1.5, "4", [])),
    *(("metrics", {"val": {"per_class": value}}) for value in (1, [1], [{}], [{"class": "a", "f1": "x"}])),
    *(("thresholds", value) for value in (None, [], {"confidence": "x"}, {"confidence_by_class": [1]}, {"unknown": 5})),
    *(("parity", value) for value in (None, [], {"max_difference": "x"})),
    *(("files", value) for value in (None, [], {"a": 1}, {"a": {"sha256": 1, "size": 1}}, {"a": {}})),
    *(("files", {path: {"sha256": "0" * 64, "size": 1}}) for path in ("../x", "/etc/passwd", "a//b", "", "a/..", "\0")),
    *(("intensity", value) for value in (None, 1, "x", {"low": 2, "high": 1})),
    *(("format_version", value) for value in (None, 0, 10**30, "3", [3])),
]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def replaced_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def edited(old: str, new: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


FILES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "brackets": lambda path: path.write_text("[" * 100_000),
    "objects": lambda path: path.write_text('{"a":' * 100_000),
    "a list": lambda path: path.write_text("[]"),
    "a number": lambda path: path.write_text("1"),
    "null": lambda path: path.write_text("null"),
    "NaN": edited('"temperature": 1.0', '"temperature": NaN'),
    "infinity": edited('"temperature": 1.0', '"temperature": 1e999'),
    "digits": edited('"temperature": 1.0', '"temperature": 1' + "0" * 400),
    "many digits": edited('"temperature": 1.0', '"temperature": 1' + "0" * 5000),
    "twice": edited('"temperature": 1.0', '"temperature": 1.0, "temperature": 1.0'),
    "half a surrogate": edited('"red"', '"\\ud800"'),
    "not UTF-8": lambda path: path.write_bytes(path.read_bytes().replace(b"red", b"\xff\xfe")),
    "UTF-16": lambda path: path.write_bytes(path.read_text().encode("utf-16")),
    "500 levels": lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"train_config": deep(500)})),
    "10 MB of names": edited('"red"', f'"{"x" * 10_000_000}"'),
    "a folder": replaced_by(Path.mkdir),
    "a pipe": replaced_by(os.mkfifo),
    "a link to a device": replaced_by(lambda path: path.symlink_to("/dev/zero")),
}
