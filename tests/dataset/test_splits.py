"""Splits: stratified, the same for the same seed, groups whole."""

from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from model.dataset.splits import split_samples, stratified_folds
from model.results import SPLITS, Sample

FRACTIONS = {"val": 0.15, "test": 0.15}


def samples_of(*labels: int) -> list[Sample]:
    return [Sample(Path(f"/d/{number}"), f"{number}", label) for number, label in enumerate(labels)]


def counts(samples: list[Sample], groups: list[object] | None = None, seed: int = 0) -> dict[int, tuple[int, ...]]:
    splits = split_samples(samples, groups or [sample.name for sample in samples], FRACTIONS, seed)
    tallies = [Counter(sample.label for sample in splits[split]) for split in SPLITS]
    return {label: tuple(tally[label] for tally in tallies) for label in {sample.label for sample in samples}}


def folds_of(samples: list[Sample], groups: list[int], seed: int) -> list[int]:
    names, labels = [sample.name for sample in samples], [sample.label for sample in samples]
    return stratified_folds(names, labels, groups, 5, seed)


def test_each_class_is_split_by_the_fractions() -> None:
    assert counts(samples_of(*[0] * 100, *[1] * 20, *[2] * 10)) == {0: (70, 15, 15), 1: (14, 3, 3), 2: (6, 2, 2)}


def test_small_classes_keep_a_training_image() -> None:
    labels = [label for label, size in enumerate((1, 2, 3, 4)) for _ in range(size)]
    assert counts(samples_of(*labels)) == {0: (1, 0, 0), 1: (1, 1, 0), 2: (1, 1, 1), 3: (2, 1, 1)}


def test_there_is_no_test_split_unless_requested() -> None:
    splits = split_samples(samples_of(*[0] * 20), list(range(20)), {"val": 0.2}, 0)
    assert [len(splits[split]) for split in SPLITS] == [16, 4, 0]


def test_groups_of_crops_are_kept_together() -> None:
    train, val, test = counts(samples_of(*[0] * 100), [number // 10 for number in range(100)])[0]
    assert train >= 60
    assert 10 <= val <= 20
    assert 10 <= test <= 20


@settings(max_examples=100, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=80),
    group_count=st.integers(1, 40),
    seed=st.integers(0, 99),
    order=st.randoms(use_true_random=False),
)
def test_splits_are_whole_disjoint_and_independent_of_order(labels, group_count, seed, order) -> None:
    samples = samples_of(*labels)
    group_of = {sample.name: int(sample.name) * 7 % group_count for sample in samples}
    splits = split_samples(samples, [group_of[sample.name] for sample in samples], FRACTIONS, seed)
    assert sorted(s.name for split in SPLITS for s in splits[split]) == sorted(s.name for s in samples)
    seen = [{group_of[sample.name] for sample in splits[split]} for split in SPLITS]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert splits["train"]
    shuffled = list(samples)
    order.shuffle(shuffled)
    assert split_samples(shuffled, [group_of[sample.name] for sample in shuffled], FRACTIONS, seed) == splits


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_without_groups_every_class_with_two_images_is_validated(sizes: list[int], seed: int) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    for label, (train, val, test) in counts(samples_of(*labels), seed=seed).items():
        assert train >= 1
        assert (val >= 1) == (sizes[label] >= 2)
        assert (test >= 1) == (sizes[label] >= 3)


def test_different_seeds_give_different_splits() -> None:
    samples = samples_of(*[0] * 50)
    groups = list(range(50))
    assert split_samples(samples, groups, FRACTIONS, 0) != split_samples(samples, groups, FRACTIONS, 1)


def test_folds_spread_every_class_evenly_and_keep_groups_together() -> None:
    samples = samples_of(*[0] * 31, *[1] * 12, *[2] * 5)
    groups = [position // 2 if sample.label == 0 else 1000 + position for position, sample in enumerate(samples)]
    folds = folds_of(samples, groups, seed=3)
    for label, most in ((0, 8), (1, 3), (2, 1)):
        counts = Counter(fold for sample, fold in zip(samples, folds, strict=True) if sample.label == label)
        assert max(counts.values()) <= most and len(counts) >= 4
    fold_of_group: dict[int, set[int]] = {}
    for group, fold in zip(groups, folds, strict=True):
        fold_of_group.setdefault(group, set()).add(fold)
    assert all(len(found) == 1 for found in fold_of_group.values())
    assert folds == folds_of(samples, groups, seed=3) != folds_of(samples, groups, seed=4)
