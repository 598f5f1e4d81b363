"""Sample of distinct photos: uniform, independent of order and merging, of bounded size."""

import numpy as np
import pytest

from model.usage.sample import MAX_ROWS, Sample


def photos(count: int, seed: int = 0) -> list[tuple[float, ...]]:
    return [tuple(row) for row in np.random.default_rng(seed).normal(size=(count, 3)).tolist()]


def sample_of(rows: list[tuple[float, ...]]) -> Sample:
    sample = Sample()
    for row in rows:
        sample.add(row)
    return sample


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 5000])
def test_the_merged_sample_of_two_workers_equals_that_of_all_photos(count: int) -> None:
    rows = photos(count)
    together = sample_of(rows[: count // 3])
    together.merge(sample_of(rows[count // 3 :][::-1]))
    assert together.rows == sample_of(rows).rows
    assert len(together.rows) == min(count, MAX_ROWS)
    assert Sample(together.rows).rows == together.rows


def test_a_repeated_photo_counts_once() -> None:
    rows = photos(40)
    again = [row for row in rows for _ in range(50)] + [rows[0]] * 5000
    assert sample_of(again).rows == sample_of(rows).rows
    assert sample_of(again).distinct == 40


def test_early_and_late_photos_are_sampled_alike() -> None:
    rows = [(number / 10_000, 0.0, 0.0) for number in range(10_000)]
    places = np.array([row[0] for row in sample_of(rows).rows])
    # 500 of 10,000: the mean of a uniform sample is within four standard errors of the middle.
    assert abs(places.mean() - 5000) < 4 * 10_000 / np.sqrt(12 * MAX_ROWS)


def test_the_number_of_distinct_photos_is_estimated() -> None:
    assert sample_of(photos(400)).distinct == 400
    estimates = [sample_of(photos(3000, seed)).distinct / 3000 for seed in range(10)]
    assert max(abs(np.array(estimates) - 1)) < 0.15
    assert abs(np.mean(estimates) - 1) < 0.05


def test_nan_is_skipped_and_huge_values_are_clipped() -> None:
    sample = sample_of([(float("nan"), 0.0, 0.0), (0.0, float("inf"), 0.0), (1e30, -1e30, 0.5)])
    assert sample.rows == [(32_767, -32_767, 5000)]
