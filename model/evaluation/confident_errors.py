"""Most confident errors: often wrong labels, or a systematic confusion."""

import dataclasses

import numpy as np

from model.dataset.images import read_content
from model.errors import ImageError
from model.evaluation.evaluate import Evaluation
from model.serving.prediction_figure import overlay_activation
from model.serving.predictor import Predictor

MAX_ERRORS = 12


@dataclasses.dataclass(frozen=True)
class ConfidentError:
    """One image predicted incorrectly.

    Attributes:
        name: path inside the dataset.
        true, predicted: class names.
        true_probability, predicted_probability: their calibrated probabilities, in [0, 1].
        image: the network input, uint8 (height, width, 3).
        overlay: the same with the class activation map of `predicted` laid over it, uint8 (height, width, 3).
    """

    name: str
    true: str
    predicted: str
    true_probability: float
    predicted_probability: float
    image: np.ndarray
    overlay: np.ndarray


def find_confident_errors(
    evaluation: Evaluation, predictor: Predictor, limit: int = MAX_ERRORS
) -> tuple[ConfidentError, ...]:
    """Incorrect predictions, at most `limit`, the most confident first; each image is read again.

    An image that can no longer be read is skipped.
    """
    found: list[ConfidentError] = []
    for row in _errors_by_confidence(evaluation):
        if len(found) == limit:
            break
        try:
            image = predictor.decode(read_content(evaluation.samples[row].path))
        except ImageError:
            continue
        found.append(_explain(evaluation, row, image, predictor))
    return tuple(found)


def _errors_by_confidence(evaluation: Evaluation) -> list[int]:
    predicted, confidence = evaluation.probabilities.argmax(axis=1), evaluation.probabilities.max(axis=1)
    incorrect = np.flatnonzero(predicted != evaluation.labels)
    order: list[int] = incorrect[np.argsort(-confidence[incorrect], kind="stable")].tolist()
    return order


def _explain(evaluation: Evaluation, row: int, image: np.ndarray, predictor: Predictor) -> ConfidentError:
    probabilities, label = evaluation.probabilities[row], int(evaluation.labels[row])
    predicted = int(probabilities.argmax())
    return ConfidentError(
        name=evaluation.samples[row].name,
        true=evaluation.classes[label],
        predicted=evaluation.classes[predicted],
        true_probability=float(probabilities[label]),
        predicted_probability=float(probabilities[predicted]),
        image=image,
        overlay=overlay_activation(image, predictor.activation_maps(image)[..., predicted]),
    )
