"""Accuracy by number of training photos: which classes would gain from more photos."""

import dataclasses
import functools

import numpy as np

from model.evaluation.resampling import PERCENTILES, RESAMPLES, resample
from model.evaluation.significance import SIGNIFICANCE, holm, sign_p_value
from model.measurements import effective_fraction, fraction_interval, wilson_interval

FRACTIONS = (1 / 8, 1 / 4, 1 / 2)
DRAWS = 3
MIN_PHOTOS = 30
_MIN_OF_CLASS = 5
_NAMED = 3
# Below, a class loses hardly a photo in a hundred.
_GOOD_RECALL = 0.98
_LOW_RECALL = 0.88
# More photos are of little use where a larger gain is excluded.
_LITTLE_GAIN = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class LearningCurve:
    """Predictions of heads that were trained on parts of the training photos.

    Attributes:
        classes: class names in label order.
        photos: number of training photos of each size, increasing; the last one has all that a head is trained on,
            which are four fifths of the training photos with five folds.
        labels: int (n,), the true classes of the measured photos.
        correct: float (sizes, n): fraction of the draws of a size whose head predicted the photo correctly.
        measured_on: the measured photos, such as `validation and test photos`.
        folds: number of folds if they are out-of-fold predictions: intervals are wider then.
    """

    classes: tuple[str, ...]
    photos: tuple[int, ...]
    labels: np.ndarray
    correct: np.ndarray
    measured_on: str
    folds: int = 0

    def accuracy(self, label: int | None = None) -> list[tuple[float, tuple[float, float]]]:
        """Accuracy with its 95 % interval for each size; with `label`, the recall of that class."""
        chosen = self.correct if label is None else self.correct[:, self.labels == label]
        images = chosen.shape[1]
        return [(float(hits / images), fraction_interval(hits, images, self.folds)) for hits in chosen.sum(axis=1)]

    def gain(self, label: int | None = None) -> tuple[float, tuple[float, float]]:
        """Accuracy, or recall of a class, with all photos minus that with half of them, and its 95 % interval.

        By the paired bootstrap: both are measured on the same photos. If no photo was lost, no resample shows how many
        could be: the interval then reaches as far below the gain as that of a fraction of 0 reaches above 0; likewise
        if none was gained.
        """
        return self._gain_of_all if label is None else self._gain(self.labels == label)

    @functools.cached_property
    def _gain_of_all(self) -> tuple[float, tuple[float, float]]:
        return self._gain(np.ones(len(self.labels), bool))

    @functools.cached_property
    def class_gains(self) -> tuple["ClassGain", ...]:
        """The classes that were measured on a few photos at least, by their gain, largest first."""
        # Several sections need them.
        measured = [
            (label, images)
            for label in range(len(self.classes))
            if (images := int((self.labels == label).sum())) >= _MIN_OF_CLASS
        ]
        p_values = holm([sign_p_value(self._gains[self.labels == label]) for label, _ in measured])
        found = []
        for (label, images), p_value in zip(measured, p_values, strict=True):
            recalls, (gain, interval) = self.accuracy(label), self.gain(label)
            found.append(ClassGain(self.classes[label], images, recalls[-2][0], *recalls[-1], gain, interval, p_value))
        return tuple(sorted(found, key=lambda row: (-row.gain, row.recall)))

    @property
    def is_beyond_chance(self) -> bool:
        """Whether all classes together gained beyond chance: by the interval of the gain, and by a sign test."""
        return self.gain()[1][0] > 0 and sign_p_value(self._gains) < SIGNIFICANCE

    @property
    def _gains(self) -> np.ndarray:
        """Gain of each measured photo, float (n,): its accuracy with all photos minus that with half of them."""
        gains: np.ndarray = self.correct[-1] - self.correct[-2]
        return gains

    def _gain(self, photos: np.ndarray) -> tuple[float, tuple[float, float]]:
        chosen = self._gains[photos]
        # Photos of the same gain are one cell: there are few different gains, however many photos.
        gains, counts = np.unique(chosen, return_counts=True)
        drawn = resample(counts, 0, RESAMPLES) @ gains / len(chosen)
        mean = float(chosen.mean())
        low, high = mean + (np.percentile(drawn, PERCENTILES) - mean) / np.sqrt(effective_fraction(self.folds))
        # Folds depend on each other: they tell less than as many independent photos.
        _, margin = wilson_interval(0, len(chosen) * effective_fraction(self.folds))
        low = min(low, mean - margin) if chosen.min() >= 0 else low
        high = max(high, mean + margin) if chosen.max() <= 0 else high
        return mean, (max(float(low), -1.0), min(float(high), 1.0))


