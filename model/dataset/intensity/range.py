"""Intensity range of deep photos, those with more than 8 bits per channel.

Method: each photo contributes its extent, in which hot and dead pixels do not count; the range covers the extents of
all photos. The few most extreme photos are left out only if they would cost the others more than two of their 8 bits. A
range that fills at least half of a bit depth is widened to it, so that brighter photos are not clipped later, and new
training photos seldom change it. `benchmarks/intensity.py` compares this with other percentiles.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from model.dataset.intensity.value_distribution import ValueDistribution
from model.intensity import IntensityRange

# Photos that may be left out at either end, and how much narrower the range must become for that.
_EXTREME_PHOTOS = 0.05
_MIN_GAIN = 4.0
# Isolated values are those of scale bars, masks or missing data if at least this fraction of them is the same.
_SAME_ISOLATED = 0.9
# A range is widened to the bit depth of a sensor or file of which it fills at least this fraction; that of floats also
# to [0, 1].
_MIN_FILLED = 0.5
_BIT_DEPTHS = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16, 24, 32))
# Ranges of integers and of floats that differ more do not have the same unit.
_MAX_RATIO_OF_UNITS = 16.0


def range_of(values: Sequence[ValueDistribution]) -> IntensityRange | None:
    """Range of the values of deep photos; None if there are no photos, or all have one and the same value.

    Args:
        values: distributions of the training photos, in any order.
    """
    if not values:
        return None
    low, high = extent(values)
    if not low < high:
        return None
    of_floats = all(found.is_float for found in values)
    end = next((end for end in ((1.0,) if of_floats else ()) + _BIT_DEPTHS if high <= end), np.inf)
    if low >= 0 and high - low >= _MIN_FILLED * end:
        return IntensityRange(0.0, end)
    return IntensityRange(low, high) if of_floats else IntensityRange(float(np.floor(low)), float(np.ceil(high)))


def extent(values: Sequence[ValueDistribution]) -> tuple[float, float]:
    """Lowest and highest value of several photos, without hot pixels and without extreme photos; see the module."""
    lows, highs = np.sort(_ends(values, 0)), np.sort(_ends(values, 1))
    extreme = int(_EXTREME_PHOTOS * len(values))
    trimmed = lows[extreme], highs[len(highs) - 1 - extreme]
    if trimmed[0] < trimmed[1] and highs[-1] - lows[0] > _MIN_GAIN * (trimmed[1] - trimmed[0]):
        return float(trimmed[0]), float(trimmed[1])
    return float(lows[0]), float(highs[-1])


def _ends(values: Sequence[ValueDistribution], side: Literal[0, 1]) -> list[float]:
    """The lower (0) or upper (1) end of each extent; with isolated values that differ, as those of objects do."""
    isolated = [found.isolated[side] for found in values]
    counts = Counter(value for value in isolated if value is not None)
    if max(counts.values(), default=0) >= _SAME_ISOLATED * counts.total():
        return [found.extent[side] for found in values]
    return [found.extent[side] if value is None else value for found, value in zip(values, isolated, strict=True)]


def have_different_units(values: Sequence[ValueDistribution]) -> bool:
    """Whether the photos of integers and those of floats cannot have one range: counts, and fractions of one."""
    integers, floats = ([found for found in values if found.is_float == kind] for kind in (False, True))
    if not integers or not floats:
        return False
    widths = [high - low for low, high in (extent(integers), extent(floats))]
    return max(widths) > _MAX_RATIO_OF_UNITS * min(widths)
