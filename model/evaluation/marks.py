"""Thresholds of the marks `unknown` and `uncertain`, and how many labelled images each mark takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model.evaluation.calibration import MIN_FOR_THRESHOLD, confidence_threshold, thresholds_by_class
from model.evaluation.unknown import FALSE_ALARM_RATE, MIN_DISTANCES, distance_threshold, is_extrapolated
from model.measurements import Measurement, fraction_interval
from model.serving.judgement import Judgement, judge


def fit_thresholds(
    probabilities: np.ndarray,
    labels: np.ndarray,
    distances: np.ndarray,
    classes: Sequence[str],
    target_accuracy: float,
    measured_on: Measurement,
    folds: int = 0,
) -> dict[str, Any]:
    """Content of `model.bundle.Manifest.thresholds`.

    Args:
        probabilities: float (n, classes), calibrated, of images that the head was not trained on.
        labels: int (n,), their true classes.
        distances: (k,), of known images that are not among the reference features; NaN where not measured.
        classes: class names in label order.
        target_accuracy: accuracy of the predictions that are not uncertain, in (0, 1].
        measured_on: the source of `probabilities`.
        folds: number of folds if they are out-of-fold predictions: intervals are wider then.
    """
    return _uncertain(probabilities, labels, classes, target_accuracy, measured_on, folds) | _unknown(distances)


def _uncertain(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    target: float,
    measured_on: Measurement,
    folds: int,
) -> dict[str, Any]:
    images = len(labels)
    threshold = confidence_threshold(probabilities, labels, target)
    if threshold is None:
        reason = (
            f"{images} photos are too few to fit its threshold, at least {MIN_FOR_THRESHOLD} are needed"
            if images < MIN_FOR_THRESHOLD
            else f"no {MIN_FOR_THRESHOLD} or more of the most confident predictions for {images} photos are "
            f"{100 * target:.0f} % correct"
        )
        return {"uncertain": {"off": reason, "target_accuracy": target}}
    by_class = thresholds_by_class(probabilities, labels, target)
    fitted = {
        "confidence": threshold,
        "confidence_by_class": {classes[label]: value for label, value in by_class.items()},
    }
    judgements = judge_all(probabilities, None, classes, fitted)
    counts = count_marks(judgements, probabilities.argmax(axis=1) == labels, folds)
    return fitted | {
        "uncertain": {
            "target_accuracy": target,
            "accuracy": counts["accepted_accuracy"],
            "accuracy_interval": counts["accepted_accuracy_interval"],
            "coverage": counts["accepted"] / images,
            "images": images,
            "measured_on": measured_on,
        }
    }


def widen_distance(thresholds: Mapping[str, Any], distances: np.ndarray) -> dict[str, Any]:
    """Thresholds for a quantized network, whose features are somewhat farther from the reference features.

    Args:
        thresholds: those of the float32 network.
        distances: (n,), of validation images, with the quantized network.
    """
    quantized = distance_threshold(distances)
    if quantized is None or "distance" not in thresholds:
        return dict(thresholds)
    return dict(thresholds) | {"distance": max(quantized, thresholds["distance"])}


def _unknown(distances: np.ndarray) -> dict[str, Any]:
    distances = distances[~np.isnan(distances)]
    images = len(distances)
    threshold = distance_threshold(distances)
    if threshold is None:
        reason = f"{images} photos are too few to fit its threshold, at least {MIN_DISTANCES} are needed"
        return {"unknown": {"off": reason}}
    measured = {"false_alarm_rate": FALSE_ALARM_RATE, "images": images, "extrapolated": is_extrapolated(images)}
    return {"distance": threshold, "unknown": measured}


def judge_all(
    probabilities: np.ndarray, distances: np.ndarray | None, classes: Sequence[str], thresholds: Mapping[str, Any]
) -> list[Judgement]:
    """Marks of each prediction.

    Args:
        probabilities: float (n, classes).
        distances: (n,), from the training images; None if they are unknown.
        classes: class names in label order.
        thresholds: thresholds in the manifest.
    """
    labels, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    far = [None] * len(labels) if distances is None else distances.tolist()
    return [
        judge(classes[label], value, distance, thresholds)
        for label, value, distance in zip(labels.tolist(), confidence.tolist(), far, strict=True)
    ]


def marked_unknown(distances: np.ndarray | None, thresholds: Mapping[str, Any]) -> np.ndarray | None:
    """Whether each image is marked unknown: bool (n,); None if the model has no threshold or no reference features.

    Args:
        distances: (n,), from the training images, NaN where not measured; None if they are unknown.
        thresholds: thresholds in the manifest.
    """
    limit = thresholds.get("distance")
    return None if distances is None or limit is None else distances > limit


def count_marks(judgements: Sequence[Judgement], correct: np.ndarray, folds: int = 0) -> dict[str, Any]:
    """Number of images with each mark, and the predictions without one.

    Args:
        correct: bool (n,), whether each prediction is correct.
        folds: number of folds if these are out-of-fold predictions: the interval is wider then.

    Returns:
        unknown, uncertain, accepted: numbers of images, which add up to n. accepted_accuracy: accuracy of the accepted
        predictions, accepted_accuracy_interval: its 95 % interval; None if there are none.
    """
    unknown = sum(one.unknown for one in judgements)
    uncertain = sum(one.uncertain for one in judgements)
    accepted = correct[[not (one.unknown or one.uncertain) for one in judgements]]
    return {
        "unknown": unknown,
        "uncertain": uncertain,
        "accepted": len(accepted),
        "accepted_accuracy": float(accepted.mean()) if len(accepted) else None,
        "accepted_accuracy_interval": list(fraction_interval(int(accepted.sum()), len(accepted), folds))
        if len(accepted)
        else None,
    }
