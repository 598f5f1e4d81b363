"""Training a classifier: frozen features, head, cross-validation, fine-tuning, refit, calibration."""

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.augmentation import augmentation_text
from model.config import TrainConfig
from model.dataset.rereading import PhotoReader
from model.dataset.training_data import TrainingData, take_rows
from model.features.extractor import extract_readable
from model.networks.tensorflow_import import import_tensorflow
from model.results import Progress
from model.training.backbone import pretrained_backbone, tuned_backbone
from model.training.batches import measuring_weights
from model.training.checkpoints import Checkpoints, TimedCheckpoints
from model.training.classifier import Classifier, FittedParts, calibrated_classifier
from model.training.context import TrainingContext
from model.training.cross_validation import (
    CALIBRATION_FOLDS,
    CrossValidation,
    FoldPlan,
    cross_validate,
    settled_out_of_fold,
)
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.epochs import Epoch
from model.training.fine_tuning.automatic_choice import measured_seconds_per_image
from model.training.fine_tuning.decision import is_improvement, part_to_tune, run_fine_tuning
from model.training.frozen_features import FrozenFeatures
from model.training.given_features import GivenFeatures
from model.training.head import random_head, refit_head, train_head
from model.training.head_candidates import Head, HeadOptions, LabelledFeatures
from model.training.journal import NO_JOURNAL, Journal
from model.training.learning_sizes import measure_learning_curve
from model.training.part_rows import TrainingParts
from model.training.streamed_head import train_streamed_head

if TYPE_CHECKING:
    import keras

_TUNED_IS_NOT_CROSS_VALIDATED = (
    "cross-validation measured the frozen backbone, and fine-tuning did better on validation: the model is the "
    "fine-tuned one, so that number is not its own and was left out"
)
# A head takes seconds, and without it the features were extracted for nothing.
_MIN_SECONDS_OF_HEAD = 20.0
_NO_TIME_TO_CROSS_VALIDATE = (
    "the time limit left no time for cross-validation: the accuracy is that of validation images, which chose the "
    "settings, and is biased upwards"
)
# The thresholds of this many validation images hardly depend on the split.
_ENOUGH_TO_CALIBRATE = 1000
_NO_TIME_TO_REFIT = "the time limit left no time to train the head again on training and validation images together"

log = logging.getLogger(__name__)


def fit_classifier(
    data: TrainingData,
    config: TrainConfig,
    work_directory: Path,
    progress: Progress,
    deadline: Deadline = NO_DEADLINE,
    journal: Journal = NO_JOURNAL,
    given: GivenFeatures | None = None,
) -> Classifier:
    """Train a classifier: a head on frozen features, then fine-tuning and other steps that `config` asks for.

    Args:
        work_directory: for checkpoints and large temporary files; an interrupted training is resumed from there.
        deadline: time at which to stop with the best model so far.
        journal: records each epoch and the final features.
        given: the features, if they are not extracted from photos.

    Raises:
        WeightsError, ConfigError: the backbone cannot be built.
        TrainingError: the training diverged.
    """
    context = TrainingContext(data, config, work_directory, progress, deadline, journal)
    if context.views:
        operations = augmentation_text(context.views[0].operations)
        log.info("augmentation: %d views of each image by %s", len(context.views), operations)
    if given is not None and given.training_parts is not None:
        fitted = _fit_streamed(context, given, given.training_parts)
    else:
        fitted = _fit_from_scratch(context) if config.weights == "none" else _fit_pretrained(context, given)
    return calibrated_classifier(context, fitted)


