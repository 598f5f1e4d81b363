"""Evaluation of a model on labelled images."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model import durable
from model.bundle import Bundle
from model.dataset.pipeline import decoded
from model.dataset.reading import read_photo
from model.dataset.verdict import Rejected
from model.errors import DatasetError, ImageError
from model.evaluation.marks import count_marks, judge_all
from model.evaluation.metrics import evaluate_predictions
from model.results import Progress, Sample, labels_of, no_progress
from model.serving.predictor import load_predictor
from model.tables import EVALUATION_COLUMNS

BATCH_SIZE = 32


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
    """

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    probabilities: np.ndarray
    labels: np.ndarray
    metrics: dict[str, Any]
    errors: tuple[Rejected, ...] = ()


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
    return Evaluation(tuple(classes), tuple(samples), probabilities, labels, metrics, tuple(errors))


def evaluate_bundle(bundle: Bundle, samples: Sequence[Sample], progress: Progress = no_progress) -> Evaluation:
    """Load a trained model and evaluate it; labels are indices into the classes of the model.

    Images are decoded in threads and predicted 32 at a time, so memory does not grow with their number.

    Args:
        progress: called with the phase `evaluate`, in images.

    Raises:
        DatasetError: there are no samples, or none can be read.
        ModelDamagedError: the model cannot be loaded.
    """
    predictor = load_predictor(bundle)
    read: list[Sample] = []
    rows: list[np.ndarray] = []
    far: list[np.ndarray] = []
    errors: list[Rejected] = []
    images = zip(samples, decoded(samples, read_photo, predictor.spec, on_error=_reject), strict=True)
    while batch := list(itertools.islice(images, BATCH_SIZE)):
        decodable = [(sample, image) for sample, image in batch if isinstance(image, np.ndarray)]
        errors += [image for _, image in batch if isinstance(image, Rejected)]
        if decodable:
            probabilities, distances = predictor.probabilities_and_distances(
                np.stack([image for _, image in decodable])
            )
            rows.append(probabilities)
            far += [] if distances is None else [distances]
            read += [sample for sample, _ in decodable]
        progress("evaluate", len(read) + len(errors), len(samples))
    if errors and not read:
        raise DatasetError(
            f"expected at least one readable image, received {len(errors)} that cannot be read. "
            f"The first is {errors[0].name}: {errors[0].reason}"
        )
    probabilities = np.concatenate(rows) if rows else np.empty((0, len(bundle.manifest.classes)), np.float32)
    return evaluate_probabilities(
        bundle.manifest.classes,
        read,
        probabilities,
        errors,
        thresholds=bundle.manifest.thresholds,
        distances=np.concatenate(far) if far else None,
    )


def write_predictions(path: Path, evaluation: Evaluation) -> None:
    """Write a row per image: image, true, predicted, probability of the predicted class, correct (true or false)."""
    predicted = evaluation.probabilities.argmax(axis=1)
    rows = (
        (
            sample.name,
            evaluation.classes[sample.label],
            evaluation.classes[label],
            f"{evaluation.probabilities[row, label]:.6f}",
            "true" if sample.label == label else "false",
        )
        for row, (sample, label) in enumerate(zip(evaluation.samples, predicted.tolist(), strict=True))
    )
    durable.write_csv(path, EVALUATION_COLUMNS, rows)


def _reject(sample: Sample, error: ImageError) -> Rejected:
    return Rejected(sample.name, error.message)
