"""Tasks of a Label Studio project that get suggestions, with their boxes and their former predictions."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from model.labels.controls import Control
from model.labels.label_studio import items_of, photo_size_of, read_box
from model.labels.regions import Box
from model.labels.suspected import SuspectedLabel
from model.received import quoted

MADE_BY = "topgraft:"
"""Beginning of the model version of our own predictions."""

_RECTANGLES = ("rectanglelabels", "rectangle", "labels")
_GEOMETRY = ("x", "y", "width", "height", "rotation")


@dataclasses.dataclass(frozen=True)
class Region:
    """A part of a photo, or the whole photo, that gets a label.

    Attributes:
        name: identifier in its task.
        box: None for the whole photo.
        photo_size: width and height of the photo in pixels that the box was drawn on; None if not recorded.
        geometry: the box as the server has it, in percent.
        label: the label that a person gave; empty if there is none.
        suspected: the suspicion about its label; None if there is none.
    """

    name: str
    box: Box | None = None
    photo_size: tuple[int, int] | None = None
    geometry: Mapping[str, float] = dataclasses.field(default_factory=dict)
    label: str = ""
    suspected: SuspectedLabel | None = None

    @property
    def is_kept(self) -> bool:
        """Whether it keeps the label that a person gave."""
        return bool(self.label) and self.suspected is None


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A task that gets a suggestion.

    Attributes:
        task: its identifier.
        address: address of its photo.
        regions: what gets a label.
        reason: why it cannot get a suggestion; empty if it can.
    """

    task: int
    address: str
    regions: tuple[Region, ...] = ()
    reason: str = ""

    @property
    def is_suspected(self) -> bool:
        """Whether a label of it is suspected."""
        return any(region.suspected is not None for region in self.regions)


def digest(model_version: str, score: float, result: Any) -> str:
    """Checksum of a prediction, by which equal ones are recognized."""
    content = json.dumps([model_version, score, result], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def is_ours(prediction: Mapping[str, Any]) -> bool:
    """Whether a prediction was made by Topgraft."""
    return str(prediction.get("model_version") or "").startswith(MADE_BY)


def predictions_of(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Predictions of a task, the newest first."""
    found = [one for one in task.get("predictions") or () if isinstance(one, dict)]
    return sorted(found, key=lambda one: int(one.get("id") or 0), reverse=True)


def is_annotated(task: Mapping[str, Any]) -> bool:
    """Whether a task has an annotation, or was skipped."""
    return bool(task.get("total_annotations") or task.get("cancelled_annotations") or task.get("annotations"))


def candidate_of(
    task: Mapping[str, Any], control: Control, suspected: Sequence[SuspectedLabel] = ()
) -> Candidate | None:
    """A task as a candidate; None if it is annotated and none of its labels is suspected.

    Args:
        task: with its annotations and predictions.
        suspected: its labels that may be wrong.
    """
    number = int(task["id"])
    if is_annotated(task) and not suspected:
        return None
    data = task.get("data")
    address = data.get(control.data_key) if isinstance(data, dict) else None
    if not isinstance(address, str) or not address:
        return Candidate(number, "", (), f"expected the address of a photo, received {quoted(address)}")
    if suspected:
        return _corrected(number, address, task, control, suspected)
    if not control.has_boxes:
        return Candidate(number, address, (Region("suggestion"),))
    regions = _predicted_boxes(task, control)
    return Candidate(number, address, regions, "" if regions else "expected boxes to classify, found none")


def _predicted_boxes(task: Mapping[str, Any], control: Control) -> tuple[Region, ...]:
    """Boxes of the newest prediction of another model that has some, else of our own."""
    for prediction in sorted(predictions_of(task), key=is_ours):
        if regions := tuple(_boxes(items_of(prediction), control)):
            return regions
    return ()


def _boxes(items: Iterable[Mapping[str, Any]], control: Control) -> Iterator[Region]:
    """Boxes of the photo, each once; a box and its label may be two items."""
    names = set()
    for number, item in enumerate(items, start=1):
        name, value = str(item.get("id") or number), item.get("value")
        if item.get("type") not in _RECTANGLES or item.get("to_name", control.shown) != control.shown or name in names:
            continue
        try:
            box = read_box(value, "rectangle") if isinstance(value, dict) else None
        except ValueError:
            box = None
        if box is not None and isinstance(value, dict):
            names.add(name)
            size = photo_size_of(item) or photo_size_of(value)
            yield Region(name, box, size, {key: value[key] for key in _GEOMETRY if value.get(key) is not None})


def _corrected(
    number: int, address: str, task: Mapping[str, Any], control: Control, suspected: Sequence[SuspectedLabel]
) -> Candidate:
    """The annotation with the suspected labels as a candidate: its other labels are kept."""
    names = {one.annotation for one in suspected}
    annotation = next((one for one in task.get("annotations") or () if str(one.get("id")) in names), None)
    changed = "expected the suspected label in the task, found another one: it was changed"
    if annotation is None:
        return Candidate(number, address, (), changed)
    items = items_of(annotation)
    labels = {str(item.get("id")): _label(item) for item in items if item.get("from_name") == control.name}
    doubts = {one.region: one for one in suspected if labels.get(one.region) == one.given}
    if not doubts:
        return Candidate(number, address, (), changed)
    if unknown := [one.suggested for one in doubts.values() if one.suggested not in control.labels]:
        reason = f"expected the suggested class as a label of the control {control.name}, received {quoted(unknown[0])}"
        return Candidate(number, address, (), reason)
    if not control.has_boxes:
        return Candidate(number, address, tuple(Region(name, suspected=doubt) for name, doubt in doubts.items()))
    regions = [
        dataclasses.replace(region, label=labels[region.name], suspected=doubts.get(region.name))
        for region in _boxes(items, control)
        if labels.get(region.name) in control.labels
    ]
    return Candidate(number, address, tuple(regions))


def _label(item: Mapping[str, Any]) -> str:
    """The label of an item; empty if it has none or several."""
    value = item.get("value")
    labels = value.get(str(item.get("type"))) if isinstance(value, dict) else None
    return str(labels[0]) if isinstance(labels, list) and len(labels) == 1 else ""
