"""Intensity range of photos with more than 8 bits per channel, and the option that selects it."""

import dataclasses
import math
from typing import Literal

from model.errors import ConfigError

AUTO: Literal["auto"] = "auto"
FULL: Literal["full"] = "full"


@dataclasses.dataclass(frozen=True)
class IntensityRange:
    """Values that become black and white when a photo of more than 8 bits per channel is reduced to 8 bits.

    One range serves all channels, which keeps colours, and all photos of a model, which keeps differences in brightness
    between them.

    Attributes:
        low: value that becomes 0, in the unit of the pixels; lower values are clipped.
        high: value that becomes 255; higher values are clipped.

    Raises:
        ValueError: the numbers are not finite, or `low` is not below `high`.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(
                f"intensity: expected two finite numbers, the lower one first, received {self.low!r} and {self.high!r}"
            )

    def __str__(self) -> str:
        """The form that the option `intensity` accepts: `200,710`."""
        return f"{self.low:.12g},{self.high:.12g}"


Intensity = IntensityRange | Literal["full", "photo"]
"""How photos of more than 8 bits are reduced: one range for all; `full`: the full range of their type; `photo`: the
range of each photo by itself, which only serves to compare photos with each other."""


def read_intensity(content: object) -> Intensity:
    """Read an intensity from JSON: `full`, or an object with the numbers `low` and `high`.

    Raises:
        ValueError: it is neither.
    """
    if content == FULL:
        return FULL
    if isinstance(content, dict) and content.keys() == {"low", "high"}:
        numbers = list(content.values())
        if all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers):
            return IntensityRange(float(content["low"]), float(content["high"]))
    raise ValueError(f"intensity: expected {FULL!r}, or an object with the numbers low and high, received {content!r}")


def parse_intensity(text: str) -> IntensityRange | Literal["auto", "full"]:
    """Parse the option `intensity`: auto, full, or a range in the form `LOW,HIGH`.

    Raises:
        ConfigError: the text is none of the three.
    """
    if text == AUTO:
        return AUTO
    if text == FULL:
        return FULL
    try:
        low, high = (float(number) for number in text.split(","))
        return IntensityRange(low, high)
    except ValueError as error:
        raise ConfigError(
            f"intensity: expected {AUTO}, {FULL}, or two numbers LOW,HIGH in the unit of the pixels, such as 0,4095. "
            f"Received: {text[:200]!r}."
        ) from error
