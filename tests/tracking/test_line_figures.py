"""Charts and the map of the report as images: lines and symbols are where their numbers are."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.evaluation.charts import BLUE, Series
from model.evaluation.dataset_evaluation import evaluate_on_dataset
from model.evaluation.learning_curve import LearningCurve
from model.evaluation.photo_map_chart import COLOURS, MapPoint
from model.evaluation.report.content import ReportContent
from model.tracking.line_figures import draw_line_chart, draw_photo_map
from model.tracking.report_figures import REPORT, write_report_figures
from model.workspace import Workspace
from tests.support.colours import write_colour_model, write_colours
from tests.support.event_files import read

COLORS = np.random.default_rng(0).normal(80, 30, (60, 3))


def places(sheet: Image.Image, colour: str) -> np.ndarray:
    """Columns and rows (n, 2) of the pixels of a colour."""
    expected = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    rows, columns = np.nonzero((np.asarray(sheet) == expected).all(axis=2))
    return np.stack([columns, rows], axis=1)


def test_a_line_rises_with_its_numbers() -> None:
    sheet = draw_line_chart([Series("", [(0, 0.5), (100, 1.0)], BLUE)], "photos", "title")
    drawn = places(sheet, BLUE)
    left, right = drawn[drawn[:, 0].argmin()], drawn[drawn[:, 0].argmax()]
    assert right[0] - left[0] > 300 and left[1] - right[1] > 200
    dashed = draw_line_chart([Series("", [(0, 0.5), (100, 1.0)], BLUE, dashed=True)], "photos", "title")
    assert 0 < len(places(dashed, BLUE)) < len(drawn)


@pytest.mark.parametrize("points", [[], [(5.0, 1.0)], [(5.0, 0.0), (5.0, 0.0)]])
def test_few_points_are_no_error(points: list[tuple[float, float]]) -> None:
    assert draw_line_chart([Series("accuracy", points, BLUE)], "photos", "title", percent_x=True).width > 100


def test_photos_are_at_their_places_and_errors_have_a_ring() -> None:
    points = [MapPoint(0.1, 0.2, 0, False, "a"), MapPoint(0.9, 0.8, 1, True, "b")]
    sheet = draw_photo_map(points, ("a", "b"))
    first = places(sheet.crop((0, 0, 960, 600)), COLOURS[0]).mean(axis=0)
    second = places(sheet.crop((0, 0, 960, 600)), COLOURS[1]).mean(axis=0)
    assert np.allclose(first, (14 + 0.1 * 932, 14 + 0.2 * 572), atol=2)
    assert np.allclose(second, (14 + 0.9 * 932, 14 + 0.8 * 572), atol=2)
    ring = places(sheet.crop((0, 0, 960, 600)), "#000000")
    assert np.allclose(ring.mean(axis=0), second, atol=2)


def test_classes_beyond_the_colours_have_other_shapes() -> None:
    shapes = set()
    for number in range(4):
        sheet = draw_photo_map([MapPoint(0.5, 0.5, number * len(COLOURS), False, "a")], ())
        shapes.add(sheet.tobytes())
    assert len(shapes) == 4


def test_coverage_curve_and_map_of_the_report_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    write_colours(workspace.data / "photos", 12)
    bundle = write_colour_model(workspace.models, "known", learned_colours=COLORS)
    rendered: list[ReportContent] = []
    monkeypatch.setattr("model.evaluation.dataset_report.write_report", lambda _path, content: rendered.append(content))
    evaluate_on_dataset(bundle, "photos", workspace, report=tmp_path / "page.html")
    [content] = rendered
    assert content.study is not None
    labels = content.evaluation.labels
    curve = LearningCurve(bundle.manifest.classes, (10, 20), labels, np.ones((2, len(labels))), "test photos")
    always = {"coverage/test", "photo_map", "confusion_matrix/test", "reliability/test", "most_confident_errors"}
    for study, expected in (
        (dataclasses.replace(content.study, curve=curve), {"learning_curve"}),
        (content.study, set()),
    ):
        logs = tmp_path / f"with {len(expected)}"
        write_report_figures(logs, dataclasses.replace(content, study=study))
        assert set(read(logs / REPORT).Tags()["images"]) == always | expected
