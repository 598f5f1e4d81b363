"""Augmentation as a line of named steps, such as `flip_lr|rotate(15)|crop(0.8)`: its grammar and its presets.

    augmentation = step ("|" step)*
    step         = preset | operation [ "(" number ")" ]

Steps are applied in the order written, which matters: a patch cut out before a rotation is turned with it.
No preset flips, because signs and text have a side; where the photographed things have none, write
`flip_lr|flip_ud|medium`. What each operation does to pixels is in `model.features.views`.
"""

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence

from model.errors import ConfigError

AUTO = "auto"
EXAMPLE = "flip_lr|rotate(15)|crop(0.8)"

_STEP = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<number>[^()]*)\))?\s*")


@dataclasses.dataclass(frozen=True)
class OperationInfo:
    """What the number of an operation means and may be.

    Attributes:
        meaning: of the number.
        minimum, maximum: inclusive bounds, in the number's own unit.
        default: where no number is given.
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

# The first row whose number of images per class is not reached; beyond the last row, none.
_AUTO_BELOW: tuple[tuple[float, str], ...] = ((50, "strong"), (500, "light"))


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation with its number."""

    name: str
    number: float

    def __str__(self) -> str:
        return f"{self.name}({self.number:.12g})"


def parse_augmentation(text: str, images_per_class: float) -> tuple[Operation, ...]:
    """The operations that a line of steps stands for, presets written out.

    Args:
        text: in the grammar above; empty means none.
        images_per_class: training images over classes, by which `auto` decides: strong below 50, light below
            500, else none; infinite where a head alone is trained.

    Raises:
        ConfigError: steps cannot be understood; the message names them all.
    """
    problems: list[str] = []
    operations: list[Operation] = []
    for step in text.split("|") if text.strip() else ():
        try:
            operations += _read_step(step, images_per_class)
        except ConfigError as error:
            problems.append(error.message)
    if problems:
        raise ConfigError(f"augmentation: {' '.join(problems)} Received: {text!r}.")
    return tuple(operations)


def augmentation_text(operations: Sequence[Operation]) -> str:
    """The operations as a line that `parse_augmentation` reads, presets written out; none: an empty text."""
    return "|".join(map(str, operations))


def _read_step(step: str, images_per_class: float) -> tuple[Operation, ...]:
    found = _STEP.fullmatch(step)
    if found is None:
        raise ConfigError(f"expected steps with | between them, such as {EXAMPLE}, found {step!r}.")
    name, number = found["name"], found["number"]
    if name in OPERATIONS:
        return (Operation(name, _read_number(name, number)),)
    if name not in PRESETS and name != AUTO:
        raise ConfigError(_unknown_step(name))
    if number is not None:
        raise ConfigError(f"{name} is a preset, which takes no number, found {step.strip()!r}.")
    return parse_augmentation(PRESETS[_automatic(images_per_class) if name == AUTO else name], images_per_class)


def _read_number(name: str, number: str | None) -> float:
    info = OPERATIONS[name]
    if number is None:
        return info.default
    expected = f"{name}: expected a number from {info.minimum:g} to {info.maximum:g} ({info.meaning}), found"
    try:
        value = float(number)
    except ValueError:
        raise ConfigError(f"{expected} {number.strip()!r}.") from None
    if not info.minimum <= value <= info.maximum:
        raise ConfigError(f"{expected} {number.strip()}.")
    return value


def _unknown_step(name: str) -> str:
    near = difflib.get_close_matches(name, [*OPERATIONS, *PRESETS, AUTO], n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    known = f"one of the operations {', '.join(OPERATIONS)} or the presets {', '.join(PRESETS)}, {AUTO}"
    return f"expected {known}, found {name!r}.{hint}"


def _automatic(images_per_class: float) -> str:
    return next((preset for below, preset in _AUTO_BELOW if images_per_class < below), "none")
