"""Cross-validation of a head on cached features: an accuracy without a test split, and the settings of the head.

Every image is predicted by a head that was not trained on it, nor on its duplicates and its group (Stone, 1974). The L2
strength is the one that is best for all folds together: one image in each class, which is what a few images leave for
validation, would choose by chance. It is one number chosen on all images, from a few along a smooth curve, so that the
estimate is hardly optimistic; choosing it within each fold would cost the final head the images that choose.

L-BFGS trains each candidate until it has converged: stopping early as well regularises twice, and the best of some
hundred pairs of strength and epoch is chosen by chance more often than the best of a few strengths. Minibatches do not
converge within the epochs of a training; their number of epochs is chosen with the strength.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from model.dataset.splits import stratified_folds
from model.dataset.training_data import TrainingData
from model.training.batches import learning_weights, measuring_weights
from model.training.checkpoints import Checkpoints
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.epochs import score_of
from model.training.head import is_full_batch, train_curves, train_settled
from model.training.head_candidates import Head, HeadOptions, LabelledFeatures

CALIBRATION_FOLDS = 5

_Curves = list[list[tuple[float, float, float]]]
"""For each L2 strength and epoch: loss, accuracy and macro-F1 of held-out images."""


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
    if is_full_batch(images.features.shape[1], classes, options):
        options = dataclasses.replace(options, until_converged=True)
    fold_of, real = fold_of_each(data, plan.folds, plan.seed), data.is_real
    folds = np.unique(fold_of[real])
    found = None if checkpoints is None else checkpoints.latest()
    # Older versions, with another key, chose by other strengths and epochs.
    curves: list[_Curves] = [] if found is None else found[1].get("measured", [])
    for fold in folds[len(curves) :]:
        if deadline.is_over():
            return None
        curves.append(_curves(images, fold_of != fold, (fold_of == fold) & real, classes, options))
        if checkpoints is not None:
            checkpoints.save({}, {"measured": curves})
        on_fold(len(curves))
    sizes = [int(((fold_of == fold) & real).sum()) for fold in folds]
    l2, epochs = _best_for_all(curves, sizes, options)
    settled = dataclasses.replace(options, l2=l2, epochs=epochs)
    trained_on = np.mean([(fold_of != fold).mean() for fold in folds])
    l2_of_all = l2 if options.l2 is not None else l2 * float(trained_on)
    return CrossValidation(_out_of_fold(images, fold_of, real, settled, classes), l2_of_all, epochs)


def _curves(
    images: LabelledFeatures, training: np.ndarray, held_out: np.ndarray, classes: int, options: HeadOptions
) -> _Curves:
    """Metrics of the held-out images for each L2 strength: after each epoch, or of the converged head only."""
    train = _training(images, np.flatnonzero(training), classes, options)
    val = _validation(images, np.flatnonzero(held_out), classes, options)
    curves = train_curves(train, val, classes, options)
    return [of_strength[-1:] for of_strength in curves] if options.until_converged else curves


def _best_for_all(curves: Sequence[_Curves], sizes: Sequence[int], options: HeadOptions) -> tuple[float, int]:
    """The L2 strength and the number of epochs whose mean over all images is best."""
    longest = max(len(of_strength) for of_fold in curves for of_strength in of_fold)
    # A fold that has stopped stays as it was.
    padded = [
        [[*of_strength, *[of_strength[-1]] * (longest - len(of_strength))] for of_strength in of_fold]
        for of_fold in curves
    ]
    means = np.average(np.array(padded), axis=0, weights=sizes)
    reached = [
        [score_of(loss, accuracy, macro_f1, options.stop_on) for loss, accuracy, macro_f1 in of_strength]
        for of_strength in means.tolist()
    ]
    strength, epoch = min(
        ((strength, epoch) for strength in range(len(means)) for epoch in range(longest)),
        key=lambda place: reached[place[0]][place[1]],
    )
    return options.strengths[strength], options.epochs if options.until_converged else epoch + 1


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
    fold_of = fold_of_each(data, CALIBRATION_FOLDS, seed)
    settled = dataclasses.replace(options, l2=chosen.l2, epochs=chosen.best_epoch)
    return _out_of_fold(images, fold_of, data.is_real, settled, len(data.classes))


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
