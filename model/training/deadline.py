"""The time limit of a training."""

import dataclasses
import math
import time


@dataclasses.dataclass(frozen=True)
class Deadline:
    """A moment of `time.monotonic()` after which phases end in good order, with what is best so far."""

    moment: float

    @classmethod
    def after_minutes(cls, minutes: float | None, used: float = 0.0) -> "Deadline":
        """The moment that many minutes from now; never, for None.

        Args:
            minutes: of the training as a whole.
            used: seconds that it took before it was interrupted.
        """
        return cls(math.inf if minutes is None else time.monotonic() + 60 * minutes - used)

    def at_least(self, seconds: float) -> "Deadline":
        """This moment, or that many seconds from now where that is later."""
        return Deadline(max(self.moment, time.monotonic() + seconds))

    def seconds_left(self) -> float:
        """Until the moment; 0 once it has passed, infinite where there is none."""
        return max(0.0, self.moment - time.monotonic())

    def is_over(self) -> bool:
        """Whether the moment has passed."""
        return time.monotonic() >= self.moment


NO_DEADLINE = Deadline(math.inf)
