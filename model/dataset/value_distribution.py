"""Distribution of the values of a photo with more than 8 bits per channel: a few numbers per photo, no pixels."""

import dataclasses

import numpy as np

# The tails are dense: hot and dead pixels are a few in ten thousand.
_TAIL = (0.0, 0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
PROBABILITIES = np.array((*_TAIL, *np.arange(1, 20) / 20, *(1 - np.array(_TAIL[::-1]))))
"""Probabilities of the quantiles that are kept, ascending from 0 to 1."""

_MAX_PIXELS = 65_536


@dataclasses.dataclass(frozen=True, eq=False)
class ValueDistribution:
    """Quantiles of the values of a photo, over all channels.

    Attributes:
        dtype: type of the values as a name of NumPy, such as `uint16`.
        quantiles: float64, one per probability of `PROBABILITIES`; NaN and infinities do not count. All are 0 if the
            photo has no finite value.
    """

    dtype: str
    quantiles: np.ndarray

    @classmethod
    def measure(cls, values: np.ndarray) -> "ValueDistribution":
        """Measure a photo on a grid of at most 65,536 of its pixels.

        Args:
            values: (height, width) or (height, width, channels), of any integer or floating-point type.
        """
        step = max(1, int(np.ceil(np.sqrt(values.shape[0] * values.shape[1] / _MAX_PIXELS))))
        # An odd step visits all phases of a Bayer pattern.
        sample = values[:: step | 1, :: step | 1].astype(np.float64).ravel()
        finite = sample[np.isfinite(sample)]
        quantiles = np.quantile(finite, PROBABILITIES) if finite.size else np.zeros(len(PROBABILITIES))
        return cls(values.dtype.newbyteorder("=").name, quantiles)

    @property
    def is_float(self) -> bool:
        """Whether the values are floating-point numbers."""
        return self.dtype.startswith("float")

    def quantile(self, probability: float) -> float:
        """The value below which this fraction of the values lies."""
        return float(np.interp(probability, PROBABILITIES, self.quantiles))

    def fraction_outside(self, low: float, high: float) -> float:
        """At least this fraction of the values lies below `low` or above `high`."""
        below = PROBABILITIES[self.quantiles < low].max(initial=0)
        above = 1 - PROBABILITIES[self.quantiles > high].min(initial=1)
        return float(below + above)
