"""Reduction of pixels with more than 8 bits per channel to 8 bits."""

from collections.abc import Iterator

import numpy as np

from model.dataset.intensity.value_distribution import ValueDistribution
from model.intensity import Intensity, IntensityRange

# Bounds the copies in float64: 8 MB each.
_BLOCK = 1_000_000
# Upper ends of the ranges assumed for types without a range of their own, if all values are inside.
_FLOAT_ENDS = (1.0, 255.0, 65535.0)
_INTEGER_ENDS = (255.0, 65535.0)


def reduce_photo(values: np.ndarray, intensity: Intensity) -> tuple[np.ndarray, ValueDistribution | None]:
    """Reduce a photo to 8 bits per channel, and measure its values; the only place that does.

    Args:
        values: (height, width) or (height, width, channels) of any integer or floating-point type.
        intensity: the range of the values; see `to_8_bits` for `full`.

    Returns:
        uint8 of the shape of `values`, and their distribution; None if they have 8 bits already.
    """
    if values.dtype == np.uint8:
        return values, None
    distribution = ValueDistribution.measure(values)
    if isinstance(intensity, IntensityRange):
        return to_8_bits(values, intensity), distribution
    own = IntensityRange(*distribution.extent) if intensity == "photo" and distribution.width > 0 else None
    return to_8_bits(values, own), distribution


def to_8_bits(values: np.ndarray, intensity: IntensityRange | None = None) -> np.ndarray:
    """Reduce pixels to 8 bits per channel. Pixels that have 8 bits already are returned as they are.

    Args:
        values: pixels of any integer or floating-point type and any shape.
        intensity: values that become 0 and 255; values outside are clipped, and NaN becomes 0. None means the full
            range of the type: 65,535 for uint16, of which the high byte counts. Other types have no such range: it
            is [0, 1] for floats, [0, 255] or [0, 65535] if all values are inside, otherwise from the lowest value of
            the photo to the highest; NaN and infinities become 0.

    Returns:
        uint8 of the shape of `values`.
    """
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype == np.uint8:
        return values
    if intensity is not None:
        return _scaled(values, intensity.low, intensity.high)
    if values.dtype == np.uint16:
        # Without a copy in 16 bits.
        return np.right_shift(values, 8, out=np.empty(values.shape, np.uint8), casting="unsafe")
    low, high = finite_extremes(values)
    ends = _FLOAT_ENDS if values.dtype.kind == "f" else _INTEGER_ENDS
    end = next((end for end in ends if low >= 0 and high <= end), None)
    if end is not None:
        low, high = 0.0, end
    return _scaled(values, low, high, only_finite=True)


def finite_extremes(values: np.ndarray) -> tuple[float, float]:
    """Lowest and highest value that is neither NaN nor infinite; 0 and 0 without any."""
    extremes = [(part.min(), part.max()) for block in _blocks(values) if (part := block[np.isfinite(block)]).size]
    if not extremes:
        return 0.0, 0.0
    lowest, highest = zip(*extremes, strict=True)
    return float(min(lowest)), float(max(highest))


def _scaled(values: np.ndarray, low: float, high: float, only_finite: bool = False) -> np.ndarray:
    """Map [low, high] linearly to [0, 255]; `only_finite` maps infinities to 0 instead of clipping them."""
    span = (high - low) or 1.0
    if values.dtype.kind in "iu" and values.dtype.itemsize == 2:
        # A table of the 65,536 values takes a tenth of the time, and no copies.
        every = np.arange(1 << 16, dtype=np.uint16).view(values.dtype)
        return _scaled_block(every, low, span, only_finite)[values.view(np.uint16)]
    scaled = np.empty(values.size, np.uint8)
    start = 0
    for block in _blocks(values):
        scaled[start : start + block.size] = _scaled_block(block, low, span, only_finite)
        start += block.size
    return scaled.reshape(values.shape)


def _scaled_block(block: np.ndarray, low: float, span: float, only_finite: bool) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        levels = (block.astype(np.float64) - low) / span * 255
    if block.dtype.kind == "f":
        levels[~np.isfinite(block) if only_finite else np.isnan(levels)] = 0
    return np.rint(np.clip(levels, 0, 255, out=levels), out=levels).astype(np.uint8)


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    flat = values.reshape(-1)
    return (flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK))
