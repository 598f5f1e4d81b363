"""Bootstrap resamples and their intervals: what chance alone does to a metric (Efron and Tibshirani, 1993).

Fractions get Wilson's score interval instead: `model.measurements.wilson_interval`.
"""

import math

import numpy as np

RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)
"""Percentiles of a resampled metric that enclose 95 %."""


def resample(counts: np.ndarray, seed: int | np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """Bootstrap resamples: draw as many images as there are, with replacement.

    Args:
        counts: int (n,), the images of each cell; all 1 to resample the images one by one.
        seed: seed, or a generator to draw on from.
        resamples: number of resamples.

    Returns:
        int64 (resamples, n): the images of each cell in each resample.
    """
    images = int(counts.sum())
    return np.random.default_rng(seed).multinomial(images, counts / images, size=resamples)


def percentile_interval(value: float, resampled: np.ndarray, fraction: float = 1.0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a metric in [0, 1]; it always contains the metric.

    Args:
        value: the metric of the images themselves.
        resampled: float (resamples,), the metric of each resample.
        fraction: see `model.measurements.effective_fraction`; below 1 the interval is widened around `value`.
    """
    low, high = value + (np.percentile(resampled, PERCENTILES) - value) / math.sqrt(fraction)
    return max(min(float(low), value), 0.0), min(max(float(high), value), 1.0)
