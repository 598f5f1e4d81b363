"""What a training took: training_cost.json of a trained model."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class TrainingCost:
    """Time, memory and energy of a training, and the speed of its network.

    Attributes:
        seconds: duration from the check of the dataset to the finished files, in all processes of a resumed training,
            without the time in the queue; None if unknown.
        peak_memory_bytes: largest resident memory of the process that ended the training; None if unknown.
        energy_joules: energy of the processors meanwhile, other programs included; None if it was not measured, as
            where the system does not allow it, and for a resumed training.
        milliseconds_per_photo: median time of the network for one decoded photo, on the computer that trained it;
            None if unknown.
    """

    seconds: float | None = None
    peak_memory_bytes: float | None = None
    energy_joules: float | None = None
    milliseconds_per_photo: float | None = None

    @classmethod
    def from_json(cls, content: Any) -> "TrainingCost":
        """Read the content of the file; a value that is no number of at least 0 is unknown."""
        values = content if isinstance(content, Mapping) else {}
        return cls(**{field.name: _amount(values.get(field.name)) for field in dataclasses.fields(cls)})

    def to_json(self) -> dict[str, float | None]:
        """Content of the file."""
        return dataclasses.asdict(self)


def _amount(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) and value >= 0 else None


def energy_in_words(joules: float | None) -> str:
    """Energy with its unit, or that it was not measured."""
    if joules is None:
        return "not measured"
    return f"{joules / 3.6e6:,.3f} kWh" if joules >= 3.6e4 else f"{joules:,.0f} J"
