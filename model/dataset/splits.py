"""Dividing labelled images into splits: stratified, seeded, and with no group in two of them."""

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

from model.results import SPLITS, Sample, Split

# A class with fewer groups has none in this split.
_GROUPS_NEEDED: Mapping[Split, int] = {"val": 2, "test": 3}


def split_samples(
    samples: Sequence[Sample], groups: Sequence[Hashable], fractions: Mapping[Split, float], seed: int
) -> dict[Split, tuple[Sample, ...]]:
    """Divide samples so that every class has its share in every split, and each group is in one split whole.

    A class with two images has one in val, with three one in test too, whatever the fractions; a class with
    one has it in train. Groups of many images make the shares coarser. The result depends on the order of
    the samples only through their names: the same names, groups and seed give the same splits.

    Args:
        samples: the images; their names are distinct.
        groups: for each sample, what it must stay together with.
        fractions: share of the images for val and for test, in [0, 1); train gets the rest.
        seed: fixes which images go where.

    Returns:
        the samples of train, val and test, each sorted by name.
    """
    units = [[samples[position] for position in unit] for unit in _units(samples, groups, seed)]
    quotas = _quotas(units, fractions)
    needs = {split: Counter(quota) for split, quota in quotas.items()}
    chosen: dict[Split, list[Sample]] = {split: [] for split in SPLITS}
    for unit in units:
        split = _neediest(Counter(sample.label for sample in unit), quotas, needs)
        chosen[split] += unit
        needs[split].subtract(sample.label for sample in unit)
    return {split: tuple(sorted(chosen[split], key=lambda sample: sample.name)) for split in SPLITS}


def stratified_folds(samples: Sequence[Sample], groups: Sequence[Hashable], folds: int, seed: int) -> list[int]:
    """Divide samples into parts of equal size, for cross-validation: every class is spread over all of them evenly.

    Args:
        samples: the images; their names are distinct.
        groups: for each sample, what it must stay together with.
        folds: how many parts, 2 or more; with fewer groups than that, some stay empty.
        seed: fixes which images go where.

    Returns:
        for each sample, the number of its part, from 0.
    """
    fold_of = [0] * len(samples)
    labels_in: list[Counter[int]] = [Counter() for _ in range(folds)]
    for unit in _units(samples, groups, seed):
        labels = [samples[position].label for position in unit]
        fold = min(range(folds), key=lambda fold: (sum(labels_in[fold][x] for x in labels), labels_in[fold].total()))
        labels_in[fold].update(labels)
        for position in unit:
            fold_of[position] = fold
    return fold_of


def _units(samples: Sequence[Sample], groups: Sequence[Hashable], seed: int) -> list[list[int]]:
    """The positions of each group, in an order that only the seed, the names and the sizes of the groups decide."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for position in sorted(range(len(samples)), key=lambda position: samples[position].name):
        members[groups[position]].append(position)
    units = list(members.values())
    random.Random(seed).shuffle(units)  # nosec B311
    # Large groups first: the small ones then even out what these leave uneven.
    units.sort(key=len, reverse=True)
    return units


def _quotas(units: Sequence[Sequence[Sample]], fractions: Mapping[Split, float]) -> dict[Split, Counter[int]]:
    images = Counter(sample.label for unit in units for sample in unit)
    spread = Counter(label for unit in units for label in {sample.label for sample in unit})
    quotas: dict[Split, Counter[int]] = {split: Counter() for split in SPLITS}
    for label, total in images.items():
        left = total
        for split, groups_needed in _GROUPS_NEEDED.items():
            fraction = fractions.get(split, 0.0)
            wanted = max(1, round(total * fraction)) if fraction > 0 and spread[label] >= groups_needed else 0
            quotas[split][label] = min(wanted, left - 1)
            left -= quotas[split][label]
        quotas["train"][label] = left
    return quotas


def _neediest(
    labels: Mapping[int, int], quotas: Mapping[Split, Mapping[int, int]], needs: Mapping[Split, Mapping[int, int]]
) -> Split:
    def need(split: Split) -> float:
        return sum(
            count * (needs[split][label] / quotas[split][label] if quotas[split][label] else -1.0)
            for label, count in labels.items()
        )

    # `max` takes the first of equals, and train is the first of the splits.
    return max(SPLITS, key=need)
