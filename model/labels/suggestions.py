"""Suggestions of a model: the classes of photos or of their boxes, as predictions of Label Studio."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from model.config import PredictConfig
from model.dataset.images import decode_image
from model.dataset.pipeline import in_threads
from model.errors import ImageError
from model.labels.candidates import Candidate, Region, digest, region_name
from model.labels.controls import Control
from model.labels.crops import CropOptions, UnusableRegionError, cut
from model.labels.photos import Photos
from model.labels.regions import Task
from model.received import quoted
from model.results import Prediction
from model.serving.predictor import Predictor

# The probability of a suggested class that is not among the first ones is taken as 0.
_CLASSES = 100
_DIGITS = 4


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """A prediction for a task.

    Attributes:
        task: its identifier.
        score: probability of the suggested class, the lowest one of several boxes, in [0, 1].
        labels: the labels of the boxes, or of the photo.
        result: the result of the prediction as the server stores it.
        given: the labels that are suspected to be wrong; empty if none is.
        unknown: whether the model marks the photo, or a box, as unknown.
    """

    task: int
    score: float
    labels: tuple[str, ...]
    result: Sequence[Mapping[str, Any]] = dataclasses.field(repr=False)
    given: tuple[str, ...] = ()
    unknown: bool = False

    def digest(self, model_version: str) -> str:
        """Checksum of the prediction, see `model.labels.candidates.digest`."""
        return digest(model_version, self.score, self.result)


@dataclasses.dataclass(frozen=True)
class NoSuggestion:
    """A task, or a box or a suspected label of one, without a suggestion, and the reason."""

    task: int
    reason: str


@dataclasses.dataclass
class _Opened:
    """A candidate with the images of its regions, and with their predictions as they are made.

    Attributes:
        uncut: region without an image -> the reason.
    """

    candidate: Candidate
    images: Sequence[bytes | np.ndarray] = ()
    size: tuple[int, int] = (0, 0)
    uncut: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reason: str = ""
    predictions: list[Prediction] = dataclasses.field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return len(self.predictions) == len(self.images)


def suggest(
    candidates: Iterable[Candidate], photos: Photos, predictor: Predictor, control: Control, options: CropOptions
) -> Iterator[Suggestion | NoSuggestion]:
    """Classify the photos of tasks, or the boxes in them; a few photos are read ahead, so that memory is bounded.

    Args:
        options: how boxes are cut out: as in the import that the model was trained on.

    Raises:
        StorageError: the photos cannot be read at the moment.
    """
    waiting: collections.deque[_Opened] = collections.deque()

    def images() -> Iterator[tuple[str, bytes | np.ndarray]]:
        opened = in_threads(lambda one: _open(one, photos, control, options), candidates, photos.connections)
        for one in opened:
            waiting.append(one)
            yield from ((f"task {one.candidate.task}", image) for image in one.images)

    config = PredictConfig(top_k=min(_CLASSES, len(predictor.bundle.manifest.classes)))
    for prediction in predictor.predict_stream(images(), config):
        while waiting[0].is_complete:
            yield from _results(waiting.popleft(), control)
        waiting[0].predictions.append(prediction)
    while waiting:
        yield from _results(waiting.popleft(), control)


def _open(candidate: Candidate, photos: Photos, control: Control, options: CropOptions) -> _Opened:
    """Read the photo of a candidate, and cut its boxes out."""
    if candidate.reason:
        return _Opened(candidate, reason=candidate.reason)
    try:
        [name] = photos.find(Task(str(candidate.task), candidate.address, ()))
        content = photos.read(name)
        if not control.has_boxes:
            return _Opened(candidate, [content] * len(candidate.regions))
        return _cut(candidate, decode_image(content), options)
    except ImageError as error:
        return _Opened(candidate, reason=error.message)


def _cut(candidate: Candidate, pixels: np.ndarray, options: CropOptions) -> _Opened:
    """Cut out the boxes that are classified; those that cannot be cut out keep the label that they have."""
    images, reasons = [], {}
    for region in candidate.regions:
        if region.box is not None:
            try:
                # A copy, so that the photo itself is not kept.
                images.append(cut(pixels, region.box, region.photo_size, options)[0].copy())
            except UnusableRegionError as error:
                reasons[region.name] = str(error)
    return _Opened(candidate, images, (pixels.shape[1], pixels.shape[0]), reasons)


def _results(opened: _Opened, control: Control) -> Iterator[Suggestion | NoSuggestion]:
    """The suggestion of a candidate, and what of it gets none."""
    task, candidate = opened.candidate.task, opened.candidate
    failed = [prediction.error for prediction in opened.predictions if prediction.error is not None]
    uncut = [f"the box {quoted(name)}: {reason}" for name, reason in opened.uncut.items()]
    if reasons := [opened.reason] if opened.reason else failed[:1] or ([] if opened.images else uncut):
        yield NoSuggestion(task, reasons[0])
        yield from (NoSuggestion(task, reason) for reason in (*reasons[1:], *candidate.left_out))
        return
    yield _suggestion(opened, control)
    yield from (NoSuggestion(task, reason) for reason in (*uncut, *candidate.left_out))


def _suggestion(opened: _Opened, control: Control) -> Suggestion:
    regions = opened.candidate.regions
    predictions = iter(opened.predictions)
    found = {one.name: _label(one, next(predictions)) for one in regions if one.name not in opened.uncut}
    if opened.candidate.items:
        result = _corrected(opened, found, control)
    else:
        kept = {one.name: (one.label, None) for one in regions if one.label}
        labelled: dict[str, tuple[str, float | None]] = {**kept, **found}
        result = [_item(one, labelled[one.name], opened.size, control) for one in regions if one.name in labelled]
    kind = control.kind.lower()
    return Suggestion(
        opened.candidate.task,
        min(score for _, score in found.values()),
        tuple(
            label for item in result if item.get("from_name") == control.name for label in item["value"].get(kind, ())
        ),
        result,
        tuple(one.suspected.given for one in regions if one.suspected is not None and one.name in found),
        any(prediction.unknown for prediction in opened.predictions),
    )


def _label(region: Region, prediction: Prediction) -> tuple[str, float]:
    """The class of a region, and its probability by the model."""
    label = prediction.labels[0] if region.suspected is None else region.suspected.suggested
    probabilities = dict(zip(prediction.labels, prediction.probabilities, strict=True))
    return label, round(min(1.0, max(0.0, probabilities.get(label, 0.0))), _DIGITS)


def _item(
    region: Region, labelled: tuple[str, float | None], size: tuple[int, int], control: Control
) -> dict[str, Any]:
    """An item of a result as Label Studio has it, with a label and its probability."""
    label, score = labelled
    kind = control.kind.lower()
    item: dict[str, Any] = {
        "id": region.name,
        "from_name": control.name,
        "to_name": control.shown,
        "type": kind,
        "value": {**region.geometry, kind: [label]},
    }
    if score is not None:
        item["score"] = score
    if region.box is not None:
        width, height = region.photo_size or size
        item |= {"original_width": width, "original_height": height, "image_rotation": 0}
    return item


def _corrected(opened: _Opened, found: Mapping[str, tuple[str, float]], control: Control) -> list[dict[str, Any]]:
    """The annotation of a correction with other labels, and all else as it is."""
    suspected = {region.name: region.suspected for region in opened.candidate.regions}
    result = []
    for number, item in enumerate(opened.candidate.items, start=1):
        copied, name = dict(item), region_name(item, number)
        doubt = suspected.get(name)
        if doubt is not None and name in found and item.get("from_name") == control.name:
            label, score = found[name]
            note = f"Suspected label error: labelled {doubt.given}"
            copied |= {"value": {**item["value"], str(item["type"]): [label]}, "score": score}
            copied["meta"] = _with_note(item.get("meta"), note)
        result.append(copied)
    return result


def _with_note(meta: Any, note: str) -> dict[str, Any]:
    """The remarks on an item with one more."""
    kept = meta if isinstance(meta, dict) else {}
    text = kept.get("text")
    notes = [str(one) for one in text] if isinstance(text, list) else [str(text)] if text else []
    return {**kept, "text": [*(one for one in notes if one != note), note]}
