"""The search for a backbone and options, within a time budget, before a training.

Heads on cached features take little time, so many are tried: first every backbone with the given options, then
other values of `resize` and `augmentation` with the best of them, then options of the head, which the
tree-structured Parzen estimator proposes (Bergstra et al., 2011; Optuna). Each candidate is measured by repeated
cross-validation on the images of train and val; test images are never used.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.backbones import AUTO, DEFAULT, TRIED_BY_AUTO, find_backbones
from model.config import RESIZE_MODES, TrainConfig, non_default_options
from model.dataset.splits import folds_with_all_classes
from model.dataset.training_data import TrainingData
from model.errors import ConfigError, DatasetError, ExportError, WeightsError
from model.evaluation.paired import PairedMetric
from model.networks.keras_weights import ready_backbones
from model.results import Progress
from model.training.batches import measuring_weights
from model.training.checkpoints import CachedCounts
from model.training.cross_validation import FoldPlan
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.head_candidates import HeadOptions
from model.training_result import Tuning
from model.tuning.candidates import GRID, proposals
from model.tuning.choice import choose, choose_best
from model.tuning.out_of_fold import predict_out_of_fold
from model.tuning.pool import NoTimeError, Pool
from model.tuning.table import rows_of
from model.tuning.trials import TRIALS, Trial, Trials

FOLDS = 5
MINUTES_TO_CHOOSE_BACKBONE = 1.0
_MIN_IMAGES = 3
# With few images the result depends on the folds: it is averaged over several divisions.
_REPEATS = 3
_FEW_IMAGES = 300
_IMAGE_OPTIONS = {"resize": RESIZE_MODES, "augmentation": ("light", "medium", "strong")}
# The rest of the budget is for the options of the head.
_FRACTION_FOR_FEATURES = 0.75

log = logging.getLogger(__name__)


def tune(
    data: TrainingData,
    config: TrainConfig,
    work_directory: Path,
    progress: Progress,
    deadline: Deadline = NO_DEADLINE,
) -> Tuning:
    """Search backbones and options for `config.tune_minutes`, and choose the best.

    An option that is not at its default is kept fixed. The same images, options and number of trials give the
    same choice.

    Args:
        config: `tune_minutes` is set; `tune_backbones` says which to try.
        work_directory: for the trials; an interrupted search is resumed from there.
        progress: reports the phase `tune`, in seconds.
        deadline: time limit of the training, including the search.

    Raises:
        WeightsError, ConfigError: none of the backbones can be used.
        DatasetError: there are fewer than three images to train on.
    """
    search = _Search(data, config, work_directory, progress, deadline)
    search.run()
    return search.tuning()


def choose_backbone(
    data: TrainingData,
    config: TrainConfig,
    work_directory: Path,
    progress: Progress,
    deadline: Deadline = NO_DEADLINE,
) -> Tuning:
    """Choose the embedded backbone whose features suit the images best, for backbone = auto; see `tune`.

    One whose features would take longer than about a minute is left out. The default one is always tried.
    """
    tried = dataclasses.replace(
        config, backbone=DEFAULT, tune_minutes=MINUTES_TO_CHOOSE_BACKBONE, tune_backbones=",".join(TRIED_BY_AUTO)
    )
    search = _Search(data, tried, work_directory, progress, deadline)
    search.run(only_backbones=True)
    return search.tuning(only_backbones=True)


class _Search:
    """One search: the images, the trials so far, and the remaining time."""

    def __init__(
        self, data: TrainingData, config: TrainConfig, work_directory: Path, progress: Progress, deadline: Deadline
    ) -> None:
        self.backbones = _backbones_to_try(config)
        self.plain = dataclasses.replace(config, backbone=self.backbones[0])
        self.trials = Trials(work_directory / TRIALS)
        self.progress, self.deadline = progress, deadline
        self.started, self.used_before = time.monotonic(), self.trials.seconds
        self.budget = 60 * (config.tune_minutes or 0.0)
        self.pool = Pool(data, config.seed, self.report, CachedCounts(work_directory))
        self.labels = labels = self.pool.data.labels[self.pool.data.is_real]
        classes = len(data.classes)
        self.metric = PairedMetric(
            labels, classes, config.stop_on, measuring_weights(labels, classes, config.imbalance)
        )
        self.plans = _plans(config, len(labels), classes)
        self.free = _left_at_default(config) & (GRID.keys() | _IMAGE_OPTIONS.keys())
        if config.stop_on != "val_macro_f1":
            # Handling imbalance cannot improve the loss and the accuracy over all images.
            self.free.discard("imbalance")

    @property
    def used(self) -> float:
        """Seconds used so far, including those before interruptions."""
        return self.used_before + time.monotonic() - self.started

    def run(self, only_backbones: bool = False) -> None:
        """Run trials until the budget is used, or all backbones are tried."""
        if self.trials.finished:
            return
        if only_backbones:
            self.try_backbones()
        else:
            if all(trial.asked is None for trial in self.trials.done):
                self.try_all_features()
            self.try_head_options()
        self.trials.finished = True
        self.trials.save(self.used)

    def try_all_features(self) -> None:
        """Try the options that features depend on."""
        self.try_backbones()
        if not self.trials.done:
            raise ConfigError(
                "tune_backbones: expected at least one that can be used, found none. "
                + " ".join(f"{name}: {reason}" for name, reason in self.trials.left_out.items())
            )
        self.try_image_options()

    def try_backbones(self) -> None:
        """Try every backbone with the given options; the first one regardless of the budget."""
        for name in self.backbones:
            if name not in self.trials.left_out:
                try:
                    self.try_features({"backbone": name}, must=not self.trials.done)
                except (WeightsError, ConfigError, ExportError, NoTimeError) as error:
                    self.leave_out(name, error.message)

    def try_image_options(self) -> None:
        """Try values of `resize`, then of `augmentation`, each on the best candidate so far."""
        for name, values in _IMAGE_OPTIONS.items():
            leader = self.leader()
            for value in values if name in self.free else ():
                try:
                    self.try_features({**leader.changes, name: value})
                except NoTimeError as error:
                    log.info("%s %s was not tried: %s", name, value, error.message)

    def try_head_options(self) -> None:
        """Try options of the head on the best features, within the budget."""
        for asked, changes in proposals(self.trials, self.plain, self.free & GRID.keys()):
            if not self.has_time(self.usual_seconds()):
                return
            self.try_candidate(changes, asked)

    def try_features(self, changes: Mapping[str, Any], must: bool = False) -> None:
        """Try a candidate whose features may have to be extracted.

        Raises:
            NoTimeError: the remaining time is too short for them.
            WeightsError, ConfigError, ExportError: the backbone cannot be used.
        """
        changes = self.without_plain(changes)
        if self.trials.find(changes) is not None:
            return
        candidate = dataclasses.replace(self.plain, **changes)
        left = math.inf if must else self.seconds_for_features()
        if candidate.backbone not in self.trials.backbones:
            self.trials.backbones[candidate.backbone] = self.pool.measure(candidate, left)
        self.pool.make_features(candidate, left)
        if not must and not self.has_time(self.usual_seconds()):
            raise NoTimeError("the time of the search was used up.")
        self.try_candidate(changes)

    def try_candidate(self, changes: Mapping[str, Any], asked: int | None = None) -> None:
        """Measure a candidate and save the trial."""
        started = time.monotonic()
        candidate = dataclasses.replace(self.plain, **changes)
        options = HeadOptions.from_config(candidate)
        images = self.pool.images(candidate)
        predictions = predict_out_of_fold(self.pool.data, images, self.plans, options)
        seconds = time.monotonic() - started
        self.trials.done.append(Trial(dict(changes), self.metric.cost(predictions), predictions, seconds, asked))
        self.trials.save(self.used)
        self.report()

    def tuning(self, only_backbones: bool = False) -> Tuning:
        """The result: the chosen options, and a row per backbone."""
        plain, seed = self.trials.done[0], self.plain.seed
        if only_backbones:
            choice = choose_best(self.trials.done, plain, self.metric, seed)
        else:
            choice = choose(self.trials.done, plain, self.metric, self.trials.backbones, seed)
        chosen = dataclasses.replace(self.plain, **choice.trial.changes, tune_minutes=None, tune_backbones="")
        return Tuning(
            config=chosen,
            rows=rows_of(self.trials, self.plain, choice, self.metric),
            left_out=self.trials.left_out,
            reason=choice.reason,
            trials=len(self.trials.done),
            images=len(self.pool.data),
            seconds=round(self.trials.seconds, 1),
        )

    def leader(self) -> Trial:
        """The best trial so far."""
        return min(self.trials.done, key=lambda trial: trial.value)

    def leave_out(self, backbone: str, reason: str) -> None:
        """Record why a backbone was not tried."""
        log.warning("backbone %s was not tried: %s", backbone, reason)
        self.trials.left_out[backbone] = reason
        self.trials.save(self.used)

    def seconds_for_features(self) -> float:
        """The time that extracting features may take now."""
        return min(_FRACTION_FOR_FEATURES * self.budget - self.used, self.deadline.moment - time.monotonic())

    def has_time(self, seconds: float) -> bool:
        """Whether `seconds` remain."""
        return self.used + seconds <= self.budget and time.monotonic() + seconds <= self.deadline.moment

    def usual_seconds(self) -> float:
        """The duration of the slowest of the last trials."""
        return max((trial.seconds for trial in self.trials.done[-5:]), default=0.0)

    def without_plain(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The changes that differ from the plain options."""
        return {name: value for name, value in changes.items() if value != getattr(self.plain, name)}

    def report(self) -> None:
        """Report the used time in seconds, and the best metrics."""
        total = max(1, round(self.budget))
        done = min(total, round(self.used))
        metrics = {"trials": float(len(self.trials.done))}
        if self.trials.done:
            best = self.leader()
            metrics["best_loss"] = float(best.predictions.losses.mean())
            metrics["best_accuracy"] = float((best.predictions.predicted == self.labels).mean())
        self.progress("tune", done, total, **metrics)


def _backbones_to_try(config: TrainConfig) -> tuple[str, ...]:
    """The backbones named in the options; else those whose weights are on this machine, the default first."""
    named = tuple(backbone.name for backbone in find_backbones(config.tune_backbones))
    if named:
        return named
    if config.backbone not in (AUTO, DEFAULT):
        return (config.backbone,)
    return (DEFAULT, *(backbone.name for backbone in ready_backbones() if backbone.name != DEFAULT))


def _left_at_default(config: TrainConfig) -> set[str]:
    """The options that the user has not set; the others are not searched."""
    return vars(config).keys() - non_default_options(config)


def _plans(config: TrainConfig, images: int, classes: int) -> tuple[FoldPlan, ...]:
    """The folds of each repeat of the cross-validation."""
    if images < _MIN_IMAGES:
        raise DatasetError(
            f"tune_minutes: expected {_MIN_IMAGES} images or more to train on, found {images}. "
            "Add some, or train without tuning."
        )
    folds = folds_with_all_classes(images, classes, FOLDS)
    repeats = _REPEATS if images < _FEW_IMAGES else 1
    return tuple(FoldPlan(folds, config.seed + repeat) for repeat in range(repeats))
