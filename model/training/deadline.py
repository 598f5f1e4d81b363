"""The time limit of a training."""

import dataclasses
import math
import time


@dataclasses.dataclass(frozen=True)
class Deadline:
    """A moment of `time.monotonic()` after which phases end, keeping the best result so far."""

    moment: float

    @classmethod
    def after_minutes(cls, minutes: float | None, used: float = 0.0) -> "Deadline":
        """The deadline of a training; none if `minutes` is None.

        Args:
            minutes: for the whole training.
            used: seconds that it has run before interruptions.
        """
        return cls(math.inf if minutes is None else time.monotonic() + 60 * minutes - used)

    def at_least(self, seconds: float) -> "Deadline":
        """The later of this deadline and `seconds` from now."""
        return Deadline(max(self.moment, time.monotonic() + seconds))

    def seconds_left(self) -> float:
        """Seconds until the deadline; 0 once it has passed, infinite without one."""
        return max(0.0, self.moment - time.monotonic())

    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.moment


NO_DEADLINE = Deadline(math.inf)
