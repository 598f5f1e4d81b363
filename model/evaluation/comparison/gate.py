"""The limit of a comparison: how much a new model may lose, by which metric and on which photos."""

import dataclasses
import math
from typing import Literal

from model.errors import ConfigError
from model.evaluation.comparison.statistics import PairedDifference
from model.measurements import COMPARED_METRICS, COMPARED_PHOTOS
from model.received import quoted

Photos = Literal["shared", "new", "base", "all"]
"""Photos of classes that both models know, that only the new model or only the base model knows, and all of them."""


@dataclasses.dataclass(frozen=True)
class Gate:
    """How models are compared, and what a new model may lose.

    Attributes:
        metric: accuracy, balanced_accuracy or macro_f1.
        on: photos of the classes that both models know (`shared`), or `all`.
        max_regression: difference of the metric, in [0, 1], that the new model may lose; None for no limit.
        confident: apply the limit to the lower end of the 95 % interval of the difference.

    Raises:
        ConfigError: a value that cannot be used.
    """

    metric: str = "accuracy"
    on: Photos = "shared"
    max_regression: float | None = None
    confident: bool = False

    def __post_init__(self) -> None:
        if self.metric not in COMPARED_METRICS:
            raise ConfigError(f"metric: expected one of {', '.join(COMPARED_METRICS)}, received {quoted(self.metric)}.")
        if self.on not in COMPARED_PHOTOS:
            raise ConfigError(f"on: expected one of {', '.join(COMPARED_PHOTOS)}, received {quoted(self.on)}.")
        limit = self.max_regression
        if limit is not None and not (math.isfinite(limit) and 0 <= limit <= 1):
            raise ConfigError(f"max_regression: expected a number from 0 to 1, received {quoted(limit)}.")
        if self.confident and limit is None:
            raise ConfigError("confident: expected together with max_regression, received without it.")

    def is_kept(self, difference: PairedDifference) -> bool | None:
        """Whether a new model keeps the limit; None without a limit."""
        if self.max_regression is None:
            return None
        lowest = difference.interval[0] if self.confident else difference.difference
        # The difference of two fractions is exact to the last digits only.
        return lowest >= -self.max_regression - 1e-12
