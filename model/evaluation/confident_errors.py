"""Most confident errors: often wrong labels, or a systematic confusion."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from model.dataset.rereading import PhotoReader
from model.errors import ImageError, StorageError
from model.evaluation.evaluate import Evaluation
from model.measurements import MEASUREMENTS, Measurement
from model.serving.occlusion import maps_agree, occlusion_map
from model.serving.prediction_figure import overlay_activation
from model.serving.predictor import Predictor

MAX_ERRORS = 12
# For all occlusion maps of a report: a large network on a CPU takes a minute for each.
SECONDS_FOR_OCCLUSION = 10.0
# A map takes as long as 25 photos of the training: two for a few photos, and one more for each so many, up to a limit.
_MIN_MAPS, _IMAGES_PER_MAP, _MAX_MAPS = 2, 50, 6


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
        occlusion: as `overlay`, with the occlusion map; None for a network that runs by Keras, or if there was no time.
        maps_agree: whether both maps have their maximum in the same region; None without an occlusion map.
    """

    name: str
    true: str
    predicted: str
    true_probability: float
    predicted_probability: float
    image: np.ndarray
    overlay: np.ndarray
    measurement: Measurement = "test"
    occlusion: np.ndarray | None = None
    maps_agree: bool | None = None


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
    images = max((len(evaluation.samples) for evaluation in evaluations.values()), default=0)
    return tuple(_with_occlusion(found, predictor, min(_MAX_MAPS, _MIN_MAPS + images // _IMAGES_PER_MAP)))


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


def _with_occlusion(errors: Sequence[ConfidentError], predictor: Predictor, limit: int) -> Iterator[ConfidentError]:
    """Add occlusion maps to the first `limit` errors, as many as fit into `SECONDS_FOR_OCCLUSION`."""
    classes = predictor.bundle.manifest.classes
    started, longest = time.perf_counter(), 0.0
    is_slow = predictor.bundle.manifest.engine == "keras"
    for number, error in enumerate(errors):
        before = time.perf_counter()
        if number >= limit or is_slow or before - started + longest > SECONDS_FOR_OCCLUSION:
            yield error
            continue
        label = classes.index(error.predicted)
        activation = predictor.activation_maps(error.image)[..., label]
        effects = occlusion_map(predictor, error.image, label, activation)
        overlay = overlay_activation(error.image, effects)
        if activation.size == 1:
            # The features have no positions: this is the only map.
            yield dataclasses.replace(error, overlay=overlay)
        else:
            yield dataclasses.replace(error, occlusion=overlay, maps_agree=maps_agree(activation, effects))
        longest = max(longest, time.perf_counter() - before)


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
