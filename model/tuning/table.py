"""What a tuning came to: the table, and the options that were chosen."""

import dataclasses
from typing import Any

import numpy as np

from model import durable
from model.config import TrainConfig
from model.evaluation.paired import PairedMetric
from model.evaluation.resampling import percentile_interval, resample, wilson_interval
from model.tuning.choice import RESAMPLES, Choice, choose
from model.tuning.trials import Trial, Trials


@dataclasses.dataclass(frozen=True)
class Row:
    """One backbone, with the best options that were found for it.

    Attributes:
        options: those that differ from the options that the tuning began with.
        trials: how many candidates with this backbone were tried.
        loss: calibrated cross-entropy in nats of images held out.
        accuracy, macro_f1: of the same, in [0, 1], each with its 95 % interval.
        latency_ms, size_mb: see `model.tuning.trials.MeasuredBackbone`.
        chosen: whether this is what was chosen.
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
    """The result of a tuning.

    Attributes:
        config: what to train: all options, the chosen ones among them.
        rows: the table, a row for each backbone that was tried.
        left_out: backbone -> why it was not tried.
        reason: why this was chosen, a sentence.
        trials: how many candidates were tried.
        images: how many they were measured on.
        seconds: what the tuning took, without interruptions.
    """

    config: TrainConfig
    rows: tuple[Row, ...]
    left_out: dict[str, str]
    reason: str
    trials: int
    images: int
    seconds: float

    @property
    def options(self) -> dict[str, Any]:
        """The options of `config` that are not at their defaults."""
        defaults = dataclasses.asdict(TrainConfig())
        return {name: value for name, value in dataclasses.asdict(self.config).items() if value != defaults[name]}

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON types; of the configuration only what is not at its default."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "config"}
        content = {"options": self.options} | fields | {"rows": [dataclasses.asdict(row) for row in self.rows]}
        plain: dict[str, Any] = durable.to_json(content)
        return plain


def rows_of(trials: Trials, plain: TrainConfig, choice: Choice, metric: PairedMetric) -> tuple[Row, ...]:
    """A row for each backbone that was tried, in the order in which they were."""
    by_backbone: dict[str, list[Trial]] = {}
    for trial in trials.done:
        by_backbone.setdefault(trial.changes.get("backbone", plain.backbone), []).append(trial)
    rows = []
    for backbone, tried in by_backbone.items():
        chosen = choice.trial in tried
        trial = choice.trial if chosen else choose(tried, tried[0], metric, trials.backbones, plain.seed).trial
        rows.append(_row(trials, backbone, trial, len(tried), metric, chosen, plain.seed))
    return tuple(rows)


def _row(trials: Trials, backbone: str, trial: Trial, tried: int, metric: PairedMetric, chosen: bool, seed: int) -> Row:
    images = len(metric.labels)
    accuracy = float((trial.predictions.predicted == metric.labels).mean())
    resampled = metric.macro_f1(trial.predictions, resample(np.ones(images, int), seed, RESAMPLES))
    macro_f1 = float(metric.macro_f1(trial.predictions, np.ones((1, images)))[0])
    cost = trials.backbones[backbone]
    return Row(
        backbone=backbone,
        options={name: value for name, value in trial.changes.items() if name != "backbone"},
        trials=tried,
        loss=float(trial.predictions.losses.mean()),
        accuracy=accuracy,
        accuracy_interval=wilson_interval(round(accuracy * images), images),
        macro_f1=macro_f1,
        macro_f1_interval=percentile_interval(macro_f1, resampled),
        latency_ms=cost.latency_ms,
        size_mb=cost.size_mb,
        chosen=chosen,
    )
