"""Bootstrap resamples and confidence intervals: what chance alone does to a metric.

Fractions get Wilson's score interval. Every other metric gets a bootstrap interval (Efron and Tibshirani, 1993).
"""

import math

import numpy as np

RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)
"""Percentiles of a resampled metric that enclose 95 %."""
# 97.5th percentile of the normal distribution.
_Z = 1.959964


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


def effective_fraction(folds: int) -> float:
    """Effective number of images in a confidence interval, per image: 1, or about 0.5 in cross-validation.

    The models of the folds are trained on largely the same images, so their errors are correlated. Nadeau and Bengio
    (2003) correct the variance of a mean over k folds from 1 / k to 1 / k + test images / training images, which is
    1 / k + 1 / (k - 1).

    Args:
        folds: k; below 2 there was no cross-validation.
    """
    return (folds - 1) / (2 * folds - 1) if folds > 1 else 1.0


def wilson_interval(successes: float, trials: float) -> tuple[float, float]:
    """95 % interval of a fraction (Wilson, 1927), also valid for few trials and for fractions near 0 and 1.

    `scipy.stats` has this interval for whole numbers only; with `effective_fraction` these are none.
    """
    fraction, spread = successes / trials, _Z**2 / trials
    center = (fraction + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(fraction * (1 - fraction) / trials + spread / (4 * trials)) / (1 + spread)
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == trials else center + half
    return low, high


def percentile_interval(value: float, resampled: np.ndarray, fraction: float = 1.0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a metric in [0, 1]; it always contains the metric.

    Args:
        value: the metric of the images themselves.
        resampled: float (resamples,), the metric of each resample.
        fraction: see `effective_fraction`; below 1 the interval is widened around `value`.
    """
    low, high = value + (np.percentile(resampled, PERCENTILES) - value) / math.sqrt(fraction)
    return max(min(float(low), value), 0.0), min(max(float(high), value), 1.0)
