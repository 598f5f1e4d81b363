"""Evaluation of a model: every image is counted or listed as unreadable, in bounded memory."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.bundle import Bundle, Manifest
from model.errors import DatasetError
from model.evaluation import confident_errors, evaluate
from model.evaluation.confident_errors import find_confident_errors
from model.evaluation.evaluate import Evaluation, evaluate_bundle, evaluate_probabilities, write_predictions
from model.evaluation.predicting import BATCH_SIZE
from model.features.onnx_session import PROBABILITIES
from model.results import Sample
from model.serving.predictor import Predictor

CLASSES = ("dark", "light", "other")
GRAYS = {0: 20, 1: 230, 2: 128}


class _ByBrightness:
    """Engine that predicts by the brightness of an image and records the batch sizes."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, images: np.ndarray, output: str) -> list[np.ndarray]:
        if output != PROBABILITIES:
            return [np.ones((len(images), 2, 2, len(CLASSES)), np.float32)]
        self.batches.append(len(images))
        light = images.mean(axis=(1, 2, 3)) / 255
        return [np.stack([1 - light, light, np.zeros(len(light))], axis=1).astype(np.float32)]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> _ByBrightness:
    engine = _ByBrightness()
    monkeypatch.setattr(evaluate, "load_predictor", lambda bundle: Predictor(bundle, engine))
    return engine


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    manifest = Manifest(
        "m", "", {}, CLASSES, "EfficientNetLite0", 32, "squash", "lite", {}, {}, {}, 1.0, {}, "onnx", {}, {}
    )
    return Bundle(tmp_path, manifest)


def _photos(directory: Path, labels: list[int]) -> list[Sample]:
    samples = []
    for index, label in enumerate(labels):
        path = directory / f"{index}.png"
        Image.new("RGB", (40, 30), (GRAYS[label],) * 3).save(path)
        samples.append(Sample(path, f"{CLASSES[label]}/{index}.png", label))
    return samples


def test_images_are_evaluated_in_order_and_in_batches(engine: _ByBrightness, bundle: Bundle, tmp_path: Path) -> None:
    samples = _photos(tmp_path, [0, 1] * 35)
    reported: list[tuple[str, int, int]] = []
    evaluation = evaluate_bundle(
        bundle, samples, lambda phase, done, total, /, **metrics: reported.append((phase, done, total))
    )
    assert evaluation.samples == tuple(samples)
    assert evaluation.probabilities.shape == (70, 3)
    assert evaluation.labels.tolist() == [0, 1] * 35
    assert evaluation.metrics["accuracy"] == 1
    assert engine.batches == [BATCH_SIZE, BATCH_SIZE, 6]
    assert reported == [("evaluate", 32, 70), ("evaluate", 64, 70), ("evaluate", 70, 70)]


def test_unreadable_images_are_listed_with_the_reason(engine: _ByBrightness, bundle: Bundle, tmp_path: Path) -> None:
    samples = _photos(tmp_path, [0, 1, 0])
    samples[1].path.write_text("no image")
    samples.append(Sample(tmp_path / "gone.png", "gone.png", 1))
    evaluation = evaluate_bundle(bundle, samples)
    assert [sample.name for sample in evaluation.samples] == ["dark/0.png", "dark/2.png"]
    assert [item.name for item in evaluation.errors] == ["light/1.png", "gone.png"]
    assert all(item.reason for item in evaluation.errors)
    assert evaluation.metrics["images"] == 2


def test_evaluation_without_images_is_an_error(engine: _ByBrightness, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="at least one labelled image"):
        evaluate_bundle(bundle, [])
    # A folder with nothing in it would be a mount that is away.
    (tmp_path / "other.png").touch()
    with pytest.raises(DatasetError, match=r"received 1 that cannot be read. The first is gone.png"):
        evaluate_bundle(bundle, [Sample(tmp_path / "gone.png", "gone.png", 0)])


def test_predictions_are_a_table_with_a_row_per_image(tmp_path: Path) -> None:
    samples = [Sample(Path(), 'a "quoted", name.jpg', 0), Sample(Path(), "b.jpg", 2)]
    probabilities, distances = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]), np.array([0.25, 0.5])
    thresholds = {"distance": 0.3}
    evaluation = evaluate_probabilities(CLASSES, samples, probabilities, thresholds=thresholds, distances=distances)
    assert evaluation.metrics["unknown"] == 1
    write_predictions(tmp_path / "test.csv", evaluation)
    with open(tmp_path / "test.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == [
        {
            "image": 'a "quoted", name.jpg',
            "true": "dark",
            "predicted": "dark",
            "probability": "0.700000",
            "correct": "true",
            "second": "light",
            "second_probability": "0.200000",
            "unknown": "false",
            "distance": "0.250000",
        },
        {
            "image": "b.jpg",
            "true": "other",
            "predicted": "light",
            "probability": "0.600000",
            "correct": "false",
            "second": "other",
            "second_probability": "0.300000",
            "unknown": "true",
            "distance": "0.500000",
        },
    ]


