"""Predictions of one or several models for labelled images, each of which is read and decoded once per input."""

import dataclasses
import itertools
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from model.dataset.images import read_content
from model.dataset.pipeline import decode_within_budget, in_threads
from model.dataset.reading import read_photo
from model.dataset.verdict import Rejected
from model.errors import ImageError
from model.evaluation.shared_backbones import Answer, share_backbones
from model.results import InputSpec, Progress, Sample, no_progress
from model.serving.predictor import Predictor

BATCH_SIZE = 32
_TIMED_RUNS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class ImagePredictions:
    """Predictions of one model, a row per image.

    Attributes:
        probabilities: float32 (n, classes), calibrated.
        distances: float32 (n,), from the training images; None for a model without reference features.
        features: float32 (n, features), of the backbone; None for such a model, and where they were not kept.
    """

    probabilities: np.ndarray
    distances: np.ndarray | None
    features: np.ndarray | None = None

    def rows(self, rows: np.ndarray) -> "ImagePredictions":
        """The predictions of some of the images; `rows` is an index array or bool (n,)."""
        others = [None if values is None else values[rows] for values in (self.distances, self.features)]
        return ImagePredictions(self.probabilities[rows], *others)


@dataclasses.dataclass(frozen=True, eq=False)
class PredictedSamples:
    """Predictions of each model for the same images.

    Attributes:
        samples: the images that could be read, in the order of the rows.
        by_model: the predictions of each model, in the order of the models.
        errors: images that could not be read, with the reasons.
    """

    samples: tuple[Sample, ...]
    by_model: tuple[ImagePredictions, ...]
    errors: tuple[Rejected, ...]


def predict_samples(
    predictors: Sequence[Predictor],
    samples: Sequence[Sample],
    progress: Progress = no_progress,
    keep_features: bool = False,
) -> PredictedSamples:
    """Predict images with each model.

    Images are decoded in threads, once for models with the same input, and predicted 32 at a time, so memory does not
    grow with their number. A backbone that several models share runs once.

    Args:
        predictors: one model or several.
        samples: the images; their labels are not used.
        progress: called with the phase `evaluate`, in images.
        keep_features: return the features too, which take some kilobytes for each image.
    """
    specs = list(dict.fromkeys(predictor.spec for predictor in predictors))
    read: list[Sample] = []
    errors: list[Rejected] = []
    groups = share_backbones(predictors)
    rows: dict[Predictor, list[Answer]] = {predictor: [] for predictor in predictors}
    images = zip(samples, _decoded(samples, specs), strict=True)
    while batch := list(itertools.islice(images, BATCH_SIZE)):
        decodable = [(sample, views) for sample, views in batch if not isinstance(views, Rejected)]
        errors += [views for _, views in batch if isinstance(views, Rejected)]
        if decodable:
            inputs = {spec: np.stack([views[number] for _, views in decodable]) for number, spec in enumerate(specs)}
            for group in groups:
                answers = group.predict(inputs[group.predictors[0].spec])
                for predictor, answer in zip(group.predictors, answers, strict=True):
                    rows[predictor].append(answer if keep_features else answer._replace(features=None))
            read += [sample for sample, _ in decodable]
        progress("evaluate", len(read) + len(errors), len(samples))
    by_model = tuple(_joined(predictor, rows[predictor]) for predictor in predictors)
    return PredictedSamples(tuple(read), by_model, tuple(errors))


def milliseconds_of(predictors: Sequence[Predictor], runs: int = _TIMED_RUNS) -> list[float]:
    """Median time in milliseconds that each model takes for one decoded image, a grey one, on this machine now.

    Args:
        predictors: one model or several, which take turns.
        runs: number of runs of each model, after one that is not counted.
    """
    images = [np.full(predictor.spec.shape, 127, np.uint8) for predictor in predictors]
    seconds: list[list[float]] = [[] for _ in predictors]
    for _ in range(runs + 1):
        for predictor, image, taken in zip(predictors, images, seconds, strict=True):
            started = time.perf_counter()
            predictor.probabilities(image[None])
            taken.append(time.perf_counter() - started)
    return [1000 * float(np.median(taken[1:])) for taken in seconds]


def decoded_for(predictors: Iterable[Predictor], path: Path) -> dict[InputSpec, np.ndarray]:
    """Read one image, and decode it once for each input of the models: uint8 (height, width, 3) by input.

    Raises:
        ImageError, StorageError: it cannot be read or decoded.
    """
    content = read_content(path)
    specs = {predictor.spec for predictor in predictors}
    return {spec: decode_within_budget(content, spec).pixels for spec in specs}


def _decoded(samples: Iterable[Sample], specs: Sequence[InputSpec]) -> Iterable[tuple[np.ndarray, ...] | Rejected]:
    def work(sample: Sample) -> tuple[np.ndarray, ...] | Rejected:
        try:
            content = read_photo(sample)
            return tuple(decode_within_budget(content, spec).pixels for spec in specs)
        except ImageError as error:
            return Rejected(sample.name, error.message)

    return in_threads(work, samples)


def _joined(predictor: Predictor, found: Sequence[Answer]) -> ImagePredictions:
    if not found:
        return ImagePredictions(np.empty((0, len(predictor.bundle.manifest.classes)), np.float32), None)
    probabilities, *others = (
        None if values[0] is None else np.concatenate(values) for values in zip(*found, strict=True)
    )
    return ImagePredictions(np.asarray(probabilities), *others)
