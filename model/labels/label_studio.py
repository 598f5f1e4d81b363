"""Tasks of Label Studio: the JSON of an export, or the files of a target storage.

Its own exports to YOLO, Pascal VOC and COCO lose the rotation of a box, and JSON_MIN its frame: only JSON is faithful.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from model.dataset.listing import Problems, describe_problems
from model.errors import DatasetError
from model.files.browsing import name_some
from model.labels.photo_names import without_signature
from model.labels.regions import Annotation, Box, Labels, Region, Task
from model.labels.task_photos import photo_addresses, photo_of_labels
from model.received import quoted
from model.shown import counted

_LABELS = ("rectanglelabels", "polygonlabels", "ellipselabels", "labels", "choices")
# Shapes without labels, which another item of the same region has.
_SHAPES = ("rectangle", "polygon", "ellipse")
_WHOLE_PHOTO = "choices"


def read_tasks(
    content: Sequence[Any], control: str = "", photo_keys: Mapping[str, str] = MappingProxyType({})
) -> Labels:
    """Read tasks with their annotations; predictions and cancelled annotations are not read.

    Args:
        content: tasks of an export, with `annotations` or, in old ones, `completions`.
        control: name of the labelling control to read; empty if all labels belong to one.
        photo_keys: name of a photo in the labelling configuration -> key of its address in the data of a task; only
            needed for tasks of several photos.

    Raises:
        DatasetError: no tasks, tasks without photos, or of several photos with labels that may be of each, different
            photos of one task, or labels of several controls; the message names them.
    """
    if not content:
        raise DatasetError("expected tasks, found none: the project is empty")
    for number, task in enumerate(content, start=1):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise DatasetError(
                f"entry {number}: expected a task with its `data`, received {quoted(task)}. Export the project as "
                "JSON; JSON_MIN lacks what the crops need"
            )
    joined = _joined(content)
    return _Reader(_chosen_control(joined, control), photo_keys).read(joined)


def tasks_of_files(content: Iterable[Any]) -> list[dict[str, Any]]:
    """Entries of a target storage, which has a file for each annotation with its task inside.

    Args:
        content: the content of the files.

    Returns:
        a task for each file; `read_tasks` joins those of one identifier.

    Raises:
        DatasetError: a file is neither an annotation with its task nor a task.
    """
    tasks: list[dict[str, Any]] = []
    for item in content:
        if is_task(item):
            tasks.append(item)
        elif is_stored_annotation(item):
            annotation = {name: value for name, value in item.items() if name != "task"}
            tasks.append({**item["task"], "annotations": [annotation]})
        else:
            raise DatasetError(f"expected an annotation with its `task`, received {quoted(item)}")
    return tasks


def _joined(content: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Tasks, those of one identifier as one task with the annotations of all.

    A task without an identifier gets its position, from 1 on.

    Raises:
        DatasetError: tasks of one identifier have different photos, as those of two projects or servers do.
    """
    tasks: dict[str, Mapping[str, Any]] = {}
    for number, task in enumerate(content, start=1):
        key = task.get("id")
        name = str(number if key is None else key)
        first = tasks.get(name)
        if first is None:
            tasks[name] = {**task, "id": name}
            continue
        photos = [sorted(map(without_signature, photo_addresses(one["data"]).values())) for one in (first, task)]
        if photos[0] != photos[1]:
            raise DatasetError(
                f"expected one task {quoted(name)}, found two with different photos: {_shown(photos[0])} and "
                f"{_shown(photos[1])}. Import each project into its own folder"
            )
        entries = _entries(first)
        added = [entry for entry in _entries(task) if entry not in entries]
        tasks[name] = {**first, "annotations": [*entries, *added]}
    return list(tasks.values())


def _shown(photos: Sequence[str]) -> str:
    return name_some([quoted(photo) for photo in photos]) or "none"


def is_stored_annotation(content: Any) -> bool:
    """Whether a file of a target storage holds an annotation with its task."""
    task = content.get("task") if isinstance(content, dict) else None
    return isinstance(task, dict) and isinstance(task.get("data"), dict)


def is_task(content: Any) -> bool:
    """Whether content is a task with its data."""
    return isinstance(content, dict) and isinstance(content.get("data"), dict)


