"""How long things took, as counts in steps that grow by a fifth: any quantile within a tenth, in bounded size."""

import math
from collections.abc import Mapping

_SHORTEST = 1e-4
_STEPS_PER_DOUBLING = 4
# More than an hour.
LAST_STEP = 101


def step_of(seconds: float) -> int:
    """The step of a duration, from 0 to `LAST_STEP`."""
    return min(LAST_STEP, max(0, math.floor(_STEPS_PER_DOUBLING * math.log2(max(seconds, _SHORTEST) / _SHORTEST))))


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The duration in seconds that `share` of all stay within, to a tenth of itself; None where there are none.

    Args:
        counts: step -> how many.
        share: in [0, 1].
    """
    left = share * sum(counts.values())
    for step in sorted(counts):
        left -= counts[step]
        if left <= 0:
            return float(_SHORTEST * 2 ** ((step + 0.5) / _STEPS_PER_DOUBLING))
    return None
