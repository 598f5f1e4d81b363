"""Schema of the manifest: types, ranges and lengths of every value that is read from it.

Code that reads a manifest relies on them. Options and metrics of other versions are kept, whatever they contain; JSON
limits how deep they are nested.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from model.config import RESIZE_MODES
from model.intensity import read_intensity
from model.reading import UnreadableError
from model.received import listed, quoted

MAX_MANIFEST_BYTES = 32 * 1024**2
"""Size of a manifest."""

_MAX_CLASSES = 100_000
_MAX_CLASS_NAME = 500
_MAX_TEXT = 1_000
_MAX_FILES = 10_000
_MAX_IMAGE_SIZE = 4096
_MAX_COUNT = 10**12
_MAX_PROBLEMS = 5
_SHA256 = re.compile("[0-9a-f]{64}")
_FRACTIONS = (
    "accuracy",
    "macro_f1",
    "balanced_accuracy",
    "calibration_error",
    "expected_calibration_error",
    "accepted_accuracy",
)
_MEASURED_TOGETHER = (("unknown", "images"), ("uncertain", "images"), ("accepted_accuracy", "accepted"))
"""Measurements that are shown together with another one."""
_COUNTS = ("images", "unknown", "uncertain", "accepted")

Check = Callable[[Any], bool]


def check_manifest(content: Mapping[str, Any]) -> None:
    """Check a manifest in the current format.

    Raises:
        UnreadableError: values are missing, or have another type, range or length; the message lists the first ones.
    """
    problems = [
        f"{name}: expected {expected}, received {quoted(content.get(name))}"
        for name, (check, expected) in _FIELDS.items()
        if not check(content.get(name))
    ]
    if problems:
        raise UnreadableError(listed(problems, "; ", _MAX_PROBLEMS))


def _is_text(value: Any, longest: int = _MAX_TEXT) -> bool:
    return isinstance(value, str) and len(value) <= longest


def _is_number(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and low <= value <= high


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_count(value: Any) -> bool:
    return _is_whole(value, 0, _MAX_COUNT)


def _is_fraction(value: Any) -> bool:
    return value is None or _is_number(value, 0, 1)


def _is_interval(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == 2 and all(_is_number(limit, 0, 1) for limit in value)
    )


def _is_object_of(value: Any, check: Check) -> bool:
    return isinstance(value, dict) and all(_is_text(key) and check(item) for key, item in value.items())


def _are_classes(value: Any) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_CLASSES:
        return False
    return all(name and _is_text(name, _MAX_CLASS_NAME) for name in value) and len(set(value)) == len(value)


def _are_files(value: Any) -> bool:
    return isinstance(value, dict) and len(value) <= _MAX_FILES and all(_is_file(*item) for item in value.items())


def _is_file(path: str, record: Any) -> bool:
    is_inside = 0 < len(path) <= _MAX_TEXT and "\0" not in path and not {"", ".", ".."} & set(path.split("/"))
    if not is_inside or not isinstance(record, dict) or record.keys() != {"sha256", "size"}:
        return False
    sha256, size = record["sha256"], record["size"]
    return isinstance(sha256, str) and _SHA256.fullmatch(sha256) is not None and _is_count(size)


def _is_dataset(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if not _is_count(value.get("folds") or 0):
        return False
    counts = value.get("counts", {})
    return _is_object_of(counts, lambda classes: _is_object_of(classes, _is_count)) and all(
        _is_text(value.get(name, ""), 10 * _MAX_TEXT) for name in ("path", "layout", "fingerprint")
    )


def _are_metrics(value: Any) -> bool:
    return _is_object_of(value, _is_measurement)


def _is_measurement(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    fractions = all(_is_fraction(value.get(name)) for name in _FRACTIONS)
    intervals = all(_is_interval(item) for name, item in value.items() if name.endswith("_interval"))
    counts = all(value.get(name) is None or _is_count(value[name]) for name in _COUNTS)
    rows = value.get("per_class", [])
    is_complete = all(value.get(name) is None or value.get(other) is not None for name, other in _MEASURED_TOGETHER)
    return (
        is_complete and fractions and intervals and counts and isinstance(rows, list) and all(map(_is_class_row, rows))
    )


def _is_class_row(row: Any) -> bool:
    if not isinstance(row, dict) or not _is_text(row.get("class")):
        return False
    return all(_is_number(row.get(name), 0, 1) for name in ("precision", "recall", "f1")) and _is_count(
        row.get("support")
    )


def _are_thresholds(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    numbers = all(value.get(name) is None or _is_number(value[name]) for name in ("confidence", "distance"))
    fitted = _is_fitted_unknown(value.get("unknown")) and _is_fitted_uncertain(value.get("uncertain"))
    return numbers and fitted and _is_object_of(value.get("confidence_by_class") or {}, _is_number)


def _is_fitted_unknown(value: Any) -> bool:
    if _is_off(value):
        return True
    return (
        isinstance(value, dict) and _is_number(value.get("false_alarm_rate"), 0, 1) and _is_count(value.get("images"))
    )


def _is_fitted_uncertain(value: Any) -> bool:
    if _is_off(value):
        return True
    if not isinstance(value, dict) or not _is_text(value.get("measured_on")) or not _is_count(value.get("images")):
        return False
    fractions = all(_is_number(value.get(name), 0, 1) for name in ("accuracy", "coverage"))
    return fractions and _is_interval(value.get("accuracy_interval"))


def _is_off(value: Any) -> bool:
    """Whether a mark is not fitted, by a model of an older version, or off for the stated reason."""
    return value is None or value == {} or (isinstance(value, dict) and _is_text(value.get("off")))


def _is_intensity(value: Any) -> bool:
    try:
        read_intensity(value)
    except (ValueError, OverflowError):
        return False
    return True


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_parity(value: Any) -> bool:
    return _is_object_of(value, lambda number: number is None or _is_number(number))


_SHORT: tuple[Check, str] = (_is_text, f"a text of at most {_MAX_TEXT:,} characters")
_FIELDS: Mapping[str, tuple[Check, str]] = {
    **dict.fromkeys(("name", "created", "backbone", "scaling", "engine", "precision"), _SHORT),
    "classes": (_are_classes, f"distinct names of at most {_MAX_CLASS_NAME} characters"),
    "resize": (lambda value: value in RESIZE_MODES, f"one of {', '.join(RESIZE_MODES)}"),
    "image_size": (lambda value: _is_whole(value, 1, _MAX_IMAGE_SIZE), f"1 to {_MAX_IMAGE_SIZE}"),
    "temperature": (lambda value: _is_number(value, 1e-9, 1e9), "a number above 0"),
    "versions": (lambda value: _is_object_of(value, _is_text), "an object of texts"),
    "train_config": (_is_object, "an object of options"),
    "dataset": (_is_dataset, "an object with the numbers of images by split and class in `counts`"),
    "metrics": (_are_metrics, "an object of measurements, with fractions from 0 to 1 and numbers of images"),
    "thresholds": (_are_thresholds, "an object of numbers"),
    "parity": (_is_parity, "an object of numbers"),
    "intensity": (_is_intensity, "full, or an object with the numbers low and high"),
    "files": (_are_files, "paths inside the model, each with its sha256 and size"),
}
