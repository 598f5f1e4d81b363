"""The results of trainings, hyperparameter searches and imports, as Python objects and as JSON."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from model import durable, schema
from model.config import TrainConfig, non_default_options

# They say which training this is, not how a model is made.
_OF_ONE_TRAINING = ("name", "resume", "queue", "auto_resume", "preset", "tune_minutes", "tune_backbones")
_SUMMARY = ("images", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval")
_MARKS = ("unknown", "uncertain", "accepted", "accepted_accuracy", "accepted_accuracy_interval")


@dataclasses.dataclass(frozen=True)
class TuningRow:
    """One backbone, with the best options that were found for it.

    Attributes:
        options: options that differ from those at the start of the search.
        trials: the number of candidates with this backbone.
        loss: calibrated cross-entropy in nats on held-out images.
        accuracy, macro_f1: on the same images, in [0, 1], each with its 95 % interval.
        latency_ms, size_mb: see `model.tuning.trials.MeasuredBackbone`.
        chosen: whether these options were chosen.
    """

    backbone: str
    options: dict[str, Any]
    trials: int
    loss: float
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float
    macro_f1_interval: tuple[float, float]
    latency_ms: float
    size_mb: float
    chosen: bool


@dataclasses.dataclass(frozen=True)
class Tuning:
    """A hyperparameter search: the candidates and the choice.

    Attributes:
        config: all options to train with, the chosen ones among them.
        rows: a row for each backbone that was tried.
        left_out: backbone -> the reason why it was not tried.
        reason: the reason for the choice, a sentence.
        trials: the number of candidates.
        images: the number of images they were measured on.
        seconds: the duration of the search, without interruptions.
    """

    config: TrainConfig
    rows: tuple[TuningRow, ...]
    left_out: dict[str, str]
    reason: str
    trials: int
    images: int
    seconds: float

    @property
    def options(self) -> dict[str, Any]:
        """The options of `config` that differ from their defaults."""
        return non_default_options(self.config)

    @property
    def chosen_options(self) -> dict[str, Any]:
        """The `options` to train other models with: without the name of this one, and those of the search."""
        return {name: value for name, value in self.options.items() if name not in _OF_ONE_TRAINING}

    def to_json(self) -> dict[str, Any]:
        """The search as plain JSON types; of `config` only the options that differ from their defaults."""
        content = {"options": self.options} | _fields_of(self, leave_out=("config",))
        plain: dict[str, Any] = durable.to_json(content | {"rows": [dataclasses.asdict(row) for row in self.rows]})
        return plain

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "Tuning":
        """The search that `to_json` wrote."""
        config = schema.load(TrainConfig, answer["options"])
        return cls(config=config, **_known(cls, answer) | {"rows": tuple(map(_row_from_json, answer["rows"]))})


@dataclasses.dataclass(frozen=True)
class TuningResult:
    """The result of a search that trains nothing.

    Attributes:
        tuning: the candidates and the choice.
        warnings: problems of the dataset, a sentence each.
        seconds: the duration, checks of the dataset included.
    """

    tuning: Tuning
    warnings: tuple[str, ...]
    seconds: float

    @property
    def options(self) -> dict[str, Any]:
        """The chosen options that differ from their defaults: `topgraft.train(**result.options)` trains with them."""
        return self.tuning.chosen_options

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON types."""
        return {
            "status": "done",
            "warnings": list(self.warnings),
            "seconds": self.seconds,
            "tuning": self.tuning.to_json(),
        }


