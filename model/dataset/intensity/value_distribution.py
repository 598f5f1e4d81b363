"""Distribution of the values of a photo with more than 8 bits per channel: a few numbers per photo, no pixels."""

import dataclasses

import numpy as np

_TAIL = (0.0, 0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
PROBABILITIES = np.array((*_TAIL, *np.arange(1, 20) / 20, *(1 - np.array(_TAIL[::-1]))))
"""Probabilities of the quantiles that are kept, ascending from 0 to 1."""

# Fraction of the values beyond either end of `ValueDistribution.extent`.
TAIL = 0.001

# A highest or lowest value is isolated if the values reach more than this many times farther with it than without it.
# It must also account for this fraction of the values that far, as scale bars and masks do but bright objects do not.
_MIN_GAIN = 4.0
_MIN_ISOLATED = 0.8

_MAX_PIXELS = 65_536


@dataclasses.dataclass(frozen=True, eq=False)
class ValueDistribution:
    """Quantiles of the values of a photo, over all channels.

    Attributes:
        dtype: type of the values as a name of NumPy, such as `uint16`.
        quantiles: float64, one per probability of `PROBABILITIES`; NaN, infinities and isolated values (those of a
            scale bar, a mask or missing data) do not count. All are 0 if the photo has no finite value.
        isolated: the isolated lowest and highest value; None for none.
    """

    dtype: str
    quantiles: np.ndarray
    isolated: tuple[float | None, float | None] = (None, None)

    @classmethod
    def measure(cls, values: np.ndarray) -> "ValueDistribution":
        """Measure a photo on a grid of at most 65,536 of its pixels.

        Each of them counts with the median of itself and its two next neighbours on the diagonal, which leaves out hot
        and dead pixels, rows and columns of a sensor.

        Args:
            values: (height, width) or (height, width, channels), of any integer or floating-point type.
        """
        finite = _finite(_medians(values))
        if not finite.size:
            finite = _finite(values)
        finite, isolated = _without_isolated(finite)
        quantiles = np.quantile(finite, PROBABILITIES) if finite.size else np.zeros(len(PROBABILITIES))
        return cls(values.dtype.newbyteorder("=").name, quantiles, isolated)

    @property
    def is_float(self) -> bool:
        """Whether the values are floating-point numbers."""
        return self.dtype.startswith("float")

    @property
    def extent(self) -> tuple[float, float]:
        """The values between which all but 0.1 % at either end lie."""
        return self.quantile(TAIL), self.quantile(1 - TAIL)

    @property
    def width(self) -> float:
        """Length of the extent."""
        low, high = self.extent
        return high - low

    def quantile(self, probability: float) -> float:
        """The value below which this fraction of the values lies."""
        return float(np.interp(probability, PROBABILITIES, self.quantiles))

    def fraction_outside(self, low: float, high: float) -> float:
        """At least this fraction of the values lies below `low` or above `high`."""
        below = PROBABILITIES[self.quantiles < low].max(initial=0)
        above = 1 - PROBABILITIES[self.quantiles > high].min(initial=1)
        return float(below + above)


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _without_isolated(values: np.ndarray) -> tuple[np.ndarray, tuple[float | None, float | None]]:
    """The values without a highest and a lowest one that are far from all others, see `_MIN_GAIN`; and those two."""
    ends = (values.min(), values.max()) if values.size else (0, 0)
    others = values[(values != ends[0]) & (values != ends[1])]
    if not others.size:
        return values, (None, None)
    low, high = np.quantile(others, (TAIL, 1 - TAIL))
    # Without contrast between the others, the two ends are all that there is to see.
    if not low < high:
        return values, (None, None)
    reach = _MIN_GAIN * (high - low)
    kept = np.ones(values.shape, bool)
    isolated: list[float | None] = [None, None]
    for side, far in enumerate((values < high - reach, values > low + reach)):
        number = np.count_nonzero(far)
        if number and np.count_nonzero(values[far] == ends[side]) >= _MIN_ISOLATED * number:
            kept &= ~far
            # As few as hot pixels, they would not count anyway.
            isolated[side] = float(ends[side]) if number > TAIL * values.size else None
    return values[kept], (isolated[0], isolated[1])


def _medians(values: np.ndarray) -> np.ndarray:
    """Medians of three diagonal neighbours on a grid, float64 (n,); NaN if one of them is NaN."""
    height, width = values.shape[:2]
    # An odd step visits all phases of a Bayer pattern.
    step = int(np.ceil(np.sqrt(height * width / _MAX_PIXELS))) | 1
    reach = 2 if min(height, width) > 2 else 0
    first, second, third = (
        values[shift : height - reach + shift : step, shift : width - reach + shift : step].astype(np.float64)
        for shift in (0, reach // 2, reach)
    )
    lower, upper = np.minimum(first, second), np.maximum(first, second)
    return np.maximum(lower, np.minimum(upper, third)).ravel()
