"""Measured accuracy: how a model was evaluated, on how many images, and the 95 % interval of the result."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

Measurement = Literal["test", "cross_validation", "val"]
MEASUREMENTS: tuple[Measurement, ...] = ("test", "cross_validation", "val")
"""Evaluations of a model: on test images; on all training images, each predicted by a head trained without it; on
validation images, which also selected the hyperparameters."""

PHOTOS_OF: dict[str, str] = {
    "test": "test photos",
    "cross_validation": "photos in cross-validation",
    "val": "validation photos",
}

COMPARED_METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
"""Metrics by which models are compared."""

COMPARED_PHOTOS = ("shared", "all")
"""Photos by which models are compared: those of classes that both models know, or all of them."""

# 97.5th percentile of the normal distribution.
_Z = 1.959964


@dataclasses.dataclass(frozen=True)
class MeasuredAccuracy:
    """The accuracy of a model, with what is needed to judge it.

    Attributes:
        measurement: the evaluation it comes from.
        accuracy: fraction of correct predictions, in [0, 1].
        interval: its 95 % interval; None if the number of images is unknown.
        images: the number of images; None if unknown, for example after an import.
    """

    measurement: Measurement
    accuracy: float
    interval: tuple[float, float] | None
    images: int | None

    def __str__(self) -> str:
        """For example `89.7 % of 97 photos in cross-validation (95 % interval 81.0 to 94.7)`."""
        return with_interval(self.accuracy, self.interval, f" of {photos_measured(self.images, self.measurement)}")


def photos_measured(images: int | None, measurement: str) -> str:
    """The measured photos in words, such as `1 test photo` or `97 photos in cross-validation`."""
    photos = PHOTOS_OF.get(measurement, "photos")
    if images is None:
        return f"an unknown number of {photos}"
    return f"{images:,} {photos.replace('photos', 'photo') if images == 1 else photos}"


def leading_measurement(metrics: Mapping[str, Mapping[str, Any]], folds: int = 0) -> Measurement | None:
    """The evaluation that says most about the accuracy on new images; None if there is none.

    Of test images and cross-validation, the one with the narrower 95 % interval. The test images lead if their interval
    lies below that of cross-validation: they differ from the training images, as new ones may. Validation images count
    only if there is nothing else.

    Args:
        metrics: for each measurement its metrics, among them `accuracy`, `accuracy_interval` and `images`.
        folds: number of folds, for cross-validation that has no interval.
    """
    found = measured_accuracies(metrics, folds)
    test, cross_validation = found.get("test"), found.get("cross_validation")
    if test is None or cross_validation is None:
        return next((name for name in MEASUREMENTS if metrics.get(name)), None)
    if test.interval is None or cross_validation.interval is None:
        return "test" if test.interval is not None or cross_validation.interval is None else "cross_validation"
    differs = test.interval[1] < cross_validation.interval[0]
    return "test" if differs or _width(test.interval) <= _width(cross_validation.interval) else "cross_validation"


def leading_accuracy(metrics: Mapping[str, Mapping[str, Any]], folds: int = 0) -> MeasuredAccuracy | None:
    """The accuracy of the `leading_measurement`; None if no accuracy was measured."""
    found = measured_accuracies(metrics, folds)
    leading = leading_measurement(metrics, folds)
    return None if leading is None else found.get(leading)


def leading_summary(metrics: Mapping[str, Mapping[str, Any]], folds: int = 0) -> dict[str, Any]:
    """Accuracy and macro-F1 of the `leading_measurement` with their intervals, its images, and its name.

    Values that were not measured are None.
    """
    leading, accuracy = leading_measurement(metrics, folds), leading_accuracy(metrics, folds)
    values = metrics[leading] if leading else {}
    return {
        "measured_by": leading,
        "images": values.get("images"),
        "accuracy": accuracy and accuracy.accuracy,
        "accuracy_interval": accuracy and accuracy.interval,
        "macro_f1": values.get("macro_f1"),
        "macro_f1_interval": values.get("macro_f1_interval"),
    }


def measured_accuracies(
    metrics: Mapping[str, Mapping[str, Any]], folds: int = 0
) -> dict[Measurement, MeasuredAccuracy]:
    """The accuracy of each evaluation that has one; intervals that are missing are computed from the images."""
    return {
        name: _measured(name, metrics[name], folds if name == "cross_validation" else 0)
        for name in MEASUREMENTS
        if name in metrics and metrics[name].get("accuracy") is not None
    }


def _measured(name: Measurement, metrics: Mapping[str, Any], folds: int) -> MeasuredAccuracy:
    accuracy, images, interval = metrics["accuracy"], metrics.get("images"), metrics.get("accuracy_interval")
    if interval is None and images:
        interval = fraction_interval(accuracy * images, images, folds)
    return MeasuredAccuracy(name, accuracy, None if interval is None else (interval[0], interval[1]), images)


def with_interval(value: float, interval: tuple[float, float] | list[float] | None, count: str = "") -> str:
    """A fraction in [0, 1] as a percentage, followed by `count` and its 95 % interval in parentheses."""
    limits = f"95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f}" if interval else "interval unknown"
    return f"{100 * value:.1f} %{count} ({limits})"


def fraction_interval(successes: float, trials: float, folds: int = 0) -> tuple[float, float]:
    """95 % interval of a fraction of images: Wilson's, wider for the out-of-fold predictions of `folds` folds."""
    fraction = effective_fraction(folds)
    return wilson_interval(successes * fraction, trials * fraction)


def effective_fraction(folds: int) -> float:
    """Effective number of images in a confidence interval, per image: 1, or about 0.5 in cross-validation.

    The models of the folds are trained on largely the same images, so their errors are correlated. Nadeau and Bengio
    (2003) correct the variance of a mean over k folds from 1 / k to 1 / k + test images / training images, which is
    1 / k + 1 / (k - 1).

    Args:
        folds: k; below 2 there was no cross-validation.
    """
    return (folds - 1) / (2 * folds - 1) if folds > 1 else 1.0


def wilson_interval(successes: float, trials: float) -> tuple[float, float]:
    """95 % interval of a fraction (Wilson, 1927), also valid for few trials and for fractions near 0 and 1.

    `scipy.stats` has this interval for whole numbers only; with `effective_fraction` these are none.
    """
    fraction, spread = successes / trials, _Z**2 / trials
    center = (fraction + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(fraction * (1 - fraction) / trials + spread / (4 * trials)) / (1 + spread)
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == trials else center + half
    return low, high


def _width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]