def _fit_pretrained(context: TrainingContext, given: GivenFeatures | None) -> FittedParts:
    """A head on frozen features; fine-tuned if requested and better; refitted if the backbone stayed frozen."""
    data = context.data
    backbone = given.backbone if given else pretrained_backbone(context.backbone, context.spec)
    features = FrozenFeatures(context, backbone.extract, given.features if given else None)
    train = features.for_training(data.rows("train"))
    val = features.for_validation(data.rows("val"))
    head = _train_head(context, train, val)
    found = _cross_validate(context, features) if data.folds else None
    history = head.history
    part = part_to_tune(context, backbone.extract)
    if part is not None:
        network = backbone.network()
        seconds = measured_seconds_per_image(backbone.extract, context.spec)
        tuned = run_fine_tuning(context, network, head, part, seconds)
        history += tuned.head.history
        if is_improvement(context, tuned, head.logits(val.features), val):
            if found:
                context.warnings.append(_TUNED_IS_NOT_CROSS_VALIDATED)
            parts = _tuned_parts(context, network, tuned.head, history)
            return _with_checks(context, parts, features, head, found, None if found is None else found.logits)
    if data.folds and found is None:
        context.warnings.append(_NO_TIME_TO_CROSS_VALIDATE)
    if found is not None and found.whitened:
        context.remark(
            f"the head was trained on features that are whitened within the classes: a loss of {found.loss:.3f} in "
            f"cross-validation, against {found.plain_loss:.3f} without"
        )
    final = _refit(context, features, head, found)
    out_of_fold = _out_of_fold(context, features, final) if found is None else found.logits
    parts = FittedParts(backbone, data, features.all, head, final, history, found, out_of_fold)
    return _with_checks(context, parts, features, head, found, out_of_fold)


def _fit_from_scratch(context: TrainingContext) -> FittedParts:
    """All layers from random weights."""
    import_tensorflow()
    from model.networks.pretrained import build_backbone

    seed = context.config.seed
    network = build_backbone(context.backbone, context.spec.height, "none", seed)
    start = random_head(network.output.shape[-1], context.classes, seed)
    tuned = run_fine_tuning(context, network, start, "scratch", seconds_per_image=0.0)
    return _tuned_parts(context, network, tuned.head, tuned.head.history)


def _fit_streamed(context: TrainingContext, given: GivenFeatures, parts: TrainingParts) -> FittedParts:
    """A head on features that are read in parts; the images of the training data that are not in `val` only describe
    the training images and measure the head."""
    data, classes, options = context.data, context.classes, HeadOptions.from_config(context.config)
    rows = data.rows("val")
    features = take_rows(given.features, rows)
    weights = measuring_weights(data.labels[rows], classes, options.imbalance)
    done = np.cumsum(parts.sizes).tolist()
    head = train_streamed_head(
        parts,
        LabelledFeatures(features, data.labels[rows], weights),
        classes,
        options,
        context.work_directory / "rows",
        context.report_epoch,
        context.deadline.at_least(_MIN_SECONDS_OF_HEAD),
        _head_checkpoints(context),
        lambda part: context.progress("features", done[part - 1], done[-1]),
    )
    _warn_if_cut_short(context, head)
    return FittedParts(given.backbone, data, given.features, head, head, head.history)


def _train_head(context: TrainingContext, train: LabelledFeatures, val: LabelledFeatures) -> Head:
    """The head that validation chooses; one of an interrupted training is not trained again."""
    head = train_head(
        train,
        val,
        context.classes,
        HeadOptions.from_config(context.config),
        context.report_epoch,
        context.deadline.at_least(_MIN_SECONDS_OF_HEAD),
        _head_checkpoints(context),
    )
    _warn_if_cut_short(context, head)
    return head


def _head_checkpoints(context: TrainingContext) -> TimedCheckpoints:
    return TimedCheckpoints(context.work_directory / "head", 60 * context.config.checkpoint_minutes)


def _warn_if_cut_short(context: TrainingContext, head: Head) -> None:
    if head.cut_short:
        context.warnings.append(
            f"the time limit ended the training of the head after epoch {len(head.history)} of "
            f"{context.config.epochs} at most, while it may still have become better: raise time_limit_minutes"
        )


