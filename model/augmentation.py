"""Augmentation as a pipeline of named steps, such as `flip_lr|rotate(15)|crop(0.8)`: grammar and presets.

    augmentation = step ("|" step)*
    step         = preset | operation [ "(" number ")" ]

Steps are applied in the given order, which matters: a patch masked before a rotation is rotated as well.
Presets never flip, because the orientation of signs and text carries meaning; if it does not, use
`flip_lr|flip_ud|medium`. `model.features.views` applies the operations to pixels.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from model.errors import ConfigError
from model.received import listed, quoted, similar

AUTO = "auto"
_MAX_PROBLEMS = 5
EXAMPLE = "flip_lr|rotate(15)|crop(0.8)"

_STEP = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<number>[^()]*)\))?\s*")


@dataclasses.dataclass(frozen=True)
class OperationInfo:
    """Parameter of an operation.

    Attributes:
        meaning: meaning of the number, with its unit.
        minimum, maximum: inclusive bounds, in the same unit.
        default: value if no number is given.
    """

    meaning: str
    minimum: float
    maximum: float
    default: float


OPERATIONS: Mapping[str, OperationInfo] = {
    "flip_lr": OperationInfo("probability of a horizontal flip", 0, 1, 0.5),
    "flip_ud": OperationInfo("probability of a vertical flip", 0, 1, 0.5),
    "rotate": OperationInfo("maximum rotation in degrees, in either direction", 0, 180, 15),
    "crop": OperationInfo("minimum fraction of each side to keep; the crop is enlarged to full size", 0.1, 1, 0.8),
    "color": OperationInfo("maximum relative change of brightness, contrast and saturation", 0, 1, 0.2),
    "blur": OperationInfo("maximum blur radius in pixels", 0, 20, 1),
    "noise": OperationInfo("maximum standard deviation of the noise, as a fraction of white", 0, 1, 0.02),
    "cutout": OperationInfo("maximum fraction of each side to mask", 0, 1, 0.2),
}

PRESETS: Mapping[str, str] = {
    "none": "",
    "light": "crop(0.9)|color(0.1)",
    "medium": "rotate(10)|crop(0.8)|color(0.2)",
    "strong": "rotate(20)|crop(0.65)|color(0.3)|blur(1)|noise(0.02)|cutout(0.3)",
}

# `auto` selects the first row with more images per class than the dataset has; none if there is no such row.
_AUTO_BELOW: tuple[tuple[float, str], ...] = ((50, "strong"), (500, "light"))


@dataclasses.dataclass(frozen=True)
class Operation:
    """Operation with its parameter."""

    name: str
    number: float

    def __str__(self) -> str:
        return f"{self.name}({self.number:.12g})"


def parse_augmentation(text: str, images_per_class: float) -> tuple[Operation, ...]:
    """Parse an augmentation to its operations, with presets expanded.

    Args:
        text: augmentation in the grammar above; empty means none.
        images_per_class: training images divided by classes, for `auto`: strong below 50, light below 500, otherwise
            none; infinite if only a head is trained.

    Raises:
        ConfigError: steps are invalid; the message lists all of them.
    """
    problems: list[str] = []
    operations: list[Operation] = []
    for step in text.split("|") if text.strip() else ():
        try:
            operations += _read_step(step, images_per_class)
        except ConfigError as error:
            problems.append(error.message)
    if problems:
        shown = listed(problems, " ", _MAX_PROBLEMS)
        raise ConfigError(f"augmentation: {shown} Received: {quoted(text)}.")
    return tuple(operations)


def augmentation_text(operations: Sequence[Operation]) -> str:
    """Format operations as text that `parse_augmentation` accepts; empty without operations."""
    return "|".join(map(str, operations))


def _read_step(step: str, images_per_class: float) -> tuple[Operation, ...]:
    found = _STEP.fullmatch(step)
    if found is None:
        raise ConfigError(f"expected steps separated by |, such as {EXAMPLE}, found {quoted(step)}.")
    name, number = found["name"], found["number"]
    if name in OPERATIONS:
        return (Operation(name, _read_number(name, number)),)
    if name not in PRESETS and name != AUTO:
        raise ConfigError(_unknown_step(name))
    if number is not None:
        raise ConfigError(f"{name} is a preset, which takes no number, found {quoted(step.strip())}.")
    return parse_augmentation(PRESETS[_automatic(images_per_class) if name == AUTO else name], images_per_class)


def _read_number(name: str, number: str | None) -> float:
    info = OPERATIONS[name]
    if number is None:
        return info.default
    expected = f"{name}: expected a number from {info.minimum:g} to {info.maximum:g} ({info.meaning}), found"
    try:
        value = float(number)
    except ValueError:
        raise ConfigError(f"{expected} {quoted(number.strip())}.") from None
    if not info.minimum <= value <= info.maximum:
        raise ConfigError(f"{expected} {value:g}.")
    return value


def _unknown_step(name: str) -> str:
    near = similar(name, [*OPERATIONS, *PRESETS, AUTO], 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    known = f"one of the operations {', '.join(OPERATIONS)} or the presets {', '.join(PRESETS)}, {AUTO}"
    return f"expected {known}, found {quoted(name)}.{hint}"


def _automatic(images_per_class: float) -> str:
    return next((preset for below, preset in _AUTO_BELOW if images_per_class < below), "none")
