"""The marks `unknown` and `uncertain` of a model in sentences, for the command line, the report and the model card."""

from collections.abc import Mapping, Sequence
from typing import Any

from model.measurements import PHOTOS_OF
from model.shown import counted


def mark_sentences(thresholds: Mapping[str, Any]) -> list[str]:
    """What each mark means for this model, by the numbers it was fitted with.

    Args:
        thresholds: `model.bundle.Manifest.thresholds`.

    Returns:
        No sentences for a model of an older version, which does not state how its thresholds were fitted.
    """
    sentences = []
    if unknown := thresholds.get("unknown"):
        sentences.append(_unknown_sentence(unknown))
    if uncertain := thresholds.get("uncertain"):
        sentences.append(_uncertain_sentence(uncertain))
    return sentences


def _unknown_sentence(unknown: Mapping[str, Any]) -> str:
    if "off" in unknown:
        return f"unknown is off: {unknown['off']}"
    fitted = "extrapolated from only" if unknown.get("extrapolated") else "measured on"
    rate = _percentage(unknown["false_alarm_rate"])
    return (
        f"unknown marks out-of-distribution photos; false alarms: about {rate} of photos of the known classes, "
        f"{fitted} {counted(unknown['images'], 'photo')}"
    )


def _uncertain_sentence(uncertain: Mapping[str, Any]) -> str:
    if "off" in uncertain:
        return f"uncertain is off: {uncertain['off']}"
    return (
        f"uncertain marks predictions of low confidence; the others are {_percentage(uncertain['accuracy'])} correct"
        f"{_interval(uncertain.get('accuracy_interval'))}, on {_percentage(uncertain['coverage'])} of "
        f"{uncertain['images']} {PHOTOS_OF.get(uncertain['measured_on'], 'photos')}, on which its threshold was chosen"
    )


def marks_line(metrics: Mapping[str, Any], measurement: str) -> str:
    """How many photos each mark takes, such as `unknown: 1 of 97 test photos; uncertain: 20 of 97`.

    Args:
        metrics: of one measurement; without these numbers, as of an older version, the line is empty.
        measurement: `test`, `cross_validation` or `val`; another one is a set of photos.
    """
    if metrics.get("unknown") is None or metrics.get("uncertain") is None:
        return ""
    images, photos = metrics["images"], PHOTOS_OF.get(measurement, "photos")
    line = f"unknown: {metrics['unknown']} of {images} {photos}; uncertain: {metrics['uncertain']} of {images}"
    accuracy = metrics.get("accepted_accuracy")
    if accuracy is None:
        return line
    interval = _interval(metrics.get("accepted_accuracy_interval"))
    return f"{line}; {_percentage(accuracy)} of the other {metrics['accepted']} correct{interval}"


def _interval(limits: Sequence[float] | None) -> str:
    return f" (95 % interval {100 * limits[0]:.0f} to {100 * limits[1]:.0f})" if limits else ""


def _percentage(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"
