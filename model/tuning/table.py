"""The table of a hyperparameter search: the best candidate of each backbone."""

import numpy as np

from model.config import TrainConfig
from model.evaluation.paired import PairedMetric
from model.evaluation.resampling import percentile_interval, resample
from model.measurements import wilson_interval
from model.training_result import TuningRow
from model.tuning.choice import RESAMPLES, Choice, choose
from model.tuning.trials import Trial, Trials


def rows_of(trials: Trials, plain: TrainConfig, choice: Choice, metric: PairedMetric) -> tuple[TuningRow, ...]:
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


def _row(
    trials: Trials, backbone: str, trial: Trial, tried: int, metric: PairedMetric, chosen: bool, seed: int
) -> TuningRow:
    images = len(metric.labels)
    accuracy = float((trial.predictions.predicted == metric.labels).mean())
    resampled = metric.macro_f1(trial.predictions, resample(np.ones(images, int), seed, RESAMPLES))
    macro_f1 = float(metric.macro_f1(trial.predictions, np.ones((1, images)))[0])
    cost = trials.backbones[backbone]
    return TuningRow(
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
