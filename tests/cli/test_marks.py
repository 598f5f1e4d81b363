"""The marks unknown and uncertain on the terminal, in the figure and in the model card."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.cli.evaluation import _lines
from model.cli.prediction import prediction_lines
from model.cli.training_results import training_lines
from model.evaluation.dataset_evaluation import EvaluationResult
from model.evaluation.evaluate import evaluate_probabilities
from model.publishing.card import model_card
from model.results import Prediction, Sample
from model.serving.prediction_figure import draw_prediction
from model.serving.predictor import load_predictor
from model.training_result import TrainingResult
from tests.support.photos import photo
from tests.support.small_model import measured, write_model

THRESHOLDS = {
    "confidence": 0.62,
    "distance": 0.7,
    "unknown": {"false_alarm_rate": 0.01, "images": 300, "extrapolated": False},
    "uncertain": {"target_accuracy": 0.95, "accuracy": 0.953, "coverage": 0.62, "images": 97, "measured_on": "val"},
}
UNCERTAIN = Prediction("a.jpg", ("cat", "dog"), (0.5, 0.4), uncertain=True, uncertain_explanation="low", second="dog")
COUNTS = {"unknown": 1, "uncertain": 7, "accepted": 32, "accepted_accuracy": 0.969}


@pytest.mark.parametrize(
    ("prediction", "mark"),
    [
        (Prediction("a.jpg", ("cat", "dog"), (0.5, 0.4)), ""),
        (UNCERTAIN, "  (uncertain: cat or dog; low)"),
        (Prediction("a.jpg", ("cat", "dog"), (0.5, 0.4), True, None, "features", "far"), "  (unknown: far)"),
    ],
)
def test_a_prediction_is_printed_with_its_mark(prediction: Prediction, mark: str) -> None:
    assert prediction_lines(prediction) == [f"a.jpg: cat 50.0 %, dog 40.0 %{mark}"]


def test_the_last_lines_of_a_training_state_the_marks_and_the_photos_they_take() -> None:
    result = TrainingResult(
        "pets",
        Path("/work/models/pets"),
        {"val": {"images": 9, "accuracy": 1.0}, "test": {"images": 40, "accuracy": 0.875, **COUNTS}},
        (),
        3.2,
        marks=("unknown marks ...", "uncertain is off: too few"),
    )
    assert training_lines(result)[-3:] == [
        "  unknown marks ...",
        "  uncertain is off: too few",
        "  unknown: 1 of 40 test photos; uncertain: 7 of 40; 97 % of the other 32 correct",
    ]


def test_an_evaluation_states_the_photos_that_each_mark_takes() -> None:
    samples = [Sample(Path(), f"{row}.jpg", row % 2) for row in range(4)]
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.1, 0.9]], np.float32)
    evaluation = evaluate_probabilities(
        ("cat", "dog"), samples, probabilities, thresholds=THRESHOLDS, distances=np.array([0.1, 0.1, 0.9, 0.1])
    )
    result = EvaluationResult("pets", "data/pets", "all", evaluation, (), ())
    assert (
        "  unknown: 1 of 4 photos; uncertain: 1 of 4; 100 % of the other 2 correct (95 % interval 34 to 100)"
        in _lines(result)
    )
    assert {"unknown": 1, "uncertain": 1, "accepted": 2}.items() <= result.to_json()["metrics"].items()


def test_the_figure_names_both_classes_of_an_uncertain_prediction(tmp_path: Path) -> None:
    predictor = load_predictor(write_model(tmp_path / "same"))
    content = photo()
    [sure] = predictor.predict_stream([("a.jpg", content)])
    drawn = []
    for marks in ({}, {"uncertain": True, "uncertain_explanation": "low", "second": sure.labels[1]}):
        figure = draw_prediction(predictor, content, Prediction(sure.image, sure.labels, sure.probabilities, **marks))
        drawn.append(np.asarray(Image.open(io.BytesIO(figure)).convert("RGB")).astype(int))
    changed = np.flatnonzero(np.abs(drawn[0] - drawn[1]).sum(axis=2).any(axis=1))
    assert changed.min() < 50
    orange = np.abs(drawn[1][:60] - (213, 94, 0)).sum(axis=2) < 30
    assert orange.any() and not (np.abs(drawn[0][:60] - (213, 94, 0)).sum(axis=2) < 30).any()


def test_the_model_card_states_what_the_marks_mean(tmp_path: Path) -> None:
    bundle = write_model(tmp_path / "pets", thresholds=THRESHOLDS, metrics={"test": measured() | COUNTS})
    card = " ".join(model_card(bundle.manifest).split())
    assert "95 % correct, on 62 % of 97 validation photos" in card
    assert "unknown: 1 of 40 test photos; uncertain: 7 of 40" in card
    off = write_model(tmp_path / "off", thresholds={"unknown": {"off": "5 photos are too few"}})
    card = " ".join(model_card(off.manifest).split())
    assert "No photo is marked `unknown`" in card and "5 photos are too few" in card


def test_an_older_model_marks_by_its_thresholds(tmp_path: Path) -> None:
    bundle = write_model(tmp_path / "old", thresholds={"confidence": 1.0, "confidence_by_class": {}, "distance": 0.6})
    predictor = load_predictor(bundle)
    assert predictor.marks == ("uncertain",)
    [prediction] = predictor.predict_stream([("a.jpg", photo())])
    assert not prediction.unknown and prediction.uncertain and prediction.second == prediction.labels[1]