@dataclasses.dataclass(frozen=True)
class Uploaded:
    """An archive of a model in remote storage: its path, sha256, size in bytes, and the seconds of the upload."""

    place: str
    sha256: str
    size: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class TrackedRun:
    """A run on an MLflow server: its experiment, id and page, and the registered model with its version."""

    experiment: str
    run_id: str
    url: str
    registered_model: str
    version: str


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """A trained model and its metrics.

    Attributes:
        model: the name of the model.
        path: the folder of the model.
        metrics: `val`, and `test` or `cross_validation` -> images, accuracy and macro_f1 with their 95 % intervals, and
            the numbers of images marked as unknown and as uncertain, of the others, and their accuracy.
        marks: what the marks unknown and uncertain mean for this model, a sentence each.
        warnings: problems of the dataset and of the training, a sentence each.
        seconds: the duration of the training.
        tuning: the search before the training; None without one.
        remarks: decisions made during the training, a sentence each.
        upload: the copy of the model in remote storage; None without one.
        mlflow: the run on an MLflow server; None without one.
    """

    model: str
    path: Path
    metrics: dict[str, dict[str, Any]]
    warnings: tuple[str, ...]
    seconds: float
    tuning: Tuning | None = None
    remarks: tuple[str, ...] = ()
    upload: Uploaded | None = None
    mlflow: TrackedRun | None = None
    marks: tuple[str, ...] = ()

    def with_warning(self, warning: str) -> "TrainingResult":
        """The same result with one more warning."""
        return dataclasses.replace(self, warnings=(*self.warnings, warning))

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON types: what `topgraft train --json` and the HTTP API answer."""
        parts = {
            "tuning": self.tuning and self.tuning.to_json(),
            "remarks": self.remarks,
            "marks": self.marks,
            "upload": self.upload and dataclasses.asdict(self.upload),
            "mlflow": self.mlflow and dataclasses.asdict(self.mlflow),
        }
        content = {"status": "done"} | _fields_of(self, leave_out=parts)
        plain: dict[str, Any] = durable.to_json(
            content | {name: part for name, part in parts.items() if part is not None}
        )
        return plain

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "TrainingResult":
        """The result that `to_json` wrote."""
        if "imported_from" in answer:
            return ImportResult(**_known(ImportResult, answer))
        nested = {"tuning": Tuning.from_json, "upload": lambda part: Uploaded(**part)}
        nested |= {"mlflow": lambda part: TrackedRun(**part)}
        parts = {name: read(answer[name]) for name, read in nested.items() if name in answer}
        return cls(**_known(cls, answer) | parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportResult(TrainingResult):
    """A model that was imported instead of trained; its metrics are those of its manifest.

    Attributes:
        backbone: the name of its backbone.
        classes: the number of its classes.
        image_size: height and width of its input, in pixels.
        engine: `onnx` or `keras`.
        max_difference: the largest difference of a probability to the original network; None for the same network.
        imported_from: the source, where the import was a training's option `import_from`.
    """

    backbone: str
    classes: int
    image_size: int
    engine: str
    max_difference: float | None
    imported_from: str = ""

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON types: what `topgraft import --json` answers."""
        names = ("model", "path", "backbone", "classes", "image_size", "engine", "metrics", "max_difference")
        content = {"status": "done"} | {name: getattr(self, name) for name in (*names, "warnings", "seconds")}
        source = {"imported_from": self.imported_from} if self.imported_from else {}
        plain: dict[str, Any] = durable.to_json(content | source)
        return plain


def summarize(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Select the metrics of a manifest that a `TrainingResult` has, as plain JSON types."""
    return {
        measurement: {name: durable.to_json(values[name]) for name in (*_SUMMARY, *_MARKS) if name in values}
        for measurement, values in metrics.items()
    }


def _fields_of(value: Any, leave_out: Collection[str]) -> dict[str, Any]:
    names = (field.name for field in dataclasses.fields(value))
    return {name: getattr(value, name) for name in names if name not in leave_out}


def _known(cls: Any, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The values in `answer` of the fields of `cls`; lists of sentences as tuples, the path as a `Path`."""
    known = {field.name: answer[field.name] for field in dataclasses.fields(cls) if field.name in answer}
    types = {"path": Path, "warnings": tuple, "remarks": tuple, "marks": tuple}
    return known | {name: types[name](known[name]) for name in types.keys() & known.keys()}


def _row_from_json(row: Mapping[str, Any]) -> TuningRow:
    intervals = {name: tuple(row[name]) for name in ("accuracy_interval", "macro_f1_interval")}
    return TuningRow(**dict(row) | intervals)
