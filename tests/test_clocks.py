"""Durations are measured by a clock that summer time, NTP and a user cannot set; moments are in UTC."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.test_shown import ROOT, SOURCES

# File -> why it needs the time of day.
TIME_OF_DAY = {
    "model/scratch.py": "compared with the start of processes",
    "model/curation/folders.py": "compared with the time of a folder",
    "model/studio/access.py": "the end of sessions, which outlast the server",
    "model/usage/drift_check.py": "compared with the time of a file",
    "model/locks.py": "compared with the time of a file",
    "model/storage/uploading.py": "compared with the time of a remote file",
    "model/tracking/tensorboard_log.py": "the time axis of TensorBoard",
    "model/runs/starting.py": "the name of a training, of its local time",
    "api/worker_pool.py": "a field of DEEPaaS, in local time as its other fields",
}


def uses_of_the_time_of_day(path: Path) -> Iterator[int]:
    """Lines with a clock that can be set: `time.time()`, and `datetime.now()` or another in local time."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        is_local = called.endswith(("datetime.now", "datetime.today", "date.today", "localtime", "ctime"))
        if called in ("time.time", "time.time_ns") or (is_local and not node.args and not node.keywords):  # type: ignore[attr-defined]
            yield node.lineno  # type: ignore[attr-defined]


def test_durations_do_not_depend_on_the_time_of_day() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in SOURCES if any(uses_of_the_time_of_day(path))}
    assert found == set(TIME_OF_DAY)


def test_the_check_sees_clocks_that_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("time.time()\ndatetime.now()\ndatetime.now(timezone.utc)\ntime.monotonic()\ndate.today()\n")
    assert list(uses_of_the_time_of_day(path)) == [1, 2, 5]
