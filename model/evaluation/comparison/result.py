"""Result of a comparison: differences by kind of photo and by class, the limit, and the conclusion as a sentence."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from model import durable
from model.dataset.verdict import Rejected
from model.evaluation.comparison.gate import Gate, Photos
from model.evaluation.comparison.photos import ComparedPhotos
from model.evaluation.comparison.statistics import PairedDifference, images_needed
from model.evaluation.metrics import ReliabilityBin
from model.evaluation.significance import SIGNIFICANCE
from model.shown import counted

Verdict = Literal["better", "worse", "undecided"]

METRIC_NAMES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
PHOTOS_IN_WORDS: dict[Photos, str] = {
    "shared": "of classes that both models know",
    "new": "of classes that only the new model knows",
    "base": "of classes that only the base model knows",
    "all": "of all classes",
}
_DETECTABLE = 0.02


@dataclasses.dataclass(frozen=True)
class Row:
    """Both models on one kind of photos.

    Attributes:
        difference: the metric of both models, and their difference.
        base_unknown, new_unknown: photos that the model marks unknown; None for a model that marks none.
    """

    difference: PairedDifference
    base_unknown: int | None
    new_unknown: int | None


@dataclasses.dataclass(frozen=True)
class ClassDifference:
    """Recall of both models for one class.

    Attributes:
        name: name of the class.
        images: number of its photos.
        base_recall, new_recall: fraction predicted correctly; None for a model that does not know the class.
        base_interval, new_interval: 95 % intervals.
        fixed, broken: photos that only the new model, or only the base model, predicts correctly.
        p_value: of the exact test of McNemar, corrected for the number of classes (Holm); None unless both models know
            the class.
    """

    name: str
    images: int
    base_recall: float | None
    base_interval: tuple[float, float] | None
    new_recall: float | None
    new_interval: tuple[float, float] | None
    fixed: int
    broken: int
    p_value: float | None

    @property
    def is_significant(self) -> bool:
        """Whether the recalls differ by more than chance."""
        return self.p_value is not None and self.p_value < SIGNIFICANCE


@dataclasses.dataclass(frozen=True)
class Pair:
    """The base model and one new model.

    Attributes:
        base, new: names of the models.
        rows: by kind of photos, as far as there are such photos.
        per_class: by class, in the order of the base model's classes, then those of the new model.
        p_value: of the gate's row, corrected for the number of new models (Holm).
        gate: the metric, the photos and the limit.
    """

    base: str
    new: str
    rows: Mapping[Photos, Row]
    per_class: tuple[ClassDifference, ...]
    p_value: float
    gate: Gate

    @property
    def difference(self) -> PairedDifference:
        """The difference on the photos of the gate."""
        return self.rows[self.gate.on].difference

    @property
    def verdict(self) -> Verdict:
        """Whether the new model is better or worse by more than chance."""
        return verdict_of(self.difference, self.p_value)

    @property
    def is_kept(self) -> bool | None:
        """Whether the new model keeps the limit; None without a limit."""
        return self.gate.is_kept(self.difference)

    @property
    def sentence(self) -> str:
        """The conclusion."""
        found, metric = self.difference, METRIC_NAMES[self.gate.metric]
        photos = f"{counted(found.images, 'photo')} {PHOTOS_IN_WORDS[self.gate.on]}"
        low, high = (100 * limit for limit in found.interval)
        interval = f"(95 % interval {low:.1f} to {high:.1f}, {self._chance})"
        points = 100 * found.difference
        if self.verdict != "undecided":
            return (
                f"{self.new} is {self.verdict} than {self.base}: {abs(points):.1f} points of {metric} "
                f"{interval}, on {photos}."
            )
        return (
            f"No difference between {self.new} and {self.base} can be detected on {photos}: {points:+.1f} points of "
            f"{metric} {interval}{self._photos_needed()}."
        )

    @property
    def _chance(self) -> str:
        """The p-value in words; the interval is that of this pair alone."""
        words = f"p {self.p_value:.2g}"
        if self.p_value > self.difference.p_value:
            words += ", corrected for the number of new models"
        low, high = self.difference.interval
        # Only where the test, which is exact, and the bootstrap are close to the limit.
        return f"{words}, which decides" if self.verdict == "undecided" and not low <= 0 <= high else words

    @property
    def limit_sentence(self) -> str:
        """Whether the limit is kept; empty without one."""
        limit = self.gate.max_regression
        if limit is None:
            return ""
        lowest = self.difference.interval[0] if self.gate.confident else self.difference.difference
        what = "The 95 % interval of the difference reaches" if self.gate.confident else "The difference is"
        kept = "keeps" if self.is_kept else "exceeds"
        return f"{what} {100 * lowest:+.1f} points, which {kept} the limit of -{100 * limit:.1f}."

    def to_json(self) -> dict[str, Any]:
        """The pair as JSON types, as docs/comparison.schema.json describes it."""
        rows = {name: _row_json(row) for name, row in self.rows.items()}
        return {
            "new": self.new,
            "sentence": self.sentence,
            "verdict": self.verdict,
            "difference": self.difference.difference,
            "interval": list(self.difference.interval),
            "p_value": self.p_value,
            "kept": self.is_kept,
            "rows": rows,
            "per_class": [_class_json(row) for row in self.per_class],
        }

    def _photos_needed(self) -> str:
        """The number of photos as a part of the sentence; empty if it is reached, or unknown for the metric."""
        if self.gate.metric != "accuracy":
            return ""
        detectable = self.gate.max_regression or _DETECTABLE
        # A group counts once, however many photos it has.
        photos_per_unit = self.difference.images / self.difference.units
        needed = images_needed(self.difference.discordant, detectable) * photos_per_unit
        if needed <= self.difference.images:
            return ""
        rounded = int(float(f"{needed:.2g}"))
        return f"; to detect {100 * detectable:.3g} points, about {rounded:,} photos are needed"


def verdict_of(difference: PairedDifference, p_value: float) -> Verdict:
    """Whether a new model is better or worse by more than chance: by its interval, and by the test."""
    if p_value >= SIGNIFICANCE:
        return "undecided"
    low, high = difference.interval
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


@dataclasses.dataclass(frozen=True, eq=False)
class ModelAnswers:
    """Predictions of one model for the compared photos.

    Attributes:
        predicted: class names, one per photo.
        confidence: float (n,), their probabilities.
        unknown: bool (n,), whether a photo is marked unknown; None for a model that marks none.
    """

    predicted: tuple[str, ...]
    confidence: np.ndarray
    unknown: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class ComparedModel:
    """A model of a comparison, with its cost and its calibration.

    Attributes:
        name, backbone: name of the model, and of its backbone.
        image_size: height and width of its input in pixels.
        classes: number of classes.
        megabytes: size of the network file in MB.
        milliseconds: median time for one decoded photo, with all models in turn on this machine.
        reliability: predictions grouped by confidence, on the photos of classes that all models know, or else of those
            that this model knows.
        calibration_error: calibration error on the same photos; None if there are none.
        calibration_interval: its 95 % interval.
    """

    name: str
    backbone: str
    image_size: int
    classes: int
    megabytes: float
    milliseconds: float
    reliability: tuple[ReliabilityBin, ...]
    calibration_error: float | None
    calibration_interval: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Models compared with a base model on the same photos.

    Attributes:
        base: name of the base model.
        dataset: the dataset, as the user can find it.
        gate: metric, photos and limit.
        photos: the photos and what was left out; None if there was nothing to compare.
        true_of: true class of each photo that could be read.
        names: name of each photo that could be read.
        models: by name, the base model first.
        answers: by name of the model.
        pairs: one for each new model.
        grouped: whether photos of one group were resampled together.
        unreadable: photos that could not be read.
        warnings: problems of the dataset and of the selection of photos, a sentence each.
        same: names of new models that are the base model itself.
        decision: why a promotion was made or not, as a sentence; empty without one.
    """

    base: str
    dataset: str
    gate: Gate
    photos: ComparedPhotos | None = None
    true_of: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    models: Mapping[str, ComparedModel] = dataclasses.field(default_factory=dict)
    answers: Mapping[str, ModelAnswers] = dataclasses.field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()
    grouped: bool = False
    unreadable: tuple[Rejected, ...] = ()
    warnings: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    decision: str = ""

    @property
    def best(self) -> str:
        """The new model that is better than the base model by most and keeps the limit; else the base model.

        Always the base model on photos that cannot decide it.
        """
        better = [
            pair
            for pair in self.pairs
            if pair.verdict == "better" and pair.is_kept is not False and not self.doubt(pair.new)
        ]
        return max(better, key=lambda pair: pair.difference.difference).new if better else self.base

    @property
    def is_decidable(self) -> bool:
        """Whether the photos can show which model is better: no model was trained or tuned on them."""
        return self.photos is None or self.photos.split != "val"

    def doubt(self, new: str) -> str:
        """Why the photos cannot show that a new model is better, as a part of a sentence; empty if they can."""
        if not self.is_decidable:
            return "a model was trained or tuned on them"
        if self.photos is not None and new in self.photos.unrecorded:
            return _unrecorded(new)
        return ""

    @property
    def is_kept(self) -> bool:
        """Whether every new model keeps the limit; photos that cannot decide it do not show that."""
        has_limit = self.gate.max_regression is not None
        return (self.is_decidable or not has_limit) and all(pair.is_kept is not False for pair in self.pairs)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The conclusions, one for each new model, and one for each model whose photos are not known."""
        same = tuple(
            f"{name} is {self.base} itself: there is nothing to compare."
            if name == self.base
            else f"{name} has the same files as {self.base}: there is nothing to compare."
            for name in self.same
        )
        caveats = tuple(
            f"{_unrecorded(name)}: its result may be too optimistic."
            for name in (self.photos.unrecorded if self.photos else ())
        )
        return (*same, *(pair.sentence for pair in self.pairs), *caveats)

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain JSON types: `comparison.json`, described by docs/comparison.schema.json."""
        content = {
            "status": "done",
            "base": self.base,
            "dataset": self.dataset,
            "split": None if self.photos is None else self.photos.split,
            "images": len(self.names),
            "grouped": self.grouped,
            **dataclasses.asdict(self.gate),
            "kept": self.is_kept if self.gate.max_regression is not None else None,
            "best": self.best,
            "sentences": list(self.sentences),
            "decision": self.decision,
            "comparisons": [pair.to_json() for pair in self.pairs],
            "models": [_model_json(model) for model in self.models.values()],
            "left_out": None if self.photos is None else self.photos.to_json(),
            "unreadable": [dataclasses.asdict(item) for item in self.unreadable],
            "warnings": list(self.warnings),
        }
        plain: dict[str, Any] = durable.to_json(content)
        return plain


def _row_json(row: Row) -> dict[str, Any]:
    content = dataclasses.asdict(row.difference) | {"base_unknown": row.base_unknown, "new_unknown": row.new_unknown}
    # Internal: only the number of photos needed is computed from it.
    del content["units"]
    return content


def _class_json(row: ClassDifference) -> dict[str, Any]:
    content = dataclasses.asdict(row) | {"significant": row.is_significant}
    return {"class": content.pop("name")} | content


def _model_json(model: ComparedModel) -> dict[str, Any]:
    content = dataclasses.asdict(model)
    del content["reliability"]
    return content


def _unrecorded(name: str) -> str:
    return f"{name} was trained on this dataset, and did not record which of its photos it learned from"
