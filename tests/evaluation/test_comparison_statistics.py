"""Statistics of comparisons: known values, intervals that keep their promise, and no winner among equals."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, f1_score

from model.evaluation.comparison.statistics import PairedDifference, images_needed, paired_difference, sign_test
from model.evaluation.significance import SIGNIFICANCE, holm
from model.measurements import COMPARED_METRICS


def predictions(fixed: int, broken: int, both: int, neither: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels 0, and the predictions of two models with these numbers of correct ones."""
    base = np.repeat([1, 0, 0, 1], [fixed, broken, both, neither])
    new = np.repeat([0, 1, 0, 1], [fixed, broken, both, neither])
    return np.zeros(len(base), int), base, new


def compare(fixed: int, broken: int, both: int = 80, neither: int = 5, seed: int = 0) -> PairedDifference:
    return paired_difference(*predictions(fixed, broken, both, neither), classes=2, seed=seed)


@pytest.mark.parametrize(
    ("fixed", "broken", "p_value"),
    # 2 * sum of the binomial coefficients of the smaller number and below / 2 ** (fixed + broken), by hand.
    [(6, 0, 2 / 64), (1, 7, 2 * 9 / 256), (59, 6, 4.434e-12), (4, 4, 1.0), (0, 0, 1.0)],
)
def test_the_test_of_mcnemar_has_known_values(fixed: int, broken: int, p_value: float) -> None:
    found = compare(fixed, broken)
    assert found.p_value == pytest.approx(p_value, rel=1e-3)
    assert (found.fixed, found.broken) == (fixed, broken)
    assert found.difference == pytest.approx((fixed - broken) / found.images)


def test_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 5, 300)
    base = np.where(rng.random(300) < 0.7, labels, rng.integers(0, 5, 300))
    new = np.where(rng.random(300) < 0.8, labels, rng.integers(0, 5, 300))
    expected = {
        "accuracy": lambda predicted: (predicted == labels).mean(),
        "balanced_accuracy": lambda predicted: balanced_accuracy_score(labels, predicted),
        "macro_f1": lambda predicted: f1_score(labels, predicted, average="macro"),
    }
    for metric in COMPARED_METRICS:
        found = paired_difference(labels, base, new, 5, metric)
        assert found.base == pytest.approx(expected[metric](base))
        assert found.new == pytest.approx(expected[metric](new))
        assert found.interval[0] < found.difference < found.interval[1]


def test_the_interval_is_that_of_the_normal_distribution_for_many_images() -> None:
    found = compare(300, 200, 9000, 500)
    error = np.sqrt((0.05 - 0.01**2) / 10_000)
    expected = [0.01 - stats.norm.ppf(0.975) * error, 0.01 + stats.norm.ppf(0.975) * error]
    assert found.interval == pytest.approx(expected, abs=3e-4)


@pytest.mark.parametrize("metric", COMPARED_METRICS)
def test_images_of_a_group_count_as_one(metric: str) -> None:
    labels, base, new = predictions(12, 4, 60, 24)
    copies = [np.repeat(values, 5) for values in (labels, base, new)]
    groups = np.repeat(np.arange(100), 5)
    ungrouped = paired_difference(labels, base, new, 2, metric, seed=1)
    grouped = paired_difference(*copies, 2, metric, groups, seed=1)
    as_independent = paired_difference(*copies, 2, metric, seed=1)
    width = [high - low for low, high in (ungrouped.interval, grouped.interval, as_independent.interval)]
    assert grouped.difference == pytest.approx(ungrouped.difference)
    assert width[1] == pytest.approx(width[0], rel=0.15)
    assert width[2] < 0.6 * width[0]
    if metric == "accuracy":
        assert grouped.p_value == ungrouped.p_value
    assert grouped.p_value > as_independent.p_value


def test_a_group_counts_for_the_model_that_predicts_more_of_it_correctly() -> None:
    labels, base, new = np.zeros(9, int), np.array([1, 1, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 0, 1, 0, 0, 0, 0])
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5])
    # Group 0 is won 2 to 1, group 1 lost; the other four are won.
    assert sign_test(labels, base, new, groups) == pytest.approx(2 * 7 / 64)


def test_models_without_a_difference_have_an_interval_wider_than_zero() -> None:
    found = compare(0, 0, 40, 0)
    assert found.difference == 0
    assert found.interval == pytest.approx((-0.0876, 0.0876), abs=1e-3)
    better = compare(40, 0, 0, 0)
    assert better.difference == better.interval[1] == 1
    assert better.interval[0] == pytest.approx(1 - 0.0876, abs=1e-3)
    one = compare(1, 0, 0, 0)
    assert -1 <= one.interval[0] < one.interval[1] == 1


@pytest.mark.parametrize("changed", [1, 2, 3])
def test_a_few_images_in_one_direction_have_an_interval_on_both_sides_of_zero(changed: int) -> None:
    fixed, broken = compare(changed, 0, 90, 10 - changed), compare(0, changed, 90, 10 - changed)
    assert fixed.interval[0] < 0 < fixed.interval[1]
    assert broken.interval == pytest.approx((-fixed.interval[1], -fixed.interval[0]), abs=0.011)
    # As many images that were never broken: 0 to 3.7 %.
    assert fixed.interval[0] == pytest.approx(changed / 100 - 0.037, abs=1e-3)
    # With images in both directions, the resamples show both.
    assert compare(changed + 8, 1, 80, 11 - changed).interval[0] > 0.01


