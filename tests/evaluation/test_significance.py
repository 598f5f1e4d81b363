"""Tests of whether chance explains what was found on the same images."""

import numpy as np
import pytest
from scipy.stats import binomtest

from model.evaluation.significance import sign_p_value


@pytest.mark.parametrize(("wins", "losses"), [(0, 1), (1, 1), (3, 0), (5, 12), (400, 350), (0, 2000)])
def test_the_sign_test_is_the_exact_binomial_test(wins: int, losses: int) -> None:
    gains = np.repeat([0.5, -1.0, 0.0], [wins, losses, 7])
    assert sign_p_value(gains) == pytest.approx(binomtest(wins, wins + losses, 0.5).pvalue, rel=1e-9)


def test_without_gains_and_losses_chance_explains_everything() -> None:
    assert sign_p_value(np.zeros(4)) == 1.0
