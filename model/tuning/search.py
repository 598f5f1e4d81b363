"""The search for a backbone and options, within a time budget, before a training.

Heads on cached features take little time, so many are tried: first every backbone with the options as they are,
then other ways to make a photo square and augmentations on the one that leads, then options of the head, which
the tree-structured Parzen estimator proposes (Bergstra et al., 2011; Optuna). Each candidate is measured by
repeated cross-validation on the images for training and validation; the test images are never looked at.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.backbones import find_backbones
from model.config import RESIZE_MODES, TrainConfig
from model.dataset.training_data import TrainingData
from model.errors import ConfigError, DatasetError, ExportError, WeightsError
from model.evaluation.paired import PairedMetric
from model.networks.keras_weights import ready_backbones
from model.results import Progress
from model.training.batches import measuring_weights
from model.training.checkpoints import CachedCounts
from model.training.cross_validation import FoldPlan
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.head import HeadOptions
from model.training_result import Tuning
from model.tuning.candidates import GRID, proposals
from model.tuning.choice import choose
from model.tuning.out_of_fold import predict_out_of_fold
from model.tuning.pool import NoTimeError, Pool
from model.tuning.table import rows_of
from model.tuning.trials import Trial, Trials

FOLDS = 5
_FEWEST_IMAGES = 3
# With few images, which of them are held out together matters: an average over several divisions.
_REPEATS = 3
_FEW_IMAGES = 300
_PICTURES = {"resize": RESIZE_MODES, "augmentation": ("light", "medium", "strong")}
# What is left of the budget is for the options of the head.
_SHARE_FOR_FEATURES = 0.75

log = logging.getLogger(__name__)


def tune(
    data: TrainingData,
    config: TrainConfig,
    work_directory: Path,
    progress: Progress,
    deadline: Deadline = NO_DEADLINE,
) -> Tuning:
    """Try backbones and options for `config.tune_minutes`, and choose.

    An option that is not at its default is left as it is. The same images, options and number of trials give the
    same choice.

    Args:
        config: `tune_minutes` is set; `tune_backbones` says which to try.
        work_directory: where the trials are kept; those of an interrupted tuning there are used again.
        progress: told of the phase `tune`, in seconds.
        deadline: that of the whole training.

    Raises:
        WeightsError, ConfigError: none of the backbones can be used.
        DatasetError: there are fewer than three images to train on.
    """
    search = _Search(data, config, work_directory, progress, deadline)
    search.run()
    return search.tuning()


class _Search:
    """One search: the images, what is known so far, and the time left."""

    def __init__(
        self, data: TrainingData, config: TrainConfig, work_directory: Path, progress: Progress, deadline: Deadline
    ) -> None:
        self.backbones = _backbones_to_try(config)
        self.plain = dataclasses.replace(config, backbone=self.backbones[0])
        self.trials = Trials(work_directory / "tune")
        self.progress, self.deadline = progress, deadline
        self.started, self.used_before = time.monotonic(), self.trials.seconds
        self.budget = 60 * (config.tune_minutes or 0.0)
        self.pool = Pool(data, config.seed, self.report, CachedCounts(work_directory))
        labels, classes = self.pool.data.labels, len(data.classes)
        self.metric = PairedMetric(
            labels, classes, config.stop_on, measuring_weights(labels, classes, config.imbalance)
        )
        self.plans = _plans(config, len(labels))
        self.free = _left_at_default(config) & (GRID.keys() | _PICTURES.keys())
        if config.stop_on != "val_macro_f1":
            # The loss and the accuracy of all images alike cannot become better by what lets small classes count.
            self.free.discard("imbalance")

    @property
    def used(self) -> float:
        """Seconds used so far, those before an interruption among them."""
        return self.used_before + time.monotonic() - self.started

    def run(self) -> None:
        """Find out as much as there is time for."""
        if self.trials.finished:
            return
        if all(trial.asked is None for trial in self.trials.done):
            self.try_all_features()
        self.try_head_options()
        self.trials.finished = True
        self.trials.save(self.used)

    def try_all_features(self) -> None:
        """All that needs features of its own."""
        self.try_backbones()
        if not self.trials.done:
            raise ConfigError(
                "tune_backbones: expected at least one that can be used, found none. "
                + " ".join(f"{name}: {reason}" for name, reason in self.trials.left_out.items())
            )
        self.try_pictures()

    def try_backbones(self) -> None:
        """Every backbone with the options as they are; the first takes the time that it needs."""
        for name in self.backbones:
            if name not in self.trials.left_out:
                try:
                    self.try_features({"backbone": name}, must=not self.trials.done)
                except (WeightsError, ConfigError, ExportError, NoTimeError) as error:
                    self.leave_out(name, error.message)

    def try_pictures(self) -> None:
        """Ways to make a photo square, then augmentations, each on the candidate that leads by then."""
        for name, values in _PICTURES.items():
            leader = self.leader()
            for value in values if name in self.free else ():
                try:
                    self.try_features({**leader.changes, name: value})
                except NoTimeError as error:
                    log.info("%s %s was not tried: %s", name, value, error.message)

    def try_head_options(self) -> None:
        """Options of the head, on the features that did best, as long as there is time."""
        for asked, changes in proposals(self.trials, self.plain, self.free & GRID.keys()):
            if not self.has_time(self.usual_seconds()):
                return
            self.try_candidate(changes, asked)

    def try_features(self, changes: Mapping[str, Any], must: bool = False) -> None:
        """Try a candidate for which features may have to be made.

        Raises:
            NoTimeError: there is no time for them.
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
            raise NoTimeError("the time of the tuning was over.")
        self.try_candidate(changes)

    def try_candidate(self, changes: Mapping[str, Any], asked: int | None = None) -> None:
        """Measure a candidate and write the trial down."""
        started = time.monotonic()
        candidate = dataclasses.replace(self.plain, **changes)
        options = HeadOptions.from_config(candidate)
        images = self.pool.images(candidate)
        predictions = predict_out_of_fold(self.pool.data, images, self.plans, options)
        seconds = time.monotonic() - started
        self.trials.done.append(Trial(dict(changes), self.metric.cost(predictions), predictions, seconds, asked))
        self.trials.save(self.used)
        self.report()

    def tuning(self) -> Tuning:
        """The choice among the trials, and the table."""
        plain = self.trials.done[0]
        choice = choose(self.trials.done, plain, self.metric, self.trials.backbones, self.plain.seed)
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
        """Remember why a backbone was not tried."""
        log.warning("backbone %s was not tried: %s", backbone, reason)
        self.trials.left_out[backbone] = reason
        self.trials.save(self.used)

    def seconds_for_features(self) -> float:
        """How long making features may take now."""
        return min(_SHARE_FOR_FEATURES * self.budget - self.used, self.deadline.moment - time.monotonic())

    def has_time(self, seconds: float) -> bool:
        """Whether so many seconds are left."""
        return self.used + seconds <= self.budget and time.monotonic() + seconds <= self.deadline.moment

    def usual_seconds(self) -> float:
        """What the slowest of the last trials took."""
        return max((trial.seconds for trial in self.trials.done[-5:]), default=0.0)

    def without_plain(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Only what differs from the plain options."""
        return {name: value for name, value in changes.items() if value != getattr(self.plain, name)}

    def report(self) -> None:
        """Report how far the time has gone, in seconds."""
        total = max(1, round(self.budget))
        done = min(total, round(self.used))
        metrics = {"trials": float(len(self.trials.done))}
        if self.trials.done:
            best = self.leader()
            metrics["best_loss"] = float(best.predictions.losses.mean())
            metrics["best_accuracy"] = float((best.predictions.predicted == self.pool.data.labels).mean())
        self.progress("tune", done, total, **metrics)


def _backbones_to_try(config: TrainConfig) -> tuple[str, ...]:
    """Those named; else one that the user has set; else those whose weights are here, the default first."""
    named = tuple(backbone.name for backbone in find_backbones(config.tune_backbones))
    if named:
        return named
    if "backbone" not in _left_at_default(config):
        return (config.backbone,)
    others = (backbone.name for backbone in ready_backbones() if backbone.name != config.backbone)
    return (config.backbone, *others)


def _left_at_default(config: TrainConfig) -> set[str]:
    """The options that the user has not set: those he has are not searched."""
    defaults = TrainConfig()
    return {name for name, value in dataclasses.asdict(config).items() if value == getattr(defaults, name)}


def _plans(config: TrainConfig, images: int) -> tuple[FoldPlan, ...]:
    """How to divide the images in each repeat of the cross-validation."""
    if images < _FEWEST_IMAGES:
        raise DatasetError(
            f"tune_minutes: expected {_FEWEST_IMAGES} images or more to train on, found {images}. "
            "Add some, or train without tuning."
        )
    folds = min(FOLDS, images)
    repeats = _REPEATS if images < _FEW_IMAGES else 1
    return tuple(FoldPlan(folds, config.val_fraction, config.seed + repeat, config.refit) for repeat in range(repeats))
