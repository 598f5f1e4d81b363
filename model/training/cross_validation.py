"""Cross-validation of a head on cached features: an unbiased accuracy for datasets too small for a test split.

Every image is predicted by a head that was not trained on it, nor on its duplicates and its group (Stone, 1974).
Within each fold the L2 strength and the epoch are chosen on validation images split from the fold's training images,
as in a training, so that the head has no information on the held-out images.
"""

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from model.dataset.splits import split_rows, stratified_folds
from model.dataset.training_data import TrainingData
from model.results import Split
from model.training.batches import learning_weights, measuring_weights
from model.training.checkpoints import Checkpoints
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.head import refit_head, train_head
from model.training.head_candidates import Head, HeadOptions, LabelledFeatures

CALIBRATION_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class FoldPlan:
    """Division of the images into folds.

    Attributes:
        folds: the number of folds, 2 or more.
        val_fraction: fraction of the training images of each fold that is used for validation.
        seed: fixes which images go where.
        refit: whether a head is trained again on training and validation images together.
    """

    folds: int
    val_fraction: float
    seed: int
    refit: bool


@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """Out-of-fold predictions, and the settings that the folds chose.

    Attributes:
        logits: float32 (n, classes), of each image by a head that was not trained on it; NaN for synthetic images,
            on which nothing is measured.
        l2: median of the L2 strengths that the folds chose.
        epochs: median of the numbers of epochs that they chose.
    """

    logits: np.ndarray
    l2: float
    epochs: int


def cross_validate(
    data: TrainingData,
    images: LabelledFeatures,
    plan: FoldPlan,
    options: HeadOptions,
    on_fold: Callable[[int], None] = lambda fold: None,
    deadline: Deadline = NO_DEADLINE,
    checkpoints: Checkpoints | None = None,
) -> CrossValidation | None:
    """Predict every image by a head that was not trained on it.

    Args:
        data: the images; names, labels and groups are used.
        images: their features and views, in the same order; the weights are computed again for each fold.
        on_fold: called after each fold with the number of folds that are done.
        deadline: time at which to stop.
        checkpoints: folds of an interrupted call are not repeated.

    Returns:
        None if the deadline has passed before the last fold: some images then have no prediction.

    Raises:
        TrainingError: a head diverged.
    """
    classes = len(data.classes)
    fold_of, real = fold_of_each(data, plan.folds, plan.seed), data.is_real
    found = None if checkpoints is None else checkpoints.latest()
    logits = np.full((len(data), classes), np.nan, np.float32) if found is None else found[0]["logits"]
    chosen: dict[str, list[Any]] = {"l2": [], "epochs": []} if found is None else found[1]
    done_before = len(chosen["l2"])
    for done, fold in enumerate(np.unique(fold_of[real])[done_before:], start=done_before + 1):
        if deadline.is_over():
            return None
        held_out = (fold_of == fold) & real
        head = _fit(data, images, np.flatnonzero(fold_of != fold), plan, options)
        logits[held_out] = head.logits(images.features[held_out])
        chosen["l2"].append(head.l2)
        chosen["epochs"].append(head.best_epoch)
        if checkpoints is not None:
            checkpoints.save({"logits": logits}, chosen)
        on_fold(done)
    return CrossValidation(logits, statistics.median_low(chosen["l2"]), statistics.median_low(chosen["epochs"]))


def settled_out_of_fold(
    data: TrainingData, images: LabelledFeatures, chosen: Head, options: HeadOptions, seed: int
) -> np.ndarray:
    """Logits of every image by a head that was not trained on it, with the settings of a trained head.

    They calibrate a model without cross-validation. Nothing is chosen within the folds, so they take a fraction of the
    time of `cross_validate`, and are no estimate of the accuracy.

    Args:
        data: the images; names, labels and groups are used.
        images: their features and views, in the same order.
        chosen: head with the L2 strength and the number of epochs to use.
        seed: fixes the folds.

    Returns:
        float32 (n, classes); NaN for synthetic images.

    Raises:
        TrainingError: a head diverged.
    """
    classes, real = len(data.classes), data.is_real
    fold_of = fold_of_each(data, CALIBRATION_FOLDS, seed)
    logits = np.full((len(data), classes), np.nan, np.float32)
    for fold in np.unique(fold_of[real]):
        held_out = (fold_of == fold) & real
        rows = np.flatnonzero(fold_of != fold)
        head = refit_head(_training(images, rows, classes, options), classes, chosen, options)
        logits[held_out] = head.logits(images.features[held_out])
    return logits


def fold_of_each(data: TrainingData, folds: int, seed: int) -> np.ndarray:
    """Fold of each image, int (n,); see `model.dataset.splits.stratified_folds`."""
    labels, groups = data.labels.tolist(), data.groups.tolist()
    return np.array(stratified_folds(data.names, labels, groups, folds, seed, data.synthetic))


def _fit(
    data: TrainingData,
    images: LabelledFeatures,
    rows: np.ndarray,
    plan: FoldPlan,
    options: HeadOptions,
) -> Head:
    """Train a head on the images at `rows`, by the same procedure as on a complete dataset."""
    classes, left = len(data.classes), data.select(rows)
    fractions: dict[Split, float] = {"val": plan.val_fraction}
    labels, groups = left.labels.tolist(), left.groups.tolist()
    divided = split_rows(left.names, labels, groups, fractions, plan.seed, left.synthetic)
    # If no class has images to spare, validation uses the training images.
    train_rows, val_rows = rows[divided["train"]], rows[divided["val"] or np.flatnonzero(left.is_real)]
    chosen = train_head(
        _training(images, train_rows, classes, options),
        _validation(images, val_rows, classes, options),
        classes,
        options,
    )
    return refit_head(_training(images, rows, classes, options), classes, chosen, options) if plan.refit else chosen


def _training(images: LabelledFeatures, rows: np.ndarray, classes: int, options: HeadOptions) -> LabelledFeatures:
    labels = images.labels[rows]
    weights = learning_weights(labels, classes, options.imbalance)
    return LabelledFeatures(images.features[rows], labels, weights, tuple(view[rows] for view in images.views))


def _validation(images: LabelledFeatures, rows: np.ndarray, classes: int, options: HeadOptions) -> LabelledFeatures:
    labels = images.labels[rows]
    return LabelledFeatures(images.features[rows], labels, measuring_weights(labels, classes, options.imbalance))
