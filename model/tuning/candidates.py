"""Candidates for the options of the head: proposals of the tree-structured Parzen estimator, without repetition.

The sampler is created again for each proposal, with its own seed. So proposals depend only on the trials, and a
resumed search continues with those it would have had.
"""

import math
from collections.abc import Collection, Iterator
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from model.config import IMBALANCE, TrainConfig
from model.training.head_candidates import L2_CANDIDATES
from model.tuning.trials import Trial, Trials

GRID: dict[str, tuple[Any, ...]] = {
    "l2": (None, *L2_CANDIDATES),
    "learning_rate": (0.1, 0.3, 1.0, 3.0),
    "label_smoothing": (0.0, 0.05, 0.1),
    "mixup": (0.0, 0.1, 0.3),
    "imbalance": IMBALANCE,
}
"""The values to try for each option of the head, including its default."""

FEATURES = ("backbone", "resize", "augmentation")
"""The options that features depend on."""

_MAX_FEATURES = 4
_MAX_REPETITIONS = 100


def proposals(trials: Trials, plain: TrainConfig, free: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Candidates that have not been tried, until the sampler finds no more.

    The caller adds the trial of each candidate to `trials` before it requests the next.

    Args:
        trials: the trials so far, which the sampler learns from.
        plain: the options that the `changes` of trials refer to.
        free: the options of `GRID` that may be changed.

    Yields:
        the number of requests to the sampler so far, and the changes.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    features = _best_features(trials)
    space: dict[str, BaseDistribution] = {"features": CategoricalDistribution(range(len(features)))}
    space |= {name: CategoricalDistribution(values) for name, values in GRID.items() if name in free}
    for trial in trials.done:
        if _features_of(trial) in features and math.isfinite(trial.value):
            params = {name: trial.changes.get(name, getattr(plain, name)) for name in space if name != "features"}
            params["features"] = features.index(_features_of(trial))
            study.add_trial(create_trial(params=params, distributions=space, value=trial.value))
    asked = max((trial.asked for trial in trials.done if trial.asked is not None), default=0)
    repetitions = 0
    while repetitions < _MAX_REPETITIONS:
        asked += 1
        # If the best candidate of the estimator has been tried, take a random one that has not.
        sampler = RandomSampler if repetitions else TPESampler
        study.sampler = sampler(seed=(plain.seed + asked) % 2**32)
        proposed = study.ask(space)
        of_head = {name: value for name, value in proposed.params.items() if name != "features"}
        changes = features[proposed.params["features"]] | {
            name: value for name, value in of_head.items() if value != getattr(plain, name)
        }
        if trials.find(changes) is not None:
            repetitions += 1
            study.tell(proposed, state=TrialState.FAIL)
            continue
        repetitions = 0
        yield asked, changes
        value = trials.done[-1].value
        if math.isfinite(value):
            study.tell(proposed, value)
        else:
            study.tell(proposed, state=TrialState.FAIL)


def _best_features(trials: Trials) -> list[dict[str, Any]]:
    """The changes of the best trials with the plain head, in the order of those trials."""
    with_plain_head = [trial for trial in trials.done if trial.asked is None]
    best = sorted(with_plain_head, key=lambda trial: trial.value)[:_MAX_FEATURES]
    return [trial.changes for trial in with_plain_head if trial in best]


def _features_of(trial: Trial) -> dict[str, Any]:
    return {name: value for name, value in trial.changes.items() if name in FEATURES}