@dataclasses.dataclass(frozen=True)
class ClassGain:
    """What more photos did for one class: recall with half and with all photos, and the gain with its interval.

    `p_value` is that of the sign test of the gain, corrected for the number of classes (Holm).
    """

    name: str
    images: int
    half: float
    recall: float
    recall_interval: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]
    p_value: float

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the class gained beyond chance: by the interval of the gain, and by the test."""
        return self.gain_interval[0] > 0 and self.p_value < SIGNIFICANCE


def collect_advice(curve: LearningCurve) -> str:
    """Sentence that names the classes to collect photos of first, or says that none would gain beyond chance.

    Classes are named if the interval of their own gain excludes 0. One that the corrected test doubts is named, with
    that doubt, where all classes together gained beyond chance.
    """
    all_gained = curve.is_beyond_chance
    collect = [
        row
        for row in curve.class_gains
        if row.recall < _GOOD_RECALL and row.gain_interval[0] > 0 and (row.is_beyond_chance or all_gained)
    ][:_NAMED]
    if not collect:
        all_would = all_gained and curve.accuracy()[-1][0] < _GOOD_RECALL
        return _COLLECT_ALL if all_would else _COLLECT_NONE
    uncertain = [row for row in collect if not row.is_beyond_chance]
    doubt = ""
    if uncertain:
        which = _names(uncertain) if len(uncertain) < len(collect) or len(collect) == 1 else "each class by itself"
        doubt = f", though for {which} the photos measured are too few to exclude chance"
    whose = "its" if len(collect) == 1 else "their"
    return f"Collect more photos of {_names(collect)} first: {whose} recall still rose with more photos{doubt}."


_COLLECT_NONE = "No class can be named that more photos of the same kind would improve beyond chance."
_COLLECT_ALL = (
    "Collect more photos of all classes: together they still gained beyond chance, though none can be named by its own "
    "gain."
)


def advice(curve: LearningCurve) -> list[str]:
    """Sentences: what doubling the photos did, which classes to collect first, and which gained nothing."""
    gain, interval = curve.gain()
    doubled = f"From {curve.photos[-2]:,} to {curve.photos[-1]:,} training photos, the accuracy changed by"
    sentences = [f"{doubled} {_points(gain)} points (95 % interval {_points(interval[0])} to {_points(interval[1])})."]
    sentences.append(collect_advice(curve))
    rows = curve.class_gains
    little = sorted(
        (row for row in rows if row.gain_interval[1] < _LITTLE_GAIN), key=lambda row: (row.gain, row.recall)
    )
    if little:
        limit = f"{100 * _LITTLE_GAIN:.0f} points of recall"
        sentences.append(f"{_names(little[:_NAMED])} gained little from more photos: less than {limit}.")
    poor = [row for row in little if row.recall_interval[1] < _LOW_RECALL][:_NAMED]
    if poor:
        sentences.append(f"Check the labels of {_names(poor)}: recall is low, and more photos helped little.")
    return sentences


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}".replace("-", "\N{MINUS SIGN}")


def _names(rows: list[ClassGain]) -> str:
    names = [row.name for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
