"""Heads on parts of the training photos, for `model.evaluation.learning_curve`."""

import dataclasses
import math

import numpy as np

from model.dataset.training_data import TrainingData
from model.evaluation.learning_curve import DRAWS, FRACTIONS, MIN_PHOTOS, LearningCurve
from model.training.batches import learning_weights
from model.training.cross_validation import CALIBRATION_FOLDS, fold_of_each
from model.training.head import is_full_batch, refit_head
from model.training.head_candidates import Head, HeadOptions, LabelledFeatures
from model.training.span import span_features

# Fewer photos make fewer minibatches of an epoch: so many are run at least, or as many as with all photos.
_MIN_STEPS = 600
_MIN_HELD_OUT = 60


def measure_learning_curve(
    data: TrainingData,
    features: np.ndarray,
    head: Head,
    options: HeadOptions,
    out_of_fold: np.ndarray | None,
) -> LearningCurve | None:
    """Train heads on an eighth, a quarter and half of the training photos, three random parts each.

    They are measured on validation and test photos or, where these are few, on the training photos by five folds.
    Synthetic photos are in every part, are not counted, and nothing is measured on them.

    Args:
        data: names, labels, groups and splits are used.
        features: float32 (n, features), a row for each photo.
        head: trained on all training photos, and not on the others; its settings are used for all heads.
        out_of_fold: logits float32 (k, classes) of the training photos, followed by any others, by heads trained
            without them.

    Returns:
        None with too few photos, and where there is nothing to measure on.
    """
    train, held_out = data.rows("train"), data.rows("val", "test")
    real = len(data.real_rows("train"))
    if real < MIN_PHOTOS:
        return None
    width, classes = head.kernel.shape
    spanned = span_features(features) if is_full_batch(width, classes, options) else features
    if len(held_out) >= _MIN_HELD_OUT:
        heads = _Heads(data, spanned, train, head, options)
        correct = [heads.correct(fraction, held_out) for fraction in FRACTIONS]
        whole = head.logits(features[held_out]).argmax(axis=1) == data.labels[held_out]
        photos = (*(heads.size(fraction) for fraction in FRACTIONS), real)
        measured = "validation and test photos" if len(data.rows("test")) else "validation photos"
        return LearningCurve(data.classes, photos, data.labels[held_out], np.array([*correct, whole]), measured)
    if out_of_fold is None:
        return None
    return _by_folds(data, spanned, train, head, options, out_of_fold[: len(train)])


def _by_folds(
    data: TrainingData,
    features: np.ndarray,
    rows: np.ndarray,
    head: Head,
    options: HeadOptions,
    out_of_fold: np.ndarray,
) -> LearningCurve:
    chosen = data.select(rows)
    real = chosen.is_real
    fold_of = fold_of_each(chosen, CALIBRATION_FOLDS, options.seed)
    correct = np.zeros((len(FRACTIONS) + 1, len(rows)))
    correct[-1, real] = out_of_fold[real].argmax(axis=1) == chosen.labels[real]
    for fold in np.unique(fold_of[real]):
        inside = (fold_of == fold) & real
        heads = _Heads(data, features, rows[fold_of != fold], head, options)
        for index, fraction in enumerate(FRACTIONS):
            correct[index, inside] = heads.correct(fraction, rows[inside])
    kept = int(real.sum()) * (CALIBRATION_FOLDS - 1) / CALIBRATION_FOLDS
    photos = tuple(round(kept * fraction) for fraction in (*FRACTIONS, 1))
    return LearningCurve(
        *(data.classes, photos, chosen.labels[real], correct[:, real]),
        "training photos by five folds",
        CALIBRATION_FOLDS,
    )


class _Heads:
    """Heads on random parts of the same training photos."""

    def __init__(
        self, data: TrainingData, features: np.ndarray, train: np.ndarray, head: Head, options: HeadOptions
    ) -> None:
        real = data.is_real[train]
        self._data, self._features, self._train, self._synthetic = data, features, train[real], train[~real]
        self._head, self._options = head, options

    def size(self, fraction: float) -> int:
        """Number of photos in a part."""
        return len(self._part(fraction, 0)) - len(self._synthetic)

    def correct(self, fraction: float, rows: np.ndarray) -> np.ndarray:
        """Fraction of the draws in which a photo is predicted correctly, float (k,)."""
        hits = np.zeros(len(rows))
        for draw in range(DRAWS):
            predicted = self._fitted(self._part(fraction, draw)).logits(self._features[rows]).argmax(axis=1)
            hits += predicted == self._data.labels[rows]
        return hits / DRAWS

    def _part(self, fraction: float, draw: int) -> np.ndarray:
        """A random part with the same fraction of each class, at least one photo of it, and all synthetic photos."""
        labels = self._data.labels[self._train]
        order = np.random.default_rng([self._options.seed, draw]).permutation(len(self._train))
        parts = []
        for label in np.unique(labels):
            of_class = order[labels[order] == label]
            parts.append(of_class[: max(1, round(fraction * len(of_class)))])
        return np.concatenate([self._train[np.sort(np.concatenate(parts))], self._synthetic])

    def _fitted(self, rows: np.ndarray) -> Head:
        labels, classes = self._data.labels[rows], len(self._data.classes)
        weights = learning_weights(labels, classes, self._options.imbalance)
        images = LabelledFeatures(self._features[rows], labels, weights)
        chosen = dataclasses.replace(self._head, best_epoch=self._epochs(len(rows)))
        return refit_head(images, classes, chosen, self._options)

    def _epochs(self, photos: int) -> int:
        """Number of epochs on a part: that of the head, or more while its minibatches are few."""
        batch, epochs = self._options.batch_size, max(self._head.best_epoch, 1)
        features, classes = self._head.kernel.shape
        if is_full_batch(features, classes, self._options):
            return epochs
        steps, all_steps = math.ceil(photos / batch), math.ceil((len(self._train) + len(self._synthetic)) / batch)
        enough = min(_MIN_STEPS, epochs * all_steps)
        return max(epochs, math.ceil(enough / steps))
