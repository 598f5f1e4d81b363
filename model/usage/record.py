"""Usage counts of a model: of bounded size, and additive over workers and days."""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from model.results import Prediction
from model.usage.sample import Sample

BINS = 20
"""Number of bins of a confidence histogram over [0, 1]."""

UNKNOWN, UNCERTAIN = "features", "confidence"
"""Criteria of `Record.marks`."""

LAST_STEP = 101
"""Step of the longest durations, more than an hour; see `step_of`."""

_SHORTEST = 1e-4
_STEPS_PER_DOUBLING = 4
_FORMAT = 1
_LARGEST = 2**53


@dataclasses.dataclass
class Record:
    """Usage counts of one model, usually of one day.

    Attributes:
        photos: number of classified photos.
        unreadable: number of images in zips that could not be read.
        confidence: predicted class -> confidence histogram of its predictions, `BINS` counts.
        marks: criterion -> number of marked photos: `features` for unknown, `confidence` for uncertain. Days counted by
            an older version also have `confidence and features`, for photos that were unknown by both.
        answers: format of the answer -> number of requests.
        errors: HTTP status -> number of refused requests.
        durations: answer format of requests with one photo, or `zip` -> step (`step_of`) -> number of requests.
        sample: sample of the photos; a row has the distance from the training images, then feature components.
    """

    photos: int = 0
    unreadable: int = 0
    confidence: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    marks: Counter[str] = dataclasses.field(default_factory=Counter)
    answers: Counter[str] = dataclasses.field(default_factory=Counter)
    errors: Counter[str] = dataclasses.field(default_factory=Counter)
    durations: dict[str, Counter[int]] = dataclasses.field(default_factory=dict)
    sample: Sample = dataclasses.field(default_factory=Sample)

    def add_prediction(self, prediction: Prediction) -> None:
        """Count the prediction for one image."""
        if prediction.error is not None:
            self.unreadable += 1
            return
        self.photos += 1
        bins = self.confidence.setdefault(prediction.labels[0], [0] * BINS)
        bins[min(BINS - 1, int(BINS * prediction.probabilities[0]))] += 1
        if prediction.unknown:
            self.marks[UNKNOWN] += 1
        if prediction.uncertain:
            self.marks[UNCERTAIN] += 1
        if prediction.distance is not None and prediction.components is not None:
            self.sample.add((prediction.distance, *prediction.components))

    def add_answer(self, form: str, seconds: float, is_zip: bool) -> None:
        """Count a request that was answered."""
        self.answers[form] += 1
        self.durations.setdefault("zip" if is_zip else form, Counter())[step_of(seconds)] += 1

    def add_error(self, status: int) -> None:
        """Count a request that was refused."""
        self.errors[str(status)] += 1

    def merge(self, other: "Record") -> None:
        """Add another record to this one."""
        self.photos += other.photos
        self.unreadable += other.unreadable
        for label, counts in other.confidence.items():
            present = self.confidence.get(label, [0] * BINS)
            self.confidence[label] = [one + more for one, more in zip(present, counts, strict=True)]
        self.marks += other.marks
        self.answers += other.answers
        self.errors += other.errors
        for form, steps in other.durations.items():
            self.durations.setdefault(form, Counter()).update(steps)
        self.sample.merge(other.sample)

    def to_json(self) -> dict[str, Any]:
        """The record as one JSON object."""
        return {
            "format": _FORMAT,
            "photos": self.photos,
            "unreadable": self.unreadable,
            "confidence": self.confidence,
            "unknown": self.marks,
            "answers": self.answers,
            "errors": self.errors,
            "durations": self.durations,
            "sample": self.sample.rows,
        }

    @classmethod
    def from_json(cls, content: Any) -> "Record":
        """Convert an object written by `to_json` back to a record.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: the object is not a record.
        """
        if content["format"] != _FORMAT:
            raise ValueError(f"expected format {_FORMAT}, received {content['format']!r}")
        return cls(
            _count(content["photos"]),
            _count(content["unreadable"]),
            {label: _bins(counts) for label, counts in content["confidence"].items()},
            _counter(content["unknown"]),
            _counter(content["answers"]),
            _counter(content["errors"]),
            {form: _steps(steps) for form, steps in content["durations"].items()},
            Sample(_rows(content["sample"])),
        )


def step_of(seconds: float) -> int:
    """Step of a duration on a logarithmic scale, from 0 to `LAST_STEP`.

    Each step is a fifth longer than the one before, so that quantiles have a relative error of at most a tenth.
    """
    return min(LAST_STEP, max(0, math.floor(_STEPS_PER_DOUBLING * math.log2(max(seconds, _SHORTEST) / _SHORTEST))))


def quantile(counts: Mapping[int, int], fraction: float) -> float | None:
    """A quantile of durations in seconds, with a relative error of a tenth; None if there are none.

    Args:
        counts: step -> number of requests.
        fraction: in [0, 1].
    """
    remaining = fraction * sum(counts.values())
    for step in sorted(counts):
        remaining -= counts[step]
        if remaining <= 0:
            return float(_SHORTEST * 2 ** ((step + 0.5) / _STEPS_PER_DOUBLING))
    return None


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise ValueError(f"expected a count, received {value!r}")
    return value


def _counter(counts: Any) -> Counter[str]:
    return Counter({name: _count(count) for name, count in counts.items()})


def _bins(counts: Any) -> list[int]:
    if len(counts) != BINS:
        raise ValueError(f"expected {BINS} counts, received {len(counts)}")
    return [_count(count) for count in counts]


def _steps(counts: Any) -> Counter[int]:
    steps = Counter({int(step): _count(count) for step, count in counts.items()})
    if not all(0 <= step <= LAST_STEP for step in steps):
        raise ValueError(f"expected steps from 0 to {LAST_STEP}, received {sorted(steps)}")
    return steps


def _rows(rows: Any) -> list[tuple[int, ...]]:
    found = [tuple(row) for row in rows]
    if len({len(row) for row in found}) > 1 or not all(type(value) is int for row in found for value in row):
        raise ValueError("expected a sample of rows of as many whole numbers each")
    return found
