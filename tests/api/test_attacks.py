"""The benchmark of attacks, on one trick of each area: a real service withstands them beside an honest client."""

import pytest

from benchmarks.attacks.__main__ import AREAS, play, table


@pytest.mark.slow
def test_one_trick_of_each_area_passes_beside_an_honest_client() -> None:
    results = play(list(AREAS), 1)
    assert {area: (one.tried, one.passed, one.unanswered) for area, one in results.items()} == dict.fromkeys(
        AREAS, (1, 1, 0)
    )
    assert all(one.worker > 0 and one.main > 0 for one in results.values())
    assert "All tricks passed: met" in table(results)


def test_every_area_has_distinct_tricks() -> None:
    for make in AREAS.values():
        names = [trick.name for trick in make()]
        assert len(set(names)) == len(names) > 10
