"""The result of a training: backbone, calibrated head, thresholds, and predictions on images it was not trained on."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax

from model.dataset.training_data import TrainingData, take_rows
from model.evaluation.calibration import fit_temperature
from model.evaluation.learning_curve import LearningCurve
from model.evaluation.marks import fit_thresholds
from model.evaluation.photo_features import PhotoFeatures
from model.evaluation.unknown import describe_held_out, out_of_fold_distances, reference_distances
from model.measurements import Measurement
from model.results import Sample, Split
from model.serving.reference_features import ReferenceFeatures, build_reference_features
from model.training.backbone import UsedBackbone
from model.training.context import TrainingContext
from model.training.cross_validation import CrossValidation, calibration_folds
from model.training.epochs import Epoch
from model.training.head_candidates import Head


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predictions on labelled images.

    Attributes:
        probabilities, uncalibrated: float32 (n, classes), softmax with and without the temperature.
        folds: number of cross-validation folds; 0 for predictions of the model itself.
        distances: float32 (n,), from the training images; from those of the other folds in cross-validation.
    """

    samples: tuple[Sample, ...]
    probabilities: np.ndarray
    uncalibrated: np.ndarray
    folds: int = 0
    distances: np.ndarray | None = None

    @classmethod
    def from_logits(
        cls,
        samples: tuple[Sample, ...],
        logits: np.ndarray,
        temperature: float,
        folds: int = 0,
        distances: np.ndarray | None = None,
    ) -> "Predictions":
        """The predictions of a model with these logits, float32 (n, classes)."""
        return cls(samples, softmax(logits / temperature, axis=-1), softmax(logits, axis=-1), folds, distances)


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes:
        kernel, bias: the head, float32 (features, classes) and (classes,).
        chosen: the head that validation chose, before it was trained on validation images too.
        temperature: divides the logits, fitted on out-of-fold predictions, else on validation.
        thresholds: thresholds of the distance and of the confidence, as in `model.bundle.Manifest`; those of the
            confidence are fitted on the same predictions.
        reference: features of the training images.
        held_out: description of the images of `val` and `test`, none of which is in `reference`; see
            `model.evaluation.unknown.describe_held_out`.
        history: a row per epoch of every phase.
        predictions: on `val`, by the head that validation chose, before it is refitted; on `test`, if the dataset
            has that split; and of `cross_validation`, if there was one and the backbone stayed frozen.
        photos: all images with their features and out-of-sample probabilities, for the report.
        curve: accuracy by number of training images; None if it was not measured.
        warnings: sentences about possible problems, for the reader of the result.
        remarks: sentences about choices of the training.
    """

    backbone: UsedBackbone
    kernel: np.ndarray
    bias: np.ndarray
    chosen: Head
    temperature: float
    thresholds: Mapping[str, Any]
    reference: ReferenceFeatures
    held_out: np.ndarray
    history: tuple[Epoch, ...]
    predictions: Mapping[Measurement, Predictions]
    photos: PhotoFeatures
    curve: LearningCurve | None = None
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class FittedParts:
    """The learned parts of a classifier, before calibration.

    Attributes:
        data: the images that have features; without those that were gone or changed after the fine-tuning.
        features: float32 (n, features), a row for each image of `data`.
        chosen: the head that validation chose.
        final: the head of the classifier, which may have been trained on validation images too.
        cross_validation: out-of-fold predictions, if there are any and the backbone stayed frozen.
        out_of_fold: float32 (k, classes), logits of the images of `train` and `val` by heads trained without them, to
            calibrate on; None to calibrate on `val`.
        train_logits: float32 (images of `train`, classes), by frozen heads trained without them; None without any.
        curve: accuracy by number of training images; None if it was not measured.
    """

    backbone: UsedBackbone
    data: TrainingData
    features: np.ndarray
    chosen: Head
    final: Head
    history: tuple[Epoch, ...]
    cross_validation: CrossValidation | None = None
    out_of_fold: np.ndarray | None = None
    is_frozen: bool = True
    train_logits: np.ndarray | None = None
    curve: LearningCurve | None = None


def calibrated_classifier(context: TrainingContext, fitted: FittedParts) -> Classifier:
    """Calibrate on images that had no part in the weights, predict validation and test images, and set thresholds."""
    data, features, seed = fitted.data, fitted.features, context.config.seed
    if len(data) == len(context.data):
        context.journal.features(features)
    train = data.rows("train")
    names = [data.names[row] for row in train.tolist()]
    reference = build_reference_features(take_rows(features, train), data.labels[train], names, seed)
    distances = _distances(fitted, reference, seed)
    calibrating, labels, logits, folds = _calibration_set(fitted)
    temperature = fit_temperature(logits, labels)
    thresholds = fit_thresholds(
        softmax(logits / temperature, axis=-1),
        labels,
        distances["cross_validation" if fitted.is_frozen else "val"],
        data.classes,
        context.config.target_accuracy,
        calibrating,
        folds,
    )
    return Classifier(
        backbone=fitted.backbone,
        kernel=fitted.final.kernel,
        bias=fitted.final.bias,
        chosen=fitted.chosen,
        temperature=temperature,
        thresholds=thresholds,
        reference=reference,
        held_out=describe_held_out(reference, take_rows(features, data.rows("val", "test")), seed),
        history=fitted.history,
        predictions=_predictions(fitted, temperature, distances),
        photos=_photo_features(fitted, temperature, reference),
        curve=fitted.curve,
        warnings=tuple(context.warnings),
        remarks=tuple(context.remarks),
    )


def _distances(fitted: FittedParts, reference: ReferenceFeatures, seed: int) -> dict[Measurement, np.ndarray]:
    """Distances of the images of each measurement from reference features that do not contain them."""
    data, features = fitted.data, fitted.features
    distances: dict[Measurement, np.ndarray] = {
        "val": reference_distances(reference, take_rows(features, data.rows("val"))),
        "test": reference_distances(reference, take_rows(features, data.rows("test"))),
    }
    if fitted.is_frozen:
        train = data.rows("train")
        real = data.is_real[train]
        unseen = out_of_fold_distances(take_rows(features, train), data.labels[train], data.groups[train], seed, real)
        distances["cross_validation"] = np.concatenate([unseen[real], distances["val"]])
    return distances


def _calibration_set(fitted: FittedParts) -> tuple[Measurement, np.ndarray, np.ndarray, int]:
    """Images that heads were not trained on: how they were measured, labels, logits, and the number of folds or 0."""
    data = fitted.data
    if fitted.out_of_fold is not None:
        rows = data.rows("train", "val")
        real = data.is_real[rows]
        folds = data.folds or calibration_folds(data.select(rows))
        return "cross_validation", data.labels[rows[real]], fitted.out_of_fold[real], folds
    rows = data.rows("val")
    return "val", data.labels[rows], fitted.chosen.logits(take_rows(fitted.features, rows)), 0


def _predictions(
    fitted: FittedParts, temperature: float, distances: Mapping[Measurement, np.ndarray]
) -> dict[Measurement, Predictions]:
    """The predictions of each measurement."""
    data, features, found = fitted.data, fitted.features, fitted.cross_validation
    samples: dict[Measurement, tuple[Sample, ...]] = {"val": data.samples("val"), "test": data.samples("test")}
    logits: dict[Measurement, np.ndarray] = {
        "val": fitted.chosen.logits(take_rows(features, data.rows("val"))),
        "test": fitted.final.logits(take_rows(features, data.rows("test"))),
    }
    if found is not None:
        rows = data.rows("train", "val")
        real = data.is_real[rows]
        samples["cross_validation"] = tuple(data.source[row] for row in rows[real].tolist())
        logits["cross_validation"] = found.logits[real]
    folds: dict[Measurement, int] = {"cross_validation": data.folds}
    return {
        name: Predictions.from_logits(samples[name], values, temperature, folds.get(name, 0), distances[name])
        for name, values in logits.items()
        if samples[name]
    }


def _photo_features(fitted: FittedParts, temperature: float, reference: ReferenceFeatures) -> PhotoFeatures:
    """All images, with probabilities of those that some head was not trained on."""
    data, features = fitted.data, fitted.features
    logits = np.full((len(data), len(data.classes)), np.nan, np.float32)
    if fitted.train_logits is not None:
        logits[data.rows("train")] = fitted.train_logits
    heads: dict[Split, Head] = {"val": fitted.chosen, "test": fitted.final}
    for split, head in heads.items():
        logits[data.rows(split)] = head.logits(take_rows(features, data.rows(split)))
    split_of: list[Split] = ["train"] * len(data)
    for split in heads:
        for row in data.rows(split).tolist():
            split_of[row] = split
    probabilities = softmax(logits / temperature, axis=-1)
    return PhotoFeatures(data.classes, data.source, tuple(split_of), features, probabilities, reference)
