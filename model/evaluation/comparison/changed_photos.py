"""Photos that a new model fixes or breaks, with the predictions and the class activation maps of both models."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from model.errors import ImageError, StorageError
from model.evaluation.comparison.result import Comparison, Pair
from model.evaluation.predicting import decoded_for
from model.results import Sample
from model.serving.prediction_figure import overlay_activation
from model.serving.predictor import Predictor

MAX_PHOTOS = 8
"""Photos of each kind that a page shows for a pair of models."""


@dataclasses.dataclass(frozen=True, eq=False)
class ModelAnswer:
    """Prediction of one model for a photo.

    Attributes:
        predicted: class name.
        probability: its calibrated probability, in [0, 1].
        is_correct: whether it is the true class.
        unknown: whether the photo is marked unknown.
        overlay: the network input with the class activation map of `predicted` laid over it, uint8 (h, w, 3).
    """

    predicted: str
    probability: float
    is_correct: bool
    unknown: bool
    overlay: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ChangedPhoto:
    """One photo that exactly one of the models predicts correctly.

    Attributes:
        name: path inside the dataset.
        true: its class.
        image: the network input of the base model, uint8 (h, w, 3).
        base, new: the predictions.
    """

    name: str
    true: str
    image: np.ndarray
    base: ModelAnswer
    new: ModelAnswer


def find_changed(comparison: Comparison, pair: Pair, is_fixed: bool) -> list[int]:
    """Rows of the photos that the new model fixes or breaks, its most confident predictions first."""
    base, new = comparison.answers[pair.base], comparison.answers[pair.new]
    gainer, loser = (new, base) if is_fixed else (base, new)
    found = [
        row
        for row, true in enumerate(comparison.true_of)
        if gainer.predicted[row] == true and loser.predicted[row] != true
    ]
    return sorted(found, key=lambda row: -float(new.confidence[row]))


def read_changed(
    comparison: Comparison,
    pair: Pair,
    rows: Sequence[int],
    predictors: tuple[Predictor, Predictor],
    samples: Sequence[Sample],
) -> tuple[list[ChangedPhoto], int]:
    """Read the photos of these rows again.

    Args:
        predictors: the base model and the new model.
        samples: the compared photos, in the order of `comparison.names`.

    Returns:
        The first photos, and the number of those before them that could not be read again.
    """
    unreadable = 0
    found: list[ChangedPhoto] = []
    for row in rows:
        if len(found) == MAX_PHOTOS:
            break
        try:
            views = decoded_for(predictors, samples[row].path)
        except (ImageError, StorageError, OSError):
            unreadable += 1
            continue
        answers = [_answer(comparison, predictor, views[predictor.spec], row) for predictor in predictors]
        image = views[predictors[0].spec]
        found.append(ChangedPhoto(comparison.names[row], comparison.true_of[row], image, *answers))
    return found, unreadable


def _answer(comparison: Comparison, predictor: Predictor, image: np.ndarray, row: int) -> ModelAnswer:
    answers = comparison.answers[predictor.bundle.name]
    predicted = answers.predicted[row]
    activation = predictor.activation_maps(image)[..., predictor.class_index(predicted)]
    return ModelAnswer(
        predicted,
        float(answers.confidence[row]),
        predicted == comparison.true_of[row],
        answers.unknown is not None and bool(answers.unknown[row]),
        overlay_activation(image, activation),
    )
