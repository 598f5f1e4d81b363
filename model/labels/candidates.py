"""Tasks of a Label Studio project that get suggestions, with their boxes and their former predictions."""

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from model.labels.controls import Control
from model.labels.label_studio import annotations_of, items_of, photo_size_of, read_box
from model.labels.regions import Box
from model.labels.suspected import SuspectedLabel
from model.received import quoted

MADE_BY = "topgraft:"
"""Beginning of the model version of our own predictions."""

_RECTANGLES = ("rectanglelabels", "rectangle", "labels")
_OTHER_ANNOTATION = "expected suspected labels of one annotation, found some of another one too. Correct it afterwards"
_GEOMETRY = ("x", "y", "width", "height", "rotation")


@dataclasses.dataclass(frozen=True)
class Region:
    """A part of a photo, or the whole photo, that gets a label.

    Attributes:
        name: identifier in its task.
        box: None for the whole photo.
        photo_size: width and height of the photo in pixels that the box was drawn on; None if not recorded.
        geometry: the box as the server has it, in percent.
        label: the label that it has, and keeps if its box cannot be cut out; empty if there is none.
        suspected: the suspicion about its label; None if there is none.
    """

    name: str
    box: Box | None = None
    photo_size: tuple[int, int] | None = None
    geometry: Mapping[str, float] = dataclasses.field(default_factory=dict)
    label: str = ""
    suspected: SuspectedLabel | None = None


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A task that gets a suggestion.

    Attributes:
        task: its identifier.
        address: address of its photo.
        regions: what gets a label.
        reason: why it cannot get a suggestion; empty if it can.
        items: the annotation that a correction changes, as the server has it; empty if there is none.
        left_out: why suspected labels of it get no suggestion, a sentence for each.
    """

    task: int
    address: str
    regions: tuple[Region, ...] = ()
    reason: str = ""
    items: tuple[Mapping[str, Any], ...] = ()
    left_out: tuple[str, ...] = ()


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


def region_name(item: Mapping[str, Any], number: int) -> str:
    """Identifier of an item in its annotation: its own, or its position from 1 on, as in an import."""
    return str(item.get("id") or number)


def _boxes(items: Iterable[Mapping[str, Any]], control: Control) -> Iterator[Region]:
    """Boxes of the photo, each once; a box and its label may be two items."""
    names = set()
    for number, item in enumerate(items, start=1):
        name, value = region_name(item, number), item.get("value")
        if item.get("type") not in _RECTANGLES or item.get("to_name", control.shown) != control.shown or name in names:
            continue
        try:
            box = read_box(value, "rectangle") if isinstance(value, dict) else None
        except ValueError:
            box = None
        if box is not None and isinstance(value, dict):
            names.add(name)
            size = photo_size_of(item) or photo_size_of(value)
            geometry = {key: value[key] for key in _GEOMETRY if value.get(key) is not None}
            label = _label(item)
            yield Region(name, box, size, geometry, label if label in control.labels else "")


def _label(item: Mapping[str, Any]) -> str:
    """The label of an item; empty if it has none or several."""
    value = item.get("value")
    labels = value.get(str(item.get("type"))) if isinstance(value, dict) else None
    return str(labels[0]) if isinstance(labels, list) and len(labels) == 1 else ""


def _corrected(
    number: int, address: str, task: Mapping[str, Any], control: Control, suspected: Sequence[SuspectedLabel]
) -> Candidate:
    """The first annotation with a suspected label that can be corrected, as a candidate.

    A correction replaces an annotation, so that suspected labels of others are left out.
    """
    by_annotation: dict[str, list[SuspectedLabel]] = defaultdict(list)
    for one in suspected:
        by_annotation[one.annotation].append(one)
    annotations = {str(one.get("id")): items_of(one) for one in annotations_of(task)}
    regions: tuple[Region, ...] = ()
    items: Sequence[Mapping[str, Any]] = ()
    left_out: list[str] = []
    for name, doubts in by_annotation.items():
        found, reasons = _suspected_regions(annotations.get(name, []), control, doubts)
        if found and not regions:
            regions, items = found, annotations[name]
        else:
            reasons += [f"{_named(one.suspected)}: {_OTHER_ANNOTATION}" for one in found if one.suspected is not None]
        left_out += reasons
    if not regions:
        return Candidate(number, address, (), left_out[0], left_out=tuple(left_out[1:]))
    return Candidate(number, address, regions, items=tuple(items), left_out=tuple(left_out))


def _suspected_regions(
    items: Sequence[Mapping[str, Any]], control: Control, doubts: Sequence[SuspectedLabel]
) -> tuple[tuple[Region, ...], list[str]]:
    """The regions of an annotation whose suspected labels can be corrected, and why others cannot."""
    own = [
        (region_name(item, at), item) for at, item in enumerate(items, start=1) if item.get("from_name") == control.name
    ]
    labels = {name: _label(item) for name, item in own}
    boxes = {one.name: one for one in _boxes(items, control)} if control.has_boxes else {}
    lacking = _not_in_configuration(items, control)
    regions, reasons = [], []
    for doubt in doubts:
        reason = ""
        if labels.get(doubt.region) != doubt.given:
            reason = "expected the suspected label in the task, found another one: it was changed"
        elif doubt.suggested not in control.labels:
            reason = f"expected the suggested class as a label of the control {control.name}"
        elif control.has_boxes and doubt.region not in boxes:
            reason = "expected a rectangle, found another shape"
        elif lacking:
            reason = f"expected an annotation that fits the configuration of the project, found {lacking}. Correct it"
        if reason:
            reasons.append(f"{_named(doubt)}: {reason}")
        else:
            region = boxes.get(doubt.region, Region(doubt.region))
            regions.append(dataclasses.replace(region, label=doubt.given, suspected=doubt))
    return tuple(regions), reasons


def _not_in_configuration(items: Iterable[Mapping[str, Any]], control: Control) -> str:
    """A part of an annotation that the server would refuse in a prediction; empty if there is none."""
    for item in items:
        name, value = str(item.get("from_name", "")), item.get("value")
        if name and control.project_controls and name not in control.project_controls:
            return f"a label of the control {quoted(name)}"
        labels = value.get(str(item.get("type"))) if isinstance(value, dict) and name == control.name else None
        if unknown := [one for one in labels or () if one not in control.labels]:
            return f"the label {quoted(unknown[0])}"
    return ""


def _named(doubt: SuspectedLabel) -> str:
    return f"{quoted(doubt.given)} (suspected {quoted(doubt.suggested)})"