def annotations_of(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Annotations of a task, those that are no prediction and not cancelled."""
    return [
        entry
        for entry in _entries(task)
        if isinstance(entry, dict) and not (entry.get("was_cancelled") or entry.get("skipped"))
    ]


def _entries(task: Mapping[str, Any]) -> list[Any]:
    """All annotations of a task as they are written, also cancelled ones."""
    entries = task.get("annotations", task.get("completions")) or []
    if not isinstance(entries, list):
        raise DatasetError(f"task {quoted(task.get('id'))}: expected a list of annotations, received {quoted(entries)}")
    return entries


def _chosen_control(content: Sequence[Any], control: str) -> str:
    """Name of the control to read.

    Raises:
        DatasetError: there are several, or none of the name that is set.
    """
    counts: Counter[str] = Counter()
    for task in content:
        for annotation in annotations_of(task):
            counts.update(str(item.get("from_name", "")) for item in items_of(annotation) if _has_labels(item))
    names = name_some([f"{name} ({counted(count, 'label')})" for name, count in counts.most_common()])
    if control and control not in counts:
        raise DatasetError(f"expected labels of the control {quoted(control)}, found {names or 'no labels'}")
    if len(counts) > 1 and not control:
        first = counts.most_common(1)[0][0]
        raise DatasetError(
            f"expected labels of one control, found several: {names}. Name the one to read, such as --control {first}"
        )
    return control or next(iter(counts), "")


def items_of(annotation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Items of the result of an annotation or a prediction: regions, and labels of them or of the photo."""
    result = annotation.get("result")
    return [item for item in result if isinstance(item, dict)] if isinstance(result, list) else []


def _has_labels(item: Mapping[str, Any]) -> bool:
    value = item.get("value")
    return item.get("type") in _LABELS and isinstance(value, dict) and not _is_of_text(value)


def _is_of_text(value: Mapping[str, Any]) -> bool:
    """Whether a label is of a part of a text or a recording."""
    return "start" in value and "end" in value


class _Reader:
    """Reads the labels of one control."""

    def __init__(self, control: str, photo_keys: Mapping[str, str]) -> None:
        self.control, self.photo_keys = control, photo_keys
        self.problems = Problems()
        self.left_out: Counter[str] = Counter()
        self.unusable: list[tuple[str, str, str]] = []

    def read(self, content: Sequence[Mapping[str, Any]]) -> Labels:
        tasks = [self._task(entry) for entry in content]
        if self.problems:
            raise DatasetError(describe_problems(self.problems))
        return Labels(tuple(tasks), dict(self.left_out), tuple(self.unusable))

    def _task(self, entry: Mapping[str, Any]) -> Task:
        name = str(entry["id"])
        self._count_cancelled(entry)
        annotations = annotations_of(entry)
        shown = {str(item.get("to_name", "")) for one in annotations for item in items_of(one) if self._is_read(item)}
        address = ""
        try:
            address = photo_of_labels(entry["data"], shown, self.photo_keys)
        except ValueError as error:
            self.problems.add(f"task {name}: {error}")
        read = tuple(self._annotation(one, name, at) for at, one in enumerate(annotations, start=1))
        return Task(name, address, read, str(entry.get("updated_at", "")))

    def _count_cancelled(self, entry: Mapping[str, Any]) -> None:
        cancelled = len(_entries(entry)) - len(annotations_of(entry))
        predictions = entry.get("predictions")
        self.left_out += Counter({"cancelled annotations": cancelled})
        self.left_out += Counter({"predictions": len(predictions) if isinstance(predictions, list) else 0})

    def _annotation(self, entry: Mapping[str, Any], task: str, number: int) -> Annotation:
        regions = []
        for at, item in enumerate(items_of(entry), start=1):
            if self._is_read(item):
                region = self._region(item, task, str(item.get("id", at)))
                regions += [region] if region is not None else []
            else:
                self._count_unread(item, entry)
        return Annotation(
            str(entry.get("id", number)),
            _annotator(entry),
            tuple(regions),
            str(entry.get("updated_at", entry.get("created_at", ""))),
        )

    def _is_read(self, item: Mapping[str, Any]) -> bool:
        return _has_labels(item) and str(item.get("from_name", "")) == self.control

    def _count_unread(self, item: Mapping[str, Any], annotation: Mapping[str, Any]) -> None:
        kind = str(item.get("type", "of no kind"))
        if kind in _SHAPES:
            named = {one.get("id") for one in items_of(annotation) if self._is_read(one)}
            kind = "" if item.get("id") in named else f"{kind} without a label"
        if kind:
            control = item.get("from_name")
            self.left_out[f"{kind} of the control {quoted(control)}" if kind in _LABELS else kind] += 1

    def _region(self, item: Mapping[str, Any], task: str, name: str) -> Region | None:
        value = item["value"]
        try:
            labels = _labels(value, str(item["type"]))
            box = read_box(value, str(item["type"]))
        except ValueError as error:
            self.unusable.append((task, name, str(error)))
            return None
        # `image_rotation` rotates the view: boxes stay relative to the photo that is not rotated.
        return Region(name, labels, box, photo_size_of(item) or photo_size_of(value))


def _labels(value: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    """Labels of a region.

    Raises:
        ValueError: there is none, or several.
    """
    labels = value.get(kind)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"expected a list of labels, received {quoted(labels)}")
    if len(labels) != 1:
        raise ValueError(f"expected one label, received {name_some([quoted(one) for one in labels]) or 'none'}")
    return tuple(labels)


def read_box(value: Mapping[str, Any], kind: str) -> Box | None:
    """Box of a region; None for a label of the whole photo.

    Raises:
        ValueError: a coordinate is missing, or no number.
    """
    if "points" in value:
        return _outline(_points(value["points"]))
    if "radiusX" in value or "radiusY" in value:
        return _ellipse(value)
    if kind == _WHOLE_PHOTO and not {"x", "y", "width", "height"} & value.keys():
        return None
    x, y, width, height = (_percentage(value, name) for name in ("x", "y", "width", "height"))
    rotation = _number(value.get("rotation") or 0, "rotation")
    if not width or not height:
        raise ValueError("expected a box with a width and a height, received one of size 0")
    return Box(x, y, width, height, rotation)


def _points(points: Any) -> list[tuple[float, float]]:
    if not isinstance(points, list) or len(points) < 3:
        raise ValueError(f"expected a polygon of three points or more, received {quoted(points)}")
    pairs = [tuple(point) for point in points if isinstance(point, (list, tuple)) and len(point) == 2]
    if len(pairs) != len(points):
        raise ValueError(f"expected points of two numbers, received {quoted(points)}")
    return [(_number(x, "x") / 100, _number(y, "y") / 100) for x, y in pairs]


def _outline(points: Sequence[tuple[float, float]]) -> Box:
    """The box around points."""
    left, top = (min(point[axis] for point in points) for axis in (0, 1))
    right, bottom = (max(point[axis] for point in points) for axis in (0, 1))
    if right <= left or bottom <= top:
        raise ValueError("expected an outline with a width and a height, received one of size 0")
    return Box(left, top, right - left, bottom - top)


def _ellipse(value: Mapping[str, Any]) -> Box:
    """The box around an ellipse, turned as the ellipse is, about its centre."""
    x, y, across, down = (_percentage(value, name) for name in ("x", "y", "radiusX", "radiusY"))
    rotation = _number(value.get("rotation") or 0, "rotation")
    if across <= 0 or down <= 0:
        raise ValueError("expected an ellipse with two radii above 0, received one of size 0")
    return Box(x - across, y - down, 2 * across, 2 * down, rotation, about_centre=True)


def _percentage(value: Mapping[str, Any], name: str) -> float:
    if name not in value:
        raise ValueError(f"expected {name} of the box, found {name_some(sorted(map(str, value)))}")
    return _number(value[name], name) / 100


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name}: expected a number, received {quoted(value)}")
    return float(value)


def photo_size_of(item: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height of the photo, inside `value` in old exports and next to it in others."""
    width, height = item.get("original_width"), item.get("original_height")
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return width, height
    return None


def _annotator(entry: Mapping[str, Any]) -> str:
    by = entry.get("completed_by", entry.get("created_username", ""))
    if isinstance(by, dict):
        by = by.get("email") or by.get("id") or ""
    return str("" if by is None else by).strip()