@pytest.mark.parametrize("images", [6, 36, 100, 1000])
def test_the_interval_and_the_test_of_mcnemar_agree_about_zero(images: int) -> None:
    for fixed in range(min(images, 10) + 1):
        for broken in range(min(images, 10) - fixed + 1):
            found = compare(fixed, broken, images - fixed - broken, 0)
            assert (found.interval[0] <= 0 <= found.interval[1]) is (found.p_value >= SIGNIFICANCE), (fixed, broken)
            assert found.interval[0] <= found.difference <= found.interval[1]


@pytest.mark.parametrize("metric", COMPARED_METRICS)
@pytest.mark.parametrize("seed", range(20))
def test_an_interval_of_few_images_excludes_zero_only_where_the_test_does(metric: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 3, 40), rng.integers(0, 10, 40)
    new = np.where(rng.random(40) < 0.9, labels, rng.integers(0, 3, 40))
    base = new.copy()
    base[:10] = np.where(rng.random(10) < 0.2, labels[:10], (labels[:10] + 1) % 3)
    for grouping in (None, groups):
        found = paired_difference(labels, base, new, 3, metric, grouping)
        assert found.interval[0] <= 0 <= found.interval[1] or found.p_value < SIGNIFICANCE


MACRO = [metric for metric in COMPARED_METRICS if metric != "accuracy"]


@pytest.mark.parametrize("metric", MACRO)
def test_a_few_images_of_a_rare_class_are_no_evidence(metric: str) -> None:
    labels = np.repeat([0, 1], [96, 4])
    found = paired_difference(labels, np.zeros(100, int), labels, 2, metric)
    # All four images exchanged, or none, of 16 exchanges.
    assert found.difference > 0.4 and found.p_value == pytest.approx(2 / 16)
    more = np.repeat([0, 1], [90, 10])
    assert paired_difference(more, np.zeros(100, int), more, 2, metric).p_value == pytest.approx(2 / 1024)


@pytest.mark.parametrize(("fixed", "broken"), [(6, 0), (1, 7), (4, 4), (0, 0), (20, 8)])
def test_the_permutation_test_of_one_class_is_that_of_mcnemar(fixed: int, broken: int) -> None:
    labels, base, new = predictions(fixed, broken, 60, 10)
    found = paired_difference(labels, base, new, 2, "balanced_accuracy")
    assert found.p_value == pytest.approx(sign_test(labels, base, new), abs=1e-9 if fixed + broken < 12 else 0.015)


@pytest.mark.parametrize("metric", MACRO)
def test_drawn_exchanges_agree_with_all_of_them(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 60)
    base, new = labels.copy(), labels.copy()
    base[:7] = (labels[:7] + 1) % 3
    new[5:9] = (labels[5:9] + 2) % 3
    exact = paired_difference(labels, base, new, 3, metric).p_value
    copies = [np.repeat(values, 4) for values in (labels, base, new)]
    assert paired_difference(*copies, 3, metric, np.repeat(np.arange(60), 4)).p_value == pytest.approx(exact)
    monkeypatch.setattr("model.evaluation.comparison.statistics._MAX_CHUNK", 500)
    assert paired_difference(labels, base, new, 3, metric).p_value == exact
    monkeypatch.setattr("model.evaluation.comparison.statistics._MAX_EXACT", 0)
    assert paired_difference(labels, base, new, 3, metric).p_value == pytest.approx(exact, abs=0.04)


def test_the_correction_of_holm_has_known_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_the_number_of_images_is_that_of_connor() -> None:
    # n = (1.96 sqrt(0.046) + 0.8416 sqrt(0.046 - 0.0004)) ** 2 / 0.0004, by hand.
    assert images_needed(0.046, 0.02) == pytest.approx(900, abs=5)
    assert images_needed(0.0, 0.02) == images_needed(0.02, 0.02)
    assert images_needed(0.2, 0.05) < images_needed(0.3, 0.05)


def test_so_many_images_detect_the_difference_with_the_stated_power() -> None:
    rng = np.random.default_rng(0)
    images = images_needed(0.2, 0.1)
    detected = 0
    for _ in range(500):
        fixed, broken, _ = rng.multinomial(images, [0.15, 0.05, 0.8])
        detected += stats.binomtest(int(fixed), int(fixed + broken)).pvalue < SIGNIFICANCE
    # The exact test needs slightly more images than the approximation.
    assert 0.72 < detected / 500 < 0.88


# More of these simulations are in benchmarks/comparison.py.
def test_of_equal_models_few_are_called_better() -> None:
    discordant = 0.1
    rng = np.random.default_rng(1)
    better = 0
    for run in range(1000):
        fixed, broken, _ = rng.multinomial(100, [discordant / 2, discordant / 2, 1 - discordant])
        found = compare(fixed, broken, 95 - fixed - broken, 5, seed=run)
        better += found.interval[0] > 0 and found.p_value < SIGNIFICANCE
    assert better <= 50


@pytest.mark.parametrize("fractions", [(0.13, 0.08), (0.1, 0.1)])
def test_the_interval_contains_the_true_difference_in_about_95_percent(fractions: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    contained = 0
    for run in range(1000):
        fixed, broken, _ = rng.multinomial(100, [*fractions, 1 - sum(fractions)])
        low, high = compare(fixed, broken, 100 - fixed - broken, 0, seed=run).interval
        contained += low - 1e-9 <= fractions[0] - fractions[1] <= high + 1e-9
    assert 930 <= contained <= 970
