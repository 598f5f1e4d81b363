"""Photos that are deleted or damaged while models are measured: a counted line and a row, never a traceback."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle import open_bundle
from model.cli.command import main
from model.evaluation.comparison import compare_models
from model.evaluation.dataset_evaluation import evaluate_on_dataset
from model.evaluation.predicting import BATCH_SIZE
from model.serving.photo_files import find_photo_files
from model.workspace import Workspace
from tests.support.colours import write_colour_model, write_colours

COLOURS = np.random.default_rng(0).normal(80, 30, (60, 3))
_PHOTOS = 40


def _delete(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: list[Callable[[Path], None]] = [_delete, _truncate, _make_folder]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    write_colours(tmp_path / "data" / "photos", _PHOTOS)
    write_colour_model(tmp_path / "models", "good", learned_colours=COLOURS)
    # It is wrong on two classes, so that there are errors to be shown.
    write_colour_model(tmp_path / "models", "red", always=0, learned_colours=COLOURS)
    return Workspace(tmp_path)


def at(done: int, act: Callable[[], None]) -> Callable[..., None]:
    """Progress that calls `act` when so many photos have been predicted."""

    def progress(phase: str, reported: int, _total: int, /, **_metrics: float) -> None:
        if phase == "evaluate" and reported == done:
            act()

    return progress


def last_photos(workspace: Workspace) -> list[Path]:
    """The last photos in the order of the evaluation, which are read long after the first batch."""
    return sorted((workspace.data / "photos").rglob("*.png"))[-5:]


@pytest.mark.parametrize("change", CHANGES)
def test_photos_lost_before_they_are_predicted_are_listed(change: Callable[[Path], None], workspace: Workspace) -> None:
    lost = [path.relative_to(workspace.data / "photos").as_posix() for path in last_photos(workspace)]
    page = workspace.root / "report.html"
    progress = at(BATCH_SIZE, lambda: [change(path) for path in last_photos(workspace)] and None)
    bundle = workspace.models / "red"
    result = evaluate_on_dataset(open_bundle(bundle), "photos", workspace, progress=progress, report=page)
    assert sorted(item.name for item in result.unreadable) == lost
    assert all(item.reason for item in result.unreadable)
    assert result.metrics["images"] == 3 * _PHOTOS - len(lost)
    text = page.read_text(encoding="utf-8")
    assert "5 photos could not be read" in text and all(name in text for name in lost)


@pytest.mark.parametrize("change", CHANGES)
def test_photos_lost_before_they_are_shown_are_counted_on_the_page(
    change: Callable[[Path], None], workspace: Workspace
) -> None:
    page = workspace.root / "report.html"
    everything = sorted((workspace.data / "photos").rglob("*.png"))
    progress = at(len(everything), lambda: [change(path) for path in everything] and None)
    result = evaluate_on_dataset(
        open_bundle(workspace.models / "red"), "photos", workspace, progress=progress, report=page
    )
    assert result.metrics["images"] == len(everything) and not result.unreadable
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "gone or changed" in text and "they are in the report by name only" in text


@pytest.mark.parametrize("done", [BATCH_SIZE, 3 * _PHOTOS])
@pytest.mark.parametrize("change", CHANGES)
def test_photos_lost_during_a_comparison_are_counted(
    change: Callable[[Path], None], done: int, workspace: Workspace, tmp_path: Path
) -> None:
    base, new = (open_bundle(workspace.models / name) for name in ("red", "good"))
    lost = sorted((workspace.data / "photos").rglob("*.png"))[-5 if done == BATCH_SIZE else 0 :]
    output = tmp_path / "comparison"
    output.mkdir()
    progress = at(done, lambda: [change(path) for path in lost] and None)
    comparison = compare_models(base, [new], "photos", workspace, progress=progress, output=output)
    answer = json.loads((output / "comparison.json").read_text())
    text = " ".join((output / "comparison.html").read_text(encoding="utf-8").split())
    if done == BATCH_SIZE:
        assert len(comparison.unreadable) == len(answer["unreadable"]) == 5
        assert answer["images"] == 3 * _PHOTOS - 5 and "5 photos not read: " in text
    else:
        assert not comparison.unreadable and answer["images"] == 3 * _PHOTOS
        assert f"{2 * _PHOTOS} photos could not be read again" in text


@pytest.mark.parametrize("change", CHANGES)
def test_each_photo_lost_after_the_folder_was_listed_has_a_row(
    change: Callable[[Path], None],
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def find_and_lose(paths: Any) -> Any:
        found = find_photo_files(paths)
        for path in last_photos(workspace):
            change(path)
        return found

    monkeypatch.setattr("model.serving.photos.find_photo_files", find_and_lose)
    lost = {str(path) for path in last_photos(workspace)}
    table = tmp_path / "answers.csv"
    status = main(["predict", "good", "--output", str(table), str(workspace.data / "photos")])
    printed = capsys.readouterr()
    with open(table, newline="") as stream:
        rows = {row["image"]: row for row in csv.DictReader(stream)}
    assert len(rows) == 3 * _PHOTOS and {name for name, row in rows.items() if row["error"]} == lost
    assert status == 0 and printed.err.count("Not read: ") == len(lost) and "Traceback" not in printed.err
