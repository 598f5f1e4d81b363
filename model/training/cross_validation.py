"""Cross-validation of a head on cached features: an honest accuracy where images are too few to set some aside.

Every image is answered by a head that has learned without it, and without its duplicates and its group
(Stone, 1974). Within each fold the L2 strength and the epoch are chosen on validation images taken from the
images left to learn from, as in a training, so that nothing about the held-out images is known to the head.
"""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from model.dataset.splits import split_samples, stratified_folds
from model.results import Sample
from model.training.batches import learning_weights, measuring_weights
from model.training.checkpoints import Checkpoints
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.head import Head, HeadOptions, LabelledFeatures, refit_head, train_head


@dataclasses.dataclass(frozen=True)
class FoldPlan:
    """How to divide the images.

    Attributes:
        groups: name of a sample -> what it must stay together with.
        folds: how many, 2 or more.
        val_fraction: share of the images left to learn from that chooses, within each fold.
        seed: fixes which images go where.
        refit: whether a head learns from its validation images too, once they have chosen.
    """

    groups: Mapping[str, int]
    folds: int
    val_fraction: float
    seed: int
    refit: bool


@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """What came out.

    Attributes:
        logits: float32 (n, classes), of each image by a head that has not seen it.
        l2: median of the strengths that the folds chose.
        epochs: median of the epochs that they chose.
    """

    logits: np.ndarray
    l2: float
    epochs: int


def cross_validate(
    samples: Sequence[Sample],
    images: LabelledFeatures,
    classes: int,
    plan: FoldPlan,
    options: HeadOptions,
    on_fold: Callable[[int], None] = lambda fold: None,
    deadline: Deadline = NO_DEADLINE,
    checkpoints: Checkpoints | None = None,
) -> CrossValidation | None:
    """Answer every image by a head that has learned without it.

    Args:
        samples: the images; their names and labels are used.
        images: their features and views; the weights are worked out anew for each fold.
        on_fold: called after each fold with the number of folds that are done.
        deadline: when to give up.
        checkpoints: folds that an interrupted call left there are not done again.

    Returns:
        None where the deadline has passed before the last fold: some images then have no answer.

    Raises:
        TrainingError: a head diverged.
    """
    fold_of = np.array(
        stratified_folds(samples, [plan.groups[sample.name] for sample in samples], plan.folds, plan.seed)
    )
    found = None if checkpoints is None else checkpoints.latest()
    logits = np.zeros((len(samples), classes), np.float32) if found is None else found[0]["logits"]
    chosen: dict[str, list[Any]] = {"l2": [], "epochs": []} if found is None else found[1]
    done_before = len(chosen["l2"])
    for done, fold in enumerate(np.unique(fold_of)[done_before:], start=done_before + 1):
        if deadline.is_over():
            return None
        held_out = fold_of == fold
        head = _fit(samples, images, np.flatnonzero(~held_out), classes, plan, options)
        logits[held_out] = head.logits(images.features[held_out])
        chosen["l2"].append(head.l2)
        chosen["epochs"].append(head.best_epoch)
        if checkpoints is not None:
            checkpoints.save({"logits": logits}, chosen)
        on_fold(done)
    return CrossValidation(logits, statistics.median_low(chosen["l2"]), statistics.median_low(chosen["epochs"]))


def _fit(
    samples: Sequence[Sample],
    images: LabelledFeatures,
    rows: np.ndarray,
    classes: int,
    plan: FoldPlan,
    options: HeadOptions,
) -> Head:
    """A head from the images at `rows`, made as a training makes it of a whole dataset."""
    row_of = {samples[row].name: row for row in rows.tolist()}
    left = [samples[row] for row in rows.tolist()]
    groups = [plan.groups[sample.name] for sample in left]
    divided = split_samples(left, groups, {"val": plan.val_fraction}, plan.seed)
    # Where no class has images to spare, the choice is left to those that are learned from.
    train, val = divided["train"], divided["val"] or divided["train"]
    train_rows, val_rows = (np.array([row_of[sample.name] for sample in part]) for part in (train, val))
    chosen = train_head(
        _to_learn_from(images, train_rows, classes, options),
        _to_measure_on(images, val_rows, classes, options),
        classes,
        options,
    )
    return (
        refit_head(_to_learn_from(images, rows, classes, options), classes, chosen, options) if plan.refit else chosen
    )


def _to_learn_from(images: LabelledFeatures, rows: np.ndarray, classes: int, options: HeadOptions) -> LabelledFeatures:
    labels = images.labels[rows]
    weights = learning_weights(labels, classes, options.imbalance)
    return LabelledFeatures(images.features[rows], labels, weights, tuple(view[rows] for view in images.views))


def _to_measure_on(images: LabelledFeatures, rows: np.ndarray, classes: int, options: HeadOptions) -> LabelledFeatures:
    labels = images.labels[rows]
    return LabelledFeatures(images.features[rows], labels, measuring_weights(labels, classes, options.imbalance))
