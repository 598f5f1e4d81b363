"""Choosing among the trials of a search: the simplest that is as good as the best.

The one-standard-error rule (Breiman et al., 1984): the best of many trials is also lucky, so a trial that is
not worse by more than the standard error of the difference counts as equally good. Of these the simplest is
chosen: the one with the fewest changed options, then the one with the smallest model. Of two backbones the better one
is chosen, whatever the noise: with few photos nearly every difference is within it, and is a gain on average.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from model.evaluation.paired import PairedMetric
from model.evaluation.resampling import resample
from model.tuning.trials import MeasuredBackbone, Trial

RESAMPLES = 500
_IN_WORDS = {"val_loss": "loss", "val_accuracy": "accuracy", "val_macro_f1": "macro-F1"}


@dataclasses.dataclass(frozen=True)
class Choice:
    """The chosen trial, and a sentence with the reason."""

    trial: Trial
    reason: str


def choose(
    trials: Sequence[Trial], plain: Trial, metric: PairedMetric, backbones: Mapping[str, MeasuredBackbone], seed: int
) -> Choice:
    """Choose one of `trials`; it is never worse than `plain`.

    Args:
        trials: one or more.
        plain: the one with the fewest changes.
        backbones: by name; a trial without a backbone in its changes has the plain one.
        seed: random seed of the bootstrap.
    """
    resamples = resample(np.ones_like(metric.labels), seed, RESAMPLES)
    best = min(trials, key=lambda trial: trial.value)

    def error(trial: Trial, other: Trial) -> float:
        return metric.standard_error(trial.predictions, other.predictions, resamples)

    def is_equal_to_best(trial: Trial) -> bool:
        if trial is best:
            return True
        sound = math.isfinite(trial.value) and trial.value <= plain.value
        return sound and trial.value - best.value <= error(trial, best)

    def complexity(trial: Trial) -> tuple[int, float, float]:
        size = backbones[trial.changes["backbone"]].size_mb if "backbone" in trial.changes else 0.0
        return len(trial.changes), size, trial.value

    equal = [trial for trial in trials if is_equal_to_best(trial)]
    chosen = min(equal, key=complexity)
    name = _IN_WORDS[metric.name]
    if chosen is plain:
        return Choice(chosen, f"None of {len(trials)} trials improves the {name} of the original options beyond noise.")
    gain, noise = plain.value - chosen.value, error(plain, chosen)
    return Choice(
        chosen,
        f"Of {len(trials)} trials, {len(equal)} have the best {name} within noise; this is the simplest of them. It "
        f"is better than the original options by {gain:.3g}, with a standard error of {noise:.2g}.",
    )


def choose_best(trials: Sequence[Trial], plain: Trial, metric: PairedMetric, seed: int) -> Choice:
    """Choose the trial with the lowest cost, the first of equals; arguments as of `choose`."""
    best = min(trials, key=lambda trial: trial.value)
    name = _IN_WORDS[metric.name]
    if best is plain:
        return Choice(best, f"Of {len(trials)} backbones, the default one has the best {name} in cross-validation.")
    resamples = resample(np.ones_like(metric.labels), seed, RESAMPLES)
    noise = metric.standard_error(best.predictions, plain.predictions, resamples)
    return Choice(
        best,
        f"Of {len(trials)} backbones, this one has the best {name} in cross-validation. It is better than the default "
        f"one by {plain.value - best.value:.3g}, with a standard error of {noise:.2g}.",
    )
