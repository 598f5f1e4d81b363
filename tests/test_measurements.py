"""The accuracy that a person reads: which evaluation leads, its interval, and its number of photos."""

import pytest

from model.measurements import leading_accuracy, leading_measurement, measured_accuracies, wilson_interval


def _metrics(accuracy, images, interval=None):
    return {
        "accuracy": accuracy,
        "images": images,
        "accuracy_interval": interval or wilson_interval(accuracy * images, images),
    }


def test_cross_validation_of_many_photos_leads_before_a_test_set_of_eight() -> None:
    metrics = {"test": _metrics(1.0, 8), "cross_validation": _metrics(0.897, 97, [0.79, 0.95]), "val": _metrics(1.0, 9)}

    assert leading_measurement(metrics) == "cross_validation"
    assert str(leading_accuracy(metrics)) == "89.7 % of 97 photos in cross-validation (95 % interval 79.0 to 95.0)"


def test_a_large_test_set_leads_before_cross_validation() -> None:
    metrics = {"test": _metrics(0.9, 500), "cross_validation": _metrics(0.9, 97, [0.79, 0.95])}

    assert str(leading_accuracy(metrics)) == "90.0 % of 500 test photos (95 % interval 87.1 to 92.3)"


def test_a_test_set_that_the_model_predicts_worse_leads_however_small() -> None:
    metrics = {"test": _metrics(0.5, 20), "cross_validation": _metrics(0.95, 1000, [0.93, 0.97])}

    assert leading_measurement(metrics) == "test"


def test_validation_photos_lead_only_alone() -> None:
    assert leading_measurement({"val": _metrics(1.0, 1000), "test": _metrics(0.5, 2)}) == "test"
    assert str(leading_accuracy({"val": _metrics(0.5, 10)})).startswith("50.0 % of 10 validation photos (")


def test_a_missing_interval_is_computed_from_the_photos_and_wider_for_cross_validation() -> None:
    found = measured_accuracies(
        {"test": {"accuracy": 0.9, "images": 100}, "cross_validation": {"accuracy": 0.9, "images": 100}}, folds=10
    )

    assert found["test"].interval == pytest.approx(wilson_interval(90, 100))
    assert found["cross_validation"].interval == pytest.approx(wilson_interval(90 * 9 / 19, 100 * 9 / 19))


def test_what_is_unknown_is_named() -> None:
    assert str(leading_accuracy({"val": {"accuracy": 0.9}})) == (
        "90.0 % of an unknown number of validation photos (interval unknown)"
    )
    assert leading_accuracy({}) is None
    assert leading_accuracy({"val": {"macro_f1": 0.9}}) is None


def test_an_evaluation_with_an_interval_leads_before_one_without() -> None:
    metrics = {"test": {"accuracy": 1.0}, "cross_validation": _metrics(0.9, 100)}

    assert leading_measurement(metrics) == "cross_validation"
    assert leading_measurement({"test": {"accuracy": 1.0}, "cross_validation": {"accuracy": 0.9}}) == "test"
