"""Most confident errors: often wrong labels, or a systematic confusion."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from model.dataset.rereading import PhotoReader
from model.errors import ImageError, StorageError
from model.evaluation.evaluate import Evaluation
from model.measurements import MEASUREMENTS, Measurement
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
        measurement: the evaluation that made the prediction.
    """

    name: str
    true: str
    predicted: str
    true_probability: float
    predicted_probability: float
    image: np.ndarray
    overlay: np.ndarray
    measurement: Measurement = "test"


def find_confident_errors(
    evaluations: Mapping[Measurement, Evaluation],
    predictor: Predictor,
    limit: int = MAX_ERRORS,
    photos: PhotoReader | None = None,
) -> tuple[ConfidentError, ...]:
    """Incorrect predictions, at most `limit`, the most confident first; each image is read again.

    Those on test images and of cross-validation are taken together; those on validation images only without either.

    Args:
        photos: reads the images, and records those that are left out because they are gone or changed.
    """
    photos = photos or PhotoReader()
    found: list[ConfidentError] = []
    for name, row in _errors_by_confidence(evaluations):
        if len(found) == limit:
            break
        sample = evaluations[name].samples[row]
        try:
            image = predictor.decode(photos.read(sample))
        except ImageError as error:
            photos.leave_out(sample, error)
            continue
        except StorageError as error:
            # The mount was waited for; a model without these figures is better than none.
            photos.leave_out(sample, error)
            break
        found.append(_explain(name, evaluations[name], row, image, predictor))
    return tuple(found)


def evaluations_with_errors(evaluations: Mapping[Measurement, Evaluation]) -> tuple[Measurement, ...]:
    """The evaluations whose errors a report shows: test images and cross-validation, or else validation images."""
    independent = tuple(name for name in MEASUREMENTS if name in evaluations and name != "val")
    return independent or tuple(evaluations)


def _errors_by_confidence(evaluations: Mapping[Measurement, Evaluation]) -> list[tuple[Measurement, int]]:
    """The evaluation and the row of each incorrect prediction."""
    errors: list[tuple[float, Measurement, int]] = []
    for name in evaluations_with_errors(evaluations):
        probabilities = evaluations[name].probabilities
        incorrect = np.flatnonzero(probabilities.argmax(axis=1) != evaluations[name].labels)
        errors += [(float(probabilities[row].max()), name, int(row)) for row in incorrect]
    return [(name, row) for _, name, row in sorted(errors, key=lambda error: -error[0])]


def _explain(
    name: Measurement, evaluation: Evaluation, row: int, image: np.ndarray, predictor: Predictor
) -> ConfidentError:
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
        measurement=name,
    )
