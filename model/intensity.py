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
        # Also of a subclass of float, such as that of NumPy, whose text is another.
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(
                f"intensity: expected two finite numbers, the lower one first, received {self.low!r} and {self.high!r}"
            )

    def __str__(self) -> str:
        """The form that the option `intensity` accepts: `200,710`."""
        return ",".join(repr(value).removesuffix(".0") for value in (self.low, self.high))


Intensity = IntensityRange | Literal["full", "photo"]
"""How photos of more than 8 bits are reduced: one range for all; `full`: the full range of their type; `photo`: the
range of each photo by itself, which only serves to compare photos with each other."""


def span(low: float, high: float) -> str:
    """Format the ends of a range: `200 to 710`, `-0.5 to 1.25`."""
    return " to ".join(f"{value:,.0f}" if value == round(value) else f"{value:.4g}" for value in (low, high))


def describe_intensity(intensity: Intensity) -> str:
    """Ends of the range, such as `200 to 710`; empty without a range."""
    return span(intensity.low, intensity.high) if isinstance(intensity, IntensityRange) else ""


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
