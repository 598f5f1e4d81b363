"""Photos without a label in the order in which sorting them helps most: the least certain ones first."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from model.bundle import Bundle
from model.reading import UnreadableError, parse_json, read_lines
from model.results import Prediction
from model.studio.files import predictions_path
from model.studio.model_view import renamed_classes
from model.workspace import Workspace

MAX_CLASSES = 9
"""Classes that are listed for a photo: one for each digit key."""

# A kilobyte for each of a million photos.
_MAX_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class Unsorted:
    """A photo without a label.

    Attributes:
        photo: path relative to the dataset.
        labels, probabilities: the most probable classes by the names that they have today, the first one first; empty
            without a prediction.
        error: why there is no prediction, if it was tried.
    """

    photo: str
    labels: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str = ""


@dataclasses.dataclass(frozen=True)
class SortingQueue:
    """The photos of a dataset without a label, the least certain first; those without a prediction last.

    Attributes:
        predicted: number of them with a prediction, or with an error in its place.
    """

    photos: tuple[Unsorted, ...]
    predicted: int


def sorting_queue(workspace: Workspace, bundle: Bundle | None, dataset: Path, photos: Sequence[str]) -> SortingQueue:
    """Order photos without a label by the predictions that there are.

    Args:
        bundle: the model; None for photos in the order of their names.
        dataset: its folder.
        photos: paths relative to the dataset.
    """
    predictions: Mapping[str, Prediction] = {}
    renamed: Mapping[str, str] = {}
    if bundle is not None:
        predictions = read_predictions(predictions_path(workspace, bundle, dataset.name))
        renamed = renamed_classes(bundle, dataset)
    found = [_unsorted(photo, predictions.get(photo), renamed) for photo in photos]
    found.sort(key=lambda one: (not one.labels, one.probabilities[0] if one.probabilities else 0.0))
    return SortingQueue(tuple(found), sum(photo in predictions for photo in photos))


def read_predictions(path: Path) -> Mapping[str, Prediction]:
    """The predictions that a file has so far, by photo; a line that is being written is left out."""
    try:
        lines = read_lines(path, _MAX_BYTES)
    except (OSError, UnreadableError):
        return {}
    found = {}
    for line in lines:
        if line:
            try:
                prediction = Prediction.from_json(parse_json(line, file_names=True))
            except UnreadableError:
                continue
            found[prediction.image] = prediction
    return found


def _unsorted(photo: str, prediction: Prediction | None, renamed: Mapping[str, str]) -> Unsorted:
    if prediction is None:
        return Unsorted(photo)
    sums: dict[str, float] = defaultdict(float)
    for label, probability in zip(prediction.labels, prediction.probabilities, strict=True):
        sums[renamed.get(label, label)] += probability
    # Classes that were merged count together.
    labels = sorted(sums, key=sums.__getitem__, reverse=True)[:MAX_CLASSES]
    return Unsorted(photo, tuple(labels), tuple(round(sums[name], 4) for name in labels), prediction.error or "")
