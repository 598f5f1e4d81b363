"""The errors a model was most sure of, with what it looked at: often a wrong label, or a habit worth knowing."""

import dataclasses

import numpy as np

from model.dataset.images import read_content
from model.errors import ImageError
from model.evaluation.evaluate import Evaluation
from model.serving.prediction_figure import overlay_activation
from model.serving.predictor import Predictor

MOST_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class WrongAnswer:
    """One image that was answered wrong.

    Attributes:
        name: path inside the dataset.
        true, predicted: class names.
        true_probability, predicted_probability: theirs, in [0, 1], calibrated.
        picture: what the network saw, uint8 (height, width, 3).
        heat: the same with the evidence for `predicted` laid over it, uint8 (height, width, 3).
    """

    name: str
    true: str
    predicted: str
    true_probability: float
    predicted_probability: float
    picture: np.ndarray
    heat: np.ndarray


def find_wrong_answers(evaluation: Evaluation, predictor: Predictor, most: int = MOST_SHOWN) -> tuple[WrongAnswer, ...]:
    """The wrong answers with the highest confidence first, at most `most`; each image is read again.

    An image that has vanished since it was evaluated is passed over.
    """
    shown: list[WrongAnswer] = []
    for row in _surest_errors(evaluation):
        if len(shown) == most:
            break
        try:
            picture = predictor.decode(read_content(evaluation.samples[row].path))
        except ImageError:
            continue
        shown.append(_explain(evaluation, row, picture, predictor))
    return tuple(shown)


def _surest_errors(evaluation: Evaluation) -> list[int]:
    answers, confidence = evaluation.probabilities.argmax(axis=1), evaluation.probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != evaluation.labels)
    order: list[int] = wrong[np.argsort(-confidence[wrong], kind="stable")].tolist()
    return order


def _explain(evaluation: Evaluation, row: int, picture: np.ndarray, predictor: Predictor) -> WrongAnswer:
    probabilities, label = evaluation.probabilities[row], int(evaluation.labels[row])
    answer = int(probabilities.argmax())
    return WrongAnswer(
        name=evaluation.samples[row].name,
        true=evaluation.classes[label],
        predicted=evaluation.classes[answer],
        true_probability=float(probabilities[label]),
        predicted_probability=float(probabilities[answer]),
        picture=picture,
        heat=overlay_activation(picture, predictor.activation_maps(picture)[..., answer]),
    )
