"""Tests of whether chance explains what was found on the same images."""

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr

SIGNIFICANCE = 0.05
"""A difference is significant if chance alone makes one as large in fewer than this fraction of cases."""


def sign_p_value(gains: np.ndarray) -> float:
    """Two-sided p-value of the exact sign test: 1 if nothing was gained or lost.

    Args:
        gains: float (n,), of independent images or groups; those equal to 0 do not count.
    """
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    # Twice the smaller tail of the binomial distribution; `scipy.stats`, which has the test, takes a second to import.
    return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for the number of tests (Holm, 1979): any of them below 0.05 by chance in 5 % of cases."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(corrected, 1.0).tolist()
