"""Thresholds of the marks, how they are stated, and how many images each mark takes."""

import numpy as np
import pytest

from model.evaluation.evaluate import evaluate_probabilities
from model.evaluation.marks import count_marks, fit_thresholds, judge_all, widen_distance
from model.marks import mark_sentences, marks_line
from model.measurements import wilson_interval
from model.results import Sample

CLASSES = ("cat", "dog")


def _predictions(images: int, correct_above: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of the first class with confidences from 0.5 to 1, correct above a confidence."""
    confidence = np.linspace(0.5, 1.0, images)
    return np.stack([confidence, 1 - confidence], axis=1), (confidence <= correct_above).astype(int)


def _distances(images: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0.7, 0.05, images)


def test_thresholds_state_what_they_were_fitted_with():
    probabilities, labels = _predictions(101)
    fitted = fit_thresholds(probabilities, labels, _distances(300), CLASSES, 0.9, "cross_validation")
    assert fitted["unknown"] == {"false_alarm_rate": 0.01, "images": 300, "extrapolated": False}
    uncertain = fitted["uncertain"]
    accepted = probabilities[:, 0] >= fitted["confidence_by_class"]["cat"]
    assert uncertain["coverage"] == pytest.approx(accepted.mean()) and 0.4 < uncertain["coverage"] < 0.5
    assert uncertain["accuracy"] == pytest.approx((labels == 0)[accepted].mean()) and uncertain["accuracy"] >= 0.9
    assert (uncertain["images"], uncertain["measured_on"]) == (101, "cross_validation")
    assert mark_sentences(fitted) == [
        "unknown marks out-of-distribution photos; false alarms: about 1 % of photos of the known classes, "
        "measured on 300 photos",
        "uncertain marks predictions of low confidence; the others are "
        f"{100 * uncertain['accuracy']:.0f} % correct (95 % interval 79 to 96), on "
        f"{100 * uncertain['coverage']:.0f} % of 101 photos in cross-validation, on which its threshold was chosen",
    ]


def test_a_threshold_from_few_distances_is_said_to_be_extrapolated():
    fitted = fit_thresholds(*_predictions(50), _distances(30), CLASSES, 0.9, "val")
    assert "extrapolated from only 30 photos" in mark_sentences(fitted)[0]


@pytest.mark.parametrize(
    ("images", "correct_above", "reason"),
    [
        (19, 0.0, "uncertain is off: 19 photos are too few to fit its threshold, at least 20 are needed"),
        (50, 1.0, "uncertain is off: no 20 or more of the most confident predictions for 50 photos are 90 % correct"),
    ],
)
def test_a_mark_without_a_threshold_is_off_and_says_why(images, correct_above, reason):
    probabilities, labels = _predictions(images, correct_above)
    fitted = fit_thresholds(probabilities, labels, _distances(5), CLASSES, 0.9, "val")
    assert not {"confidence", "confidence_by_class", "distance"} & fitted.keys()
    assert mark_sentences(fitted) == [
        "unknown is off: 5 photos are too few to fit its threshold, at least 10 are needed",
        reason,
    ]
    judged = judge_all(np.array([[0.51, 0.49]]), np.array([2.0]), CLASSES, fitted)
    assert not judged[0].unknown and not judged[0].uncertain


def test_distances_that_were_not_measured_have_no_part_in_the_threshold():
    distances = np.append(_distances(40), np.full(10, np.nan))
    one, other = (
        fit_thresholds(*_predictions(50), found, CLASSES, 0.9, "val") for found in (distances, distances[:40])
    )
    assert one == other and one["unknown"]["images"] == 40


def test_every_image_has_one_mark_or_is_accepted():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])
    distances = np.array([0.1, 0.1, 0.9, 0.9, 0.1])
    judged = judge_all(probabilities, distances, CLASSES, {"confidence": 0.7, "distance": 0.5})
    counts = count_marks(judged, np.array([True, False, True, True, False]))
    assert counts.pop("accepted_accuracy_interval") == list(wilson_interval(1, 2))
    assert counts == {"unknown": 2, "uncertain": 1, "accepted": 2, "accepted_accuracy": 0.5}
    assert count_marks(judged[1:4], np.array([True] * 3))["accepted_accuracy"] is None


def test_an_evaluation_reports_how_many_images_each_mark_takes(tmp_path):
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.9, 0.1], [0.2, 0.8]], np.float32)
    samples = [Sample(tmp_path, f"{row}.jpg", label) for row, label in enumerate((0, 0, 1, 1))]
    thresholds = {"confidence": 0.7, "distance": 0.5}
    distances = np.array([0.1, 0.1, 0.9, 0.1])
    metrics = evaluate_probabilities(
        CLASSES, samples, probabilities, thresholds=thresholds, distances=distances
    ).metrics
    assert marks_line(metrics, "test") == (
        "unknown: 1 of 4 test photos; uncertain: 1 of 4; 100 % of the other 2 correct (95 % interval 34 to 100)"
    )
    assert metrics["accuracy"] == 0.75
    assert "unknown" not in evaluate_probabilities(CLASSES, samples, probabilities).metrics


def test_metrics_of_an_older_version_have_no_line():
    assert marks_line({"accuracy": 0.9, "images": 40}, "test") == ""
    assert mark_sentences({"confidence": 0.5, "distance": 0.7}) == []


def test_a_quantized_network_gets_a_wider_threshold_if_its_images_are_farther():
    fitted = {"distance": 0.8, "confidence": 0.5}
    assert widen_distance(fitted, _distances(50) + 0.3)["distance"] > 1.0
    assert widen_distance(fitted, _distances(50) - 0.3) == fitted
    assert widen_distance(fitted, _distances(3) + 1) == fitted
    assert widen_distance({"confidence": 0.5}, _distances(50)) == {"confidence": 0.5}
