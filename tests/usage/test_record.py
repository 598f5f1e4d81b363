"""Latency histogram: any quantile is within a tenth of the true one."""

from collections import Counter

import numpy as np
import pytest

from model.usage.record import LAST_STEP, quantile, step_of


@pytest.mark.parametrize("probability", [0.0, 0.5, 0.95, 0.99, 1.0])
def test_a_quantile_is_within_a_tenth_of_the_true_one(probability: float) -> None:
    seconds = np.random.default_rng(0).lognormal(-3, 1.2, 5000)
    found = quantile(Counter(map(step_of, seconds)), probability)
    expected = np.quantile(seconds, probability, method="inverted_cdf")
    assert found == pytest.approx(expected, rel=0.1)


def test_very_short_and_very_long_times_are_counted() -> None:
    assert step_of(0.0) == step_of(-1.0) == 0
    assert step_of(1e9) == LAST_STEP
    assert quantile({}, 0.5) is None
