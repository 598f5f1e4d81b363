"""TensorBoard shows the confusion matrix, the reliability diagram and the errors of the report."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from model.bundle import Manifest
from model.evaluation.confident_errors import ConfidentError
from model.evaluation.evaluate import evaluate_probabilities
from model.evaluation.metrics import ReliabilityBin
from model.evaluation.report.content import ReportContent
from model.results import Sample
from model.tracking.report_figures import REPORT, draw_explained_errors, draw_reliability_diagram, write_report_figures
from tests.support.event_files import logged_images

CLASSES = ("a", "b")
GREEN, RED, BLUE = ((0, 255, 0), (255, 0, 0), (0, 0, 255))


def uniform(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((40, 40, 3), colour, np.uint8)


@pytest.fixture
def error() -> ConfidentError:
    return ConfidentError("a/1.jpg", "a", "b", 0.1, 0.9, uniform(GREEN), uniform(RED), "test", uniform(BLUE), False)


@pytest.fixture
def content(error: ConfidentError) -> ReportContent:
    samples = [Sample(Path(), f"a/{number}.jpg", 0) for number in range(2)]
    evaluation = evaluate_probabilities(CLASSES, samples, np.array([[0.8, 0.2], [0.1, 0.9]], np.float32))
    manifest = Manifest(
        "m", "", {}, CLASSES, "EfficientNetLite0", 40, "squash", "lite", {}, {}, {}, 1.0, {}, "onnx", {}, {}
    )
    return ReportContent(manifest, {"test": evaluation}, confident_errors=[error])


def test_the_figures_of_the_report_are_logged(content: ReportContent, tmp_path: Path) -> None:
    write_report_figures(tmp_path, content)
    [(_, matrix)] = logged_images(tmp_path, "confusion_matrix/test", REPORT)
    [(_, errors)] = logged_images(tmp_path, "most_confident_errors", REPORT)
    [(_, diagram)] = logged_images(tmp_path, "reliability/test", REPORT)
    assert min(matrix.size) > 50
    assert diagram.size == draw_reliability_diagram([]).size
    assert np.array_equal(np.asarray(errors), np.asarray(draw_explained_errors(content.confident_errors)))


def test_dots_of_the_reliability_diagram_are_at_their_confidence_and_accuracy() -> None:
    empty = np.asarray(draw_reliability_diagram([])).astype(int)
    groups = {place: ReliabilityBin(0, 1, 9, *place) for place in ((0.1, 0.9), (0.9, 0.1), (0.5, 0.5))}
    centres = {}
    for place, group in groups.items():
        drawn = np.abs(np.asarray(draw_reliability_diagram([group])).astype(int) - empty).sum(axis=2) > 0
        centres[place] = np.argwhere(drawn).mean(axis=0)[::-1]
    middle = centres[0.5, 0.5]
    for place, offset in (((0.1, 0.9), (-1, -1)), ((0.9, 0.1), (1, 1))):
        assert (np.sign(centres[place] - middle) == offset).all()
        assert np.abs(np.abs(centres[place] - middle) - np.abs(centres[0.1, 0.9] - middle)).max() < 2
    few = [ReliabilityBin(0, 1, 1, 0.1, 0.9), ReliabilityBin(0, 1, 100, 0.9, 0.9)]
    sheet = np.asarray(draw_reliability_diagram(few)).astype(int)
    blue = np.abs(sheet - (0, 114, 178)).sum(axis=2) < 60
    columns = np.flatnonzero(blue.any(axis=0))
    assert blue[:, columns[-9]].sum() > blue[:, columns[3]].sum()


def test_an_error_is_drawn_with_all_its_maps(error: ConfidentError) -> None:
    sheet = draw_explained_errors([error])
    assert {GREEN, RED, BLUE} <= {colour for _, colour in sheet.getcolors(10**6)}
    without = draw_explained_errors([dataclasses.replace(error, occlusion=None, maps_agree=None)])
    colours = {colour for _, colour in without.getcolors(10**6)}
    assert without.size == sheet.size and BLUE not in colours and RED in colours


@pytest.mark.parametrize("count", [0, 1, 12])
def test_the_figure_grows_with_the_errors(error: ConfidentError, count: int) -> None:
    assert draw_explained_errors([error] * count).height > 110 * count
