"""Cross-validation of a head on cached features: an accuracy without a test split, and the settings of the head.

Every image is predicted by a head that was not trained on it, nor on its duplicates and its group (Stone, 1974). The L2
strength is the one that is best for all folds together: one image in each class, which is what a few images leave for
validation, would choose by chance. It is one number chosen on all images, from a few along a smooth curve, so that the
estimate is hardly optimistic; choosing it within each fold would cost the final head the images that choose.

Features that are whitened within the classes are tried as well (`model.training.whitening`): they lower the error of
some datasets by several points and raise it on others.

Strengths that have lost clearly in the first folds are not trained in the others (`model.training.fold_results`). None
starts from the weights of another one, which would save a fifth of the iterations: the final head is trained from
zeros, and the folds measure what it will be.

L-BFGS trains each candidate until it has converged: stopping early as well regularises twice, and the best of some
hundred pairs of strength and epoch is chosen by chance more often than the best of a few strengths. Minibatches do not
converge within the epochs of a training; their number of epochs is chosen with the strength.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from model.dataset.splits import folds_with_all_classes, stratified_folds
from model.dataset.training_data import TrainingData
from model.training.batches import learning_weights, measuring_weights
from model.training.checkpoints import Checkpoints
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.fold_results import Curve, FoldResults
from model.training.head import is_full_batch, train_converged, train_curves, train_settled
from model.training.head_candidates import Head, HeadOptions, LabelledFeatures
from model.training.span import in_span
from model.training.whitening import can_whiten

CALIBRATION_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class FoldPlan:
    """Division of the images into folds.

    Attributes:
        folds: the number of folds, 2 or more.
        seed: fixes which images go where.
    """

    folds: int
    seed: int


@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """Out-of-fold predictions, and the settings that the folds chose together.

    Attributes:
        logits: float32 (n, classes), of each image by a head that was not trained on it; NaN for synthetic images,
            on which nothing is measured.
        l2: the L2 strength of a head that is trained on all images: lower than in the folds, because more images need
            less of it.
        epochs: the number of epochs.
        whitened: whether whitened features are better.
        loss, plain_loss: mean cross-entropy in nats of all images with these settings, and with features as they are.
    """

    logits: np.ndarray
    l2: float
    epochs: int
    whitened: bool = False
    loss: float = math.nan
    plain_loss: float = math.nan

    def settled(self, head: Head, options: HeadOptions) -> tuple[Head, HeadOptions]:
        """A head and options with the settings that were chosen, for `model.training.head.refit_head`."""
        chosen = dataclasses.replace(head, l2=self.l2, best_epoch=self.epochs)
        return chosen, dataclasses.replace(options, whitened=self.whitened)


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
    if is_full_batch(images.features.shape[1], classes, options):
        options, images = dataclasses.replace(options, until_converged=True), in_span(images)
    fold_of, real = fold_of_each(data, plan.folds, plan.seed), data.is_real
    folds = np.unique(fold_of[real])
    may_whiten = options.until_converged and all(can_whiten(images.labels[fold_of != fold]) for fold in folds)
    sizes = [int(((fold_of == fold) & real).sum()) for fold in folds]
    results = FoldResults(sizes, classes, 1 + may_whiten, options)
    if checkpoints is not None:
        results.restore(checkpoints)
    for fold in folds[len(results.curves) :]:
        if deadline.is_over():
            return None
        train = _training(images, np.flatnonzero(fold_of != fold), classes, options)
        val = _validation(images, np.flatnonzero((fold_of == fold) & real), classes, options)
        results.add(*_fold(train, val, classes, options, results.promising()))
        if checkpoints is not None:
            results.save(checkpoints)
        on_fold(len(results.curves))
    best, plain = results.best(), results.best(len(options.strengths))
    if results.keeps_logits:
        logits = np.full((len(fold_of), classes), np.nan, np.float32)
        for fold, of_fold in zip(folds, results.logits, strict=True):
            logits[(fold_of == fold) & real] = of_fold[best.number]
    else:
        settled = dataclasses.replace(options, l2=best.l2, epochs=best.epochs, whitened=best.whitened)
        logits = _out_of_fold(images, fold_of, real, settled, classes)
    trained_on = np.mean([(fold_of != fold).mean() for fold in folds])
    l2_of_all = best.l2 if options.l2 is not None else best.l2 * float(trained_on)
    return CrossValidation(logits, l2_of_all, best.epochs, best.whitened, best.loss, plain.loss)


def _fold(
    train: LabelledFeatures, val: LabelledFeatures, classes: int, options: HeadOptions, trained: np.ndarray
) -> tuple[list[Curve], np.ndarray | None]:
    """Curve of each candidate on `val`, and the logits of converged heads, float32 (candidates, n, classes).

    Args:
        trained: bool (candidates,), which candidates to train.
    """
    if not options.until_converged:
        return train_curves(train, val, classes, options), None
    curves: list[Curve] = [[] for _ in trained]
    logits = np.full((len(trained), len(val.labels), classes), np.nan, np.float32)
    strengths = options.strengths
    for first in range(0, len(trained), len(strengths)):
        numbers = first + np.flatnonzero(trained[first : first + len(strengths)])
        if not len(numbers):
            continue
        tried = tuple(strengths[number - first] for number in numbers.tolist())
        chosen = dataclasses.replace(options, tried=tried, whitened=first > 0)
        for number, head in zip(numbers.tolist(), train_converged(train, val, classes, chosen), strict=True):
            curves[number] = [(head.measured.loss, head.measured.accuracy, head.measured.macro_f1)]
            logits[number] = head.logits
    return curves, logits


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
    fold_of = fold_of_each(data, calibration_folds(data), seed)
    if is_full_batch(images.features.shape[1], len(data.classes), options):
        images = in_span(images)
    settled = dataclasses.replace(options, l2=chosen.l2, epochs=chosen.best_epoch)
    return _out_of_fold(images, fold_of, data.is_real, settled, len(data.classes))


def calibration_folds(data: TrainingData) -> int:
    """Number of folds of `settled_out_of_fold`."""
    return folds_with_all_classes(int(data.is_real.sum()), len(data.classes), CALIBRATION_FOLDS)


def _out_of_fold(
    images: LabelledFeatures, fold_of: np.ndarray, real: np.ndarray, settled: HeadOptions, classes: int
) -> np.ndarray:
    """Logits float32 (n, classes) of real images by heads with these settings; NaN for the others."""
    logits = np.full((len(fold_of), classes), np.nan, np.float32)
    for fold in np.unique(fold_of[real]):
        held_out = (fold_of == fold) & real
        train = _training(images, np.flatnonzero(fold_of != fold), classes, settled)
        logits[held_out] = train_settled(train, classes, settled).logits(images.features[held_out])
    return logits


def fold_of_each(data: TrainingData, folds: int, seed: int) -> np.ndarray:
    """Fold of each image, int (n,); see `model.dataset.splits.stratified_folds`."""
    labels, groups = data.labels.tolist(), data.groups.tolist()
    return np.array(stratified_folds(data.names, labels, groups, folds, seed, data.synthetic))


def _training(images: LabelledFeatures, rows: np.ndarray, classes: int, options: HeadOptions) -> LabelledFeatures:
    labels = images.labels[rows]
    weights = learning_weights(labels, classes, options.imbalance)
    return LabelledFeatures(images.features[rows], labels, weights, tuple(view[rows] for view in images.views))


def _validation(images: LabelledFeatures, rows: np.ndarray, classes: int, options: HeadOptions) -> LabelledFeatures:
    labels = images.labels[rows]
    return LabelledFeatures(images.features[rows], labels, measuring_weights(labels, classes, options.imbalance))
