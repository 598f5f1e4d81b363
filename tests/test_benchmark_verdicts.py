"""What the benchmarks call met, missed and not decided: noise never decides."""

import pytest

from benchmarks.load import LOST
from benchmarks.robustness import is_flat
from benchmarks.service_kills import Kills, Victim
from benchmarks.service_memory import Slope
from benchmarks.tables import verdict


def test_there_are_three_verdicts() -> None:
    words = [verdict("5 s", met) for met in (True, False, None)]
    assert words == ["5 s: met", "5 s: **missed**", "5 s: not decided"]


@pytest.mark.parametrize(
    ("low", "high", "flat"),
    [
        (-2.0, 1.0, True),
        (-9.0, -4.0, True),
        (0.5, 4.0, True),
        (0.5, 5.1, False),
        (150.0, 250.0, False),
        (-12.0, 411.0, None),
        (-3.0, 6.0, None),
    ],
)
def test_memory_is_flat_only_where_the_whole_interval_is_within_the_budget(
    low: float, high: float, flat: bool | None
) -> None:
    assert is_flat(Slope((low + high) / 2, low, high)) is flat


@pytest.mark.parametrize(
    ("status", "waited", "works_on", "met"),
    [
        (503, [0.1, 0.2], False, True),
        (503, [0.1, 11.0], False, False),
        (200, [21.0], True, True),
        (200, [23.0], True, False),
        (LOST, [60.0], False, False),
    ],
)
def test_the_client_of_a_killed_process_is_judged_by_what_it_gets_and_when(
    status: int, waited: list[float], works_on: bool, met: bool
) -> None:
    victim = Victim(lambda server: server.process, status, "", works_on)
    assert Kills(victim, 12.0, [status] * len(waited), waited, [0.1]).as_expected() is met
    assert not Kills(victim, 12.0, [status, 500], [0.1, 0.1], [0.1]).as_expected()
