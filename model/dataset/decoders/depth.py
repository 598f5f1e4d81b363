"""Unsigned integers of an odd number of bits, widened to the full range of 8 or 16 bits."""

import numpy as np


def to_full_depth(values: np.ndarray, bits: int) -> np.ndarray:
    """Widen integers of 1 to 7 bits to the range of 8 bits, and those of 9 to 15 bits to that of 16.

    The highest value becomes the highest of the wider type. Other depths are returned as they are.

    Args:
        values: bool, uint8 or uint16 of any shape, writable; bits above `bits` are zero.
    """
    if bits < 8:
        highest = (1 << bits) - 1
        return np.rint(np.arange(highest + 1) * (255 / highest)).astype(np.uint8)[values.view(np.uint8)]
    if 8 < bits < 16:
        low = values >> (2 * bits - 16)
        values <<= 16 - bits
        values |= low
    return values
