"""Photos of the report: which have thumbnails, how they are read, and what becomes of those that are gone."""

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from model.dataset.rereading import PhotoReader
from model.evaluation.evaluate import evaluate_probabilities
from model.evaluation.learning_curve import LearningCurve
from model.evaluation.photo_study import study_photos
from model.evaluation.report.render import render_report, with_thumbnails
from model.evaluation.report.sections import photos
from model.evaluation.thumbnails import SIDE, read_thumbnails
from model.results import Sample
from tests.evaluation.study_photos import photo_features
from tests.evaluation.test_report import _content

SIZE = (320, 160)


def _samples(folder: Path, count: int) -> list[Sample]:
    samples = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.new("RGB", SIZE, (40 * number % 256, 90, 120)).save(path)
        samples.append(Sample(path, path.name, number % 2))
    return samples


def test_thumbnails_keep_the_aspect_ratio(tmp_path: Path) -> None:
    (sample,) = _samples(tmp_path, 1)
    (content,) = read_thumbnails([sample], PhotoReader(), 10_000).values()
    thumbnail = Image.open(io.BytesIO(content))
    assert (thumbnail.format, thumbnail.size) == ("WEBP", (SIDE, SIDE // 2))


def test_thumbnails_end_at_the_number_of_bytes(tmp_path: Path) -> None:
    samples = _samples(tmp_path, 5)
    one = len(read_thumbnails(samples[:1], PhotoReader(), 10_000)[samples[0].name])
    found = read_thumbnails(samples, PhotoReader(), 3 * one)
    assert 1 <= len(found) < 5 and sum(map(len, found.values())) <= 3 * one


def test_photos_that_are_gone_are_named_and_counted(tmp_path: Path) -> None:
    samples = _samples(tmp_path, 4)
    evaluation = evaluate_probabilities(("a", "b"), samples, np.full((4, 2), 0.5))
    samples[1].path.unlink()
    content = dataclasses.replace(_content(("a", "b")), evaluations={"test": evaluation}, uncalibrated={})
    content = with_thumbnails(content, PhotoReader())
    assert set(content.thumbnails) == {"0.png", "2.png", "3.png"}
    assert "such as 1.png" in content.warnings[-1]
    page = render_report(content)
    assert page.count("data:image/webp") == 3 and '<span class="file">1.png</span>' in page


def test_errors_have_thumbnails_before_correct_predictions() -> None:
    evaluation = _content(("a", "b", "c"), images=60, wrong=20).evaluations["test"]
    chosen = [sample.name for sample in photos.photos_with_thumbnails(evaluation, 25)]
    rows = {sample.name: row for row, sample in enumerate(evaluation.samples)}
    assert all(rows[name] < 20 for name in chosen[:20]) and len(set(chosen)) == 25
    confidence = evaluation.probabilities.max(axis=1)[[rows[name] for name in chosen[:20]]]
    assert (np.diff(confidence) <= 0).all()


def test_a_cell_of_the_matrix_has_exactly_its_photos() -> None:
    evaluation = _content(("a", "b", "c"), images=60, wrong=20).evaluations["test"]
    cells = photos.photos_by_cell(evaluation)
    counts = np.zeros((3, 3), int)
    for (true, predicted), rows in cells.items():
        counts[true, predicted] = len(rows)
    assert counts.tolist() == evaluation.metrics["confusion_matrix"]


def test_the_summary_says_which_class_to_collect_and_which_labels_to_check() -> None:
    photos_of_sets = photo_features(120, 4, wrong=12)
    rows = [row for row, split in enumerate(photos_of_sets.splits) if split != "train"]
    samples = [photos_of_sets.samples[row] for row in rows]
    evaluation = evaluate_probabilities(photos_of_sets.classes, samples, photos_of_sets.probabilities[rows])
    labels = np.arange(400) % 4
    half, whole = np.where(labels == 2, 0.2, 1.0), np.where(labels == 2, 0.8, 1.0)
    measured = np.vstack([half, half, half, whole])
    curve = LearningCurve(photos_of_sets.classes, (11, 22, 45, 90), labels, measured, "test photos")
    study = study_photos(photos_of_sets, evaluation, curve)
    content = dataclasses.replace(_content(photos_of_sets.classes), evaluations={"test": evaluation}, uncalibrated={})
    page = render_report(dataclasses.replace(content, study=study))
    summary = " ".join(page.partition("What to do next")[2].partition("</div>")[0].split())
    assert "Collect more photos of class2 first" in summary
    assert 'href="#more-photos"' in summary and 'id="more-photos"' in page
    names = [issue.sample.name for issue in study.label_check.issues]
    assert [name in summary for name in names] == [True] * 3 + [False] * (len(names) - 3) and len(names) > 3
    assert f"topgraft compare OTHER {content.manifest.name} DATASET" in summary
    assert "Collect more photos" not in render_report(content)