def _cross_validate(context: TrainingContext, features: FrozenFeatures) -> CrossValidation | None:
    config, data = context.config, context.data
    rows = data.rows("train", "val")
    return cross_validate(
        data.select(rows),
        features.for_training(rows),
        FoldPlan(data.folds, config.seed),
        HeadOptions.from_config(config),
        lambda done: context.progress("cross_validation", done, data.folds),
        context.deadline,
        Checkpoints(context.work_directory / "folds"),
    )


def _out_of_fold(context: TrainingContext, features: FrozenFeatures, final: Head) -> np.ndarray | None:
    """Out-of-fold logits to calibrate on; None if validation has enough images, or without time or divisible images."""
    data = context.data
    rows = data.rows("train", "val")
    enough = len(data.rows("val")) >= _ENOUGH_TO_CALIBRATE
    groups = len(np.unique(data.groups[data.real_rows("train", "val")]))
    if enough or context.deadline.is_over() or groups < CALIBRATION_FOLDS:
        return None
    options = HeadOptions.from_config(context.config)
    return settled_out_of_fold(data.select(rows), features.for_training(rows), final, options, context.config.seed)


def _with_checks(
    context: TrainingContext,
    parts: FittedParts,
    features: FrozenFeatures,
    head: Head,
    found: CrossValidation | None,
    out_of_fold: np.ndarray | None,
) -> FittedParts:
    """The parts with predictions of frozen heads, by which labels are checked and the need for images is measured.

    Args:
        head: trained on the images of `train`.
        found: settings for the heads on fewer images; None for those of `head`.
        out_of_fold: float32 (k, classes), logits of the training images, followed by any others; None to compute them.
    """
    if context.deadline.is_over():
        return parts
    data, options = context.data, HeadOptions.from_config(context.config)
    rows = data.rows("train")
    if out_of_fold is None and len(np.unique(data.groups[data.real_rows("train")])) >= CALIBRATION_FOLDS:
        # Without augmented views, which would take several times as long.
        images = features.for_validation(rows)
        out_of_fold = settled_out_of_fold(data.select(rows), images, head, options, context.config.seed)
    if found is not None:
        head, options = found.settled(head, options)
        head = refit_head(features.for_validation(rows), context.classes, head, options)
    curve = measure_learning_curve(data, features.all, head, options, out_of_fold)
    if out_of_fold is None:
        return dataclasses.replace(parts, curve=curve)
    # Images that are gone since have no features of a fine-tuned backbone.
    kept = np.isin([data.names[row] for row in rows.tolist()], parts.data.names)
    return dataclasses.replace(parts, train_logits=out_of_fold[: len(rows)][kept], curve=curve)


def _refit(context: TrainingContext, features: FrozenFeatures, head: Head, found: CrossValidation | None) -> Head:
    """The head trained on validation images too, with the L2 strength and the number of epochs that were chosen."""
    if not context.config.refit:
        return head
    if context.deadline.is_over() and sum(row.seconds for row in head.history) > _MIN_SECONDS_OF_HEAD:
        context.warnings.append(_NO_TIME_TO_REFIT)
        return head
    both = features.for_training(context.data.rows("train", "val"))
    options = HeadOptions.from_config(context.config)
    if found is not None:
        # Several folds choose better than the few validation images of one split.
        head, options = found.settled(head, options)
    return refit_head(both, context.classes, head, options)


def _tuned_parts(
    context: TrainingContext, network: "keras.Model", head: Head, history: tuple[Epoch, ...]
) -> FittedParts:
    """The parts of a classifier with a fine-tuned network, whose features replace those of the frozen one."""
    backbone = tuned_backbone(network, context.spec)
    photos = PhotoReader(context.data.content_hashes)
    names, features = extract_readable(backbone.extract, context.data.source, context.spec, context.progress, photos)
    context.warnings.extend(photos.warnings("they are in no measurement of the fine-tuned model"))
    data = context.data.select(np.flatnonzero(np.isin(context.data.names, names))) if photos.missing else context.data
    return FittedParts(backbone, data, features, head, head, history, is_frozen=False)
