"""Progress and data on standard output and standard error."""

import io
import json
import sys

import pytest

from model.cli.output import BarProgress, LineProgress, accuracy_line, format_percentage, print_json


class Clock:
    """A clock that is set by hand, in seconds."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_are_written_at_most_every_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = LineProgress(clock)
    for step in range(1, 31):
        progress("features", step, 30)
        clock.now += 1
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == [f"features {step}/30" for step in (1, 6, 11, 16, 21, 26, 30)]


def test_a_phase_that_stops_early_ends_with_its_last_step(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress(Clock())
    for epoch in range(1, 20):
        progress("head", epoch, 100, loss=1 / epoch)
    progress("export", 0, 1)
    progress.flush()
    assert capsys.readouterr().err.splitlines() == ["head 1/100 loss=1", "head 19/100 loss=0.05263", "export 0/1"]


def test_transfers_are_shown_in_kilobytes_and_no_line_twice(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress(Clock())
    for phase, done in (("upload", 450), ("upload", 450), ("verify", 450), ("verify", 450)):
        progress(phase, done, 450)
    progress("check", 16, 16)
    assert capsys.readouterr().err.splitlines() == ["upload 450/450 kB", "verify 450/450 kB", "check 16/16"]


def test_lines_show_the_rate_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress(Clock())
    progress("head", 10, 100, **{"loss": 0.5, "epochs/s": 4.0, "eta_seconds": 22.5})
    assert capsys.readouterr().err == "head 10/100 loss=0.5 epochs/s=4 (22 s left)\n"


def test_bars_show_each_phase_on_a_terminal() -> None:
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    screen = io.StringIO()
    columns = TextColumn("{task.description} {task.completed}/{task.total} {task.fields[metrics]}")
    with Progress(columns, console=Console(file=screen, force_terminal=True, width=80)) as bars:
        progress = BarProgress(bars)
        progress("features", 10, 10)
        progress("head", 3, 100, **{"loss": 0.5, "epochs/s": 4.0, "eta_seconds": 24.25})
    assert "features 10/10" in screen.getvalue()
    assert "head 3/100 loss=0.5 epochs/s=4" in screen.getvalue()
    assert "eta" not in screen.getvalue()


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"loss": float("nan"), "name": "Köln"})
    assert json.loads(capsys.readouterr().out) == {"loss": None, "name": "Köln"}


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_json_is_exact_and_visible_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"name": "K\u00f6ln \x1b\x7f\x9b\u202e\udcff\U0001f600", "lines": "a\nb"}
    written = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", written)
    print_json(value)
    monkeypatch.undo()
    shown = written.buffer.getvalue().decode(encoding)
    assert json.loads(shown) == value and shown.replace("\n", "").isprintable()


def test_fractions_are_formatted_as_percentages_with_their_interval_and_photos() -> None:
    assert format_percentage(0.875) == "87.5 %"
    metrics = {"images": 8, "accuracy": 0.875, "accuracy_interval": [0.5, 1.0], "macro_f1": None}
    expected = "accuracy 87.5 % of 8 test photos (95 % interval 50.0 to 100.0), macro-F1 not measured"
    assert accuracy_line(metrics, "test photos") == expected