def test_what_a_model_does_not_measure_is_empty_in_the_table(tmp_path: Path) -> None:
    probabilities, distances = np.array([[0.7, 0.2, 0.1]]), np.array([np.nan])
    of_model = evaluate_probabilities(CLASSES, [Sample(Path(), "a.jpg", 0)], probabilities)
    not_measured = evaluate_probabilities(
        CLASSES, [Sample(Path(), "a.jpg", 0)], probabilities, thresholds={"distance": 0.3}, distances=distances
    )
    for evaluation, unknown in ((of_model, ""), (not_measured, "false")):
        write_predictions(tmp_path / "test.csv", evaluation)
        with open(tmp_path / "test.csv", newline="", encoding="utf-8") as stream:
            [row] = csv.DictReader(stream)
        assert (row["unknown"], row["distance"]) == (unknown, "")


@pytest.fixture
def mistaken(bundle: Bundle, engine: _ByBrightness, tmp_path: Path) -> Evaluation:
    """Two dark photos and a light one, of which the second and the third are labelled incorrectly."""
    samples = _photos(tmp_path, [0, 0, 1])
    mislabelled = [samples[0], *(dataclasses.replace(sample, label=2) for sample in samples[1:])]
    return evaluate_bundle(bundle, mislabelled)


def test_the_most_confident_errors_come_first(mistaken: Evaluation, bundle: Bundle, engine: _ByBrightness) -> None:
    wrong = find_confident_errors({"test": mistaken}, Predictor(bundle, engine))
    assert [(answer.true, answer.predicted) for answer in wrong] == [("other", "dark"), ("other", "light")]
    assert wrong[0].predicted_probability > wrong[1].predicted_probability > 0.8
    assert wrong[0].true_probability == 0
    assert wrong[0].image.shape == wrong[0].overlay.shape == (32, 32, 3)
    assert wrong[0].image.dtype == wrong[0].overlay.dtype == np.uint8
    assert len(find_confident_errors({"test": mistaken}, Predictor(bundle, engine), limit=1)) == 1


def test_each_error_has_an_occlusion_map_unless_its_network_is_slow(
    mistaken: Evaluation, bundle: Bundle, engine: _ByBrightness
) -> None:
    [first, _] = find_confident_errors({"test": mistaken}, Predictor(bundle, engine))
    assert first.occlusion is not None and first.occlusion.shape == first.image.shape
    # Covering a uniform photo in its mean colour has no effect.
    assert first.maps_agree is False
    by_keras = Bundle(bundle.directory, dataclasses.replace(bundle.manifest, engine="keras"))
    [first, _] = find_confident_errors({"test": mistaken}, Predictor(by_keras, engine))
    assert first.occlusion is None and first.maps_agree is None


def test_occlusion_maps_are_left_out_when_there_is_no_time(
    mistaken: Evaluation, bundle: Bundle, engine: _ByBrightness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confident_errors, "SECONDS_FOR_OCCLUSION", 0.0)
    errors = find_confident_errors({"test": mistaken}, Predictor(bundle, engine))
    assert [error.maps_agree for error in errors] == [None, None]


def test_few_photos_have_an_occlusion_map_for_the_first_errors_only(
    mistaken: Evaluation, bundle: Bundle, engine: _ByBrightness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confident_errors, "_MIN_MAPS", 1)
    errors = find_confident_errors({"test": mistaken}, Predictor(bundle, engine))
    assert [error.occlusion is not None for error in errors] == [True, False]
    monkeypatch.setattr(confident_errors, "_IMAGES_PER_MAP", len(mistaken.samples))
    errors = find_confident_errors({"test": mistaken}, Predictor(bundle, engine))
    assert [error.occlusion is not None for error in errors] == [True, True]
    monkeypatch.setattr(confident_errors, "_MAX_MAPS", 1)
    errors = find_confident_errors({"test": mistaken}, Predictor(bundle, engine))
    assert [error.occlusion is not None for error in errors] == [True, False]


def test_errors_of_cross_validation_are_shown_with_those_of_the_test_set(
    mistaken: Evaluation, bundle: Bundle, engine: _ByBrightness
) -> None:
    evaluations = {"val": mistaken, "test": _first(mistaken, 2), "cross_validation": mistaken}
    errors = find_confident_errors(evaluations, Predictor(bundle, engine))
    assert sorted(error.measurement for error in errors) == ["cross_validation", "cross_validation", "test"]
    only_val = find_confident_errors({"val": mistaken}, Predictor(bundle, engine))
    assert [error.measurement for error in only_val] == ["val", "val"]


def _first(evaluation: Evaluation, images: int) -> Evaluation:
    return dataclasses.replace(
        evaluation,
        samples=evaluation.samples[:images],
        probabilities=evaluation.probabilities[:images],
        labels=evaluation.labels[:images],
    )


def test_an_error_whose_image_is_missing_is_skipped(
    mistaken: Evaluation, bundle: Bundle, engine: _ByBrightness
) -> None:
    mistaken.samples[1].path.unlink()
    assert [answer.predicted for answer in find_confident_errors({"test": mistaken}, Predictor(bundle, engine))] == [
        "light"
    ]
