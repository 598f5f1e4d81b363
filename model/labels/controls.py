"""Labelling controls of a Label Studio project: the labels that a suggestion may have.

The server accepts a prediction with any control and any label, and shows annotators only those of its configuration.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from model.errors import DatasetError
from model.files.browsing import name_some
from model.received import quoted, similar

CHOICES, RECTANGLES = "Choices", "RectangleLabels"
_KINDS = (CHOICES, RECTANGLES)
_SETTINGS = "Settings > Labeling Interface of the project"


@dataclasses.dataclass(frozen=True)
class Control:
    """A control that labels photos, or boxes in them.

    Attributes:
        name: its name in the configuration.
        kind: `Choices` for the label of a photo, `RectangleLabels` for those of its boxes.
        shown: name of the photo in the configuration, which a label refers to.
        data_key: key of the photo's address in the data of a task.
        labels: the labels it has.
        project_controls: names of all controls of the project; empty if they are not known.
    """

    name: str
    kind: str
    shown: str
    data_key: str
    labels: tuple[str, ...]
    project_controls: tuple[str, ...] = ()

    @property
    def has_boxes(self) -> bool:
        """Whether it labels boxes."""
        return self.kind == RECTANGLES


def choose_control(project: Mapping[str, Any], name: str, classes: Sequence[str]) -> Control:
    """The control of a project that can have the classes of a model as its labels.

    Args:
        project: as the API has it, with `parsed_label_config` and `label_config`.
        name: name of the control; empty if there is one that labels photos or boxes.
        classes: the classes of the model.

    Raises:
        DatasetError: there is no such control, there are several, or it lacks a class; the message names them.
    """
    parsed = {key: value for key, value in project["parsed_label_config"].items() if isinstance(value, dict)}
    found = {key: f"{key} ({value.get('type')})" for key, value in parsed.items()}
    usable = [key for key, value in parsed.items() if _labels_photos(value)]
    if name and name not in parsed:
        raise DatasetError(f"expected the control {quoted(name)}, found {name_some(list(found.values()))}")
    if not usable or (name and name not in usable):
        raise DatasetError(
            f"expected a control {' or '.join(_KINDS)} of photos, found {found[name] if name else _listed(found)}. "
            "Suggestions are labels of photos or of rectangles"
        )
    if len(usable) > 1 and not name:
        raise DatasetError(
            f"expected one control {' or '.join(_KINDS)}, found several: {name_some([found[key] for key in usable])}. "
            f"Name the one that gets the suggestions, such as --control {usable[0]}"
        )
    chosen = name or usable[0]
    control = dataclasses.replace(_control(chosen, parsed[chosen]), project_controls=tuple(parsed))
    if control.kind == CHOICES and _is_per_region(str(project.get("label_config", "")), chosen):
        raise DatasetError(
            f"expected a control of photos or of rectangles, found {found[chosen]} with perRegion: its choices belong "
            f"to regions that another control marks. Use {RECTANGLES} with these labels"
        )
    _check_labels(parsed[chosen], control, classes)
    return control


def _listed(found: Mapping[str, str]) -> str:
    return name_some(list(found.values())) or "none"


def _labels_photos(value: Mapping[str, Any]) -> bool:
    return value.get("type") in _KINDS and any(shown.get("type") == "Image" for shown in value.get("inputs", ()))


def _control(name: str, value: Mapping[str, Any]) -> Control:
    inputs, shown = value["inputs"], [str(one) for one in value.get("to_name", ())]
    place = next(at for at, one in enumerate(inputs) if one.get("type") == "Image")
    # The inputs are those of `to_name` that the configuration has, in its order.
    photo = shown[place] if len(shown) == len(inputs) else shown[0]
    labels = tuple(map(str, value.get("labels", ())))
    return Control(name, str(value["type"]), photo, str(inputs[place].get("value", "")), labels)


def _is_per_region(configuration: str, name: str) -> bool:
    """Whether a control labels the regions of another one, which the parsed configuration does not state."""
    tags = re.findall(rf"<{CHOICES}\b[^>]*>", configuration)
    return any(_attribute(tag, "name") == name and _attribute(tag, "perRegion") == "true" for tag in tags)


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf"""\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)')""", tag)
    return (found[1] or found[2] or "") if found else ""


def _check_labels(value: Mapping[str, Any], control: Control, classes: Iterable[str]) -> None:
    """Check that each class of a model is a label of the control.

    Raises:
        DatasetError: classes are missing, or the labels are in the data of each task.
    """
    if value.get("dynamic_labels"):
        raise DatasetError(
            f"expected labels in the configuration of the control {quoted(control.name)}, found some that each task "
            f"states. Write them into {_SETTINGS}"
        )
    unknown = [name for name in classes if name not in control.labels]
    if unknown:
        raise DatasetError(
            f"expected each class of the model as a label of the control {quoted(control.name)}, not found: "
            f"{name_some([_with_similar(name, control.labels) for name in unknown])}. Add them to {_SETTINGS}, in the "
            "same case, or choose another model or --control"
        )


def _with_similar(name: str, labels: Sequence[str]) -> str:
    alike = [label for label in labels if label.casefold() == name.casefold()] or similar(name, labels, count=1)
    return f"{quoted(name)} (the project has {quoted(alike[0])})" if alike else quoted(name)
