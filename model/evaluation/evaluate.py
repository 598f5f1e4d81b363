"""Evaluation of a model on labelled images."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model import durable
from model.bundle import Bundle
from model.dataset.verdict import Rejected
from model.errors import DatasetError
from model.evaluation.marks import count_marks, judge_all, marked_unknown
from model.evaluation.metrics import evaluate_predictions
from model.evaluation.predicting import ImagePredictions, predict_samples
from model.results import Progress, Sample, labels_of, no_progress
from model.serving.predictor import load_predictor
from model.tables import EVALUATION_COLUMNS


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Predictions of a model for labelled images, and their metrics.

    Attributes:
        classes: class names in label order.
        samples: the images that could be read, in the order of the rows below.
        probabilities: float32 (n, classes), calibrated.
        labels: int64 (n,), the true classes.
        metrics: see `model.evaluation.metrics.evaluate_predictions`; with thresholds, also
            `model.evaluation.marks.count_marks`.
        errors: images that could not be read, with the reasons; excluded from the metrics.
        distances: float (n,), from the training images, NaN where not measured; None for a model without reference
            features.
        unknown: bool (n,), whether each image is marked unknown; None for a model without a threshold for that.
    """

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    probabilities: np.ndarray
    labels: np.ndarray
    metrics: dict[str, Any]
    errors: tuple[Rejected, ...] = ()
    distances: np.ndarray | None = None
    unknown: np.ndarray | None = None


def evaluate_probabilities(
    classes: Sequence[str],
    samples: Sequence[Sample],
    probabilities: np.ndarray,
    errors: Sequence[Rejected] = (),
    folds: int = 0,
    thresholds: Mapping[str, Any] | None = None,
    distances: np.ndarray | None = None,
) -> Evaluation:
    """Evaluate predictions that have been computed already.

    Args:
        classes: class names in label order.
        samples: the images, with their true classes.
        probabilities: float (n, classes), a row for each sample.
        errors: images without predictions.
        folds: number of folds if they are the out-of-fold predictions of cross-validation.
        thresholds: thresholds in the manifest, to count how many images are marked as unknown and uncertain.
        distances: (n,), from the training images; None for a model without reference features.

    Raises:
        DatasetError: there are no samples.
    """
    labels = labels_of(samples)
    metrics = evaluate_predictions(probabilities, labels, classes, folds)
    if thresholds is not None:
        judgements = judge_all(probabilities, distances, classes, thresholds)
        metrics |= count_marks(judgements, probabilities.argmax(axis=1) == labels, folds)
    unknown = marked_unknown(distances, thresholds or {})
    return Evaluation(tuple(classes), tuple(samples), probabilities, labels, metrics, tuple(errors), distances, unknown)


def evaluate_bundle(bundle: Bundle, samples: Sequence[Sample], progress: Progress = no_progress) -> Evaluation:
    """Load a trained model and evaluate it; labels are indices into the classes of the model.

    Args:
        progress: called with the phase `evaluate`, in images.

    Raises:
        DatasetError: there are no samples, or none can be read.
        ModelDamagedError: the model cannot be loaded.
    """
    predicted = predict_samples([load_predictor(bundle)], samples, progress)
    return evaluate_predicted(bundle, predicted.samples, predicted.by_model[0], predicted.errors)


def evaluate_predicted(
    bundle: Bundle, samples: Sequence[Sample], predictions: ImagePredictions, errors: Sequence[Rejected] = ()
) -> Evaluation:
    """Evaluate the predictions of a trained model; labels are indices into the classes of the model.

    Args:
        predictions: a row for each sample.
        errors: images that could not be read.

    Raises:
        DatasetError: there are no samples.
    """
    if errors and not samples:
        raise DatasetError(
            f"expected at least one readable image, received {len(errors)} that cannot be read. "
            f"The first is {errors[0].name}: {errors[0].reason}"
        )
    return evaluate_probabilities(
        bundle.manifest.classes,
        samples,
        predictions.probabilities,
        errors,
        thresholds=bundle.manifest.thresholds,
        distances=predictions.distances,
    )


def write_predictions(path: Path, evaluation: Evaluation, others: Iterable[Sequence[str]] = ()) -> None:
    """Write a row per image, with the columns `EVALUATION_COLUMNS`.

    `probability` and `second_probability` are those of the two most probable classes; `correct` and `unknown` are true
    or false; `unknown` and `distance` are empty where the model has no threshold and no reference features.

    Args:
        others: further rows, of images that are not part of the evaluation; see `prediction_rows`.
    """
    true_of = [evaluation.classes[sample.label] for sample in evaluation.samples]
    predictions = ImagePredictions(evaluation.probabilities, evaluation.distances)
    rows = prediction_rows(evaluation.classes, evaluation.samples, true_of, predictions, evaluation.unknown)
    durable.write_csv(path, EVALUATION_COLUMNS, itertools.chain(rows, others))


def prediction_rows(
    classes: Sequence[str],
    samples: Sequence[Sample],
    true_of: Sequence[str],
    predictions: ImagePredictions,
    unknown: np.ndarray | None,
) -> Iterator[tuple[str, ...]]:
    """A row per image with the columns `EVALUATION_COLUMNS`; `correct` is empty for a class that the model lacks.

    Args:
        classes: class names of the model in label order.
        true_of: the true class of each sample.
        unknown: bool (n,); None for a model that does not mark images as unknown.
    """
    probabilities = predictions.probabilities
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :2].tolist()
    distances = [None] * len(samples) if predictions.distances is None else predictions.distances.tolist()
    for row, (sample, true, best, distance) in enumerate(zip(samples, true_of, ranked, distances, strict=True)):
        # A model of one class has no second.
        second = best[1] if len(best) > 1 else None
        yield (
            sample.name,
            true,
            classes[best[0]],
            f"{probabilities[row, best[0]]:.6f}",
            _true_or_false(classes[best[0]] == true) if true in classes else "",
            "" if second is None else classes[second],
            "" if second is None else f"{probabilities[row, second]:.6f}",
            "" if unknown is None else _true_or_false(bool(unknown[row])),
            "" if distance is None or math.isnan(distance) else f"{distance:.6f}",
        )


def _true_or_false(value: bool) -> str:
    return "true" if value else "false"
