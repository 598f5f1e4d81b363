"""Dividing labelled images into splits and folds: stratified, seeded, and with no group in two of them."""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence

from model.results import SPLITS, Sample, Split

IN_NO_FOLD = -1
"""Fold of synthetic images that belong to no real image: every fold trains on them, and none is measured on them."""

# Minimum number of groups of a class that has images in this split.
_GROUPS_NEEDED: Mapping[Split, int] = {"val": 2, "test": 3}


def split_samples(
    samples: Sequence[Sample],
    groups: Sequence[Hashable],
    fractions: Mapping[Split, float],
    seed: int,
    synthetic: Collection[str] = frozenset(),
) -> dict[Split, tuple[Sample, ...]]:
    """Split samples with `split_rows` into train, val and test, each sorted by name."""
    names, labels = [sample.name for sample in samples], [sample.label for sample in samples]
    rows = split_rows(names, labels, groups, fractions, seed, synthetic)
    return {split: tuple(samples[row] for row in rows[split]) for split in SPLITS}


def split_rows(
    names: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[Hashable],
    fractions: Mapping[Split, float],
    seed: int,
    synthetic: Collection[str] = frozenset(),
) -> dict[Split, list[int]]:
    """Split labelled images, stratified by class; a group is never divided.

    The real images are split, and synthetic ones are in train only. Synthetic images in a group whose real images are
    in another split would carry them into train: they are in no split.

    A class with two images has one in val, a class with three also one in test, regardless of the fractions; a
    class with one image has it in train. Groups of many images make the fractions coarser. The result does not
    depend on the order of the images: the same names, groups and seed give the same splits.

    Args:
        names, labels, groups: name, label and group of each image; names are distinct, groups are never divided.
        fractions: fractions of the images for val and for test, in [0, 1); train gets the rest.
        seed: fixes which images go where.
        synthetic: names of synthetic images.

    Returns:
        the rows of train, val and test, each sorted by name.
    """
    real = [row for row, name in enumerate(names) if name not in synthetic]
    units = _units(names, groups, seed, real)
    quotas = _quotas([[labels[row] for row in unit] for unit in units], fractions)
    needs = {split: Counter(quota) for split, quota in quotas.items()}
    chosen: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for unit in units:
        split = _neediest(Counter(labels[row] for row in unit), quotas, needs)
        chosen[split] += unit
        needs[split].subtract(labels[row] for row in unit)
    elsewhere = {groups[row] for split in SPLITS if split != "train" for row in chosen[split]}
    chosen["train"] += [row for row, name in enumerate(names) if name in synthetic and groups[row] not in elsewhere]
    return {split: sorted(chosen[split], key=lambda row: names[row]) for split in SPLITS}


def stratified_folds(
    names: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[Hashable],
    folds: int,
    seed: int,
    synthetic: Collection[str] = frozenset(),
) -> list[int]:
    """Divide labelled images into folds of equal size for cross-validation, stratified by class.

    The real images are divided. Synthetic ones get the fold of the real images of their group, with which they must
    not be trained on, or `IN_NO_FOLD`; no fold is measured on them.

    Args:
        names, labels, groups: name, label and group of each image; names are distinct, groups are never divided.
        folds: the number of folds, 2 or more; with fewer groups than that, some stay empty.
        seed: fixes which images go where.
        synthetic: names of synthetic images.

    Returns:
        for each image, the number of its fold, from 0; or `IN_NO_FOLD`.
    """
    fold_of = [IN_NO_FOLD] * len(names)
    real = [row for row, name in enumerate(names) if name not in synthetic]
    labels_in: list[Counter[int]] = [Counter() for _ in range(folds)]
    for unit in _units(names, groups, seed, real):
        found = [labels[row] for row in unit]
        fold = min(range(folds), key=lambda fold: (sum(labels_in[fold][x] for x in found), labels_in[fold].total()))
        labels_in[fold].update(found)
        for row in unit:
            fold_of[row] = fold
    fold_of_group = {groups[row]: fold_of[row] for row in real}
    for row in range(len(names)):
        if names[row] in synthetic:
            fold_of[row] = fold_of_group.get(groups[row], IN_NO_FOLD)
    return fold_of


def folds_with_all_classes(images: int, classes: int, maximum: int) -> int:
    """Number of folds, from 2 to a maximum, each of which has images of every class if classes are of equal size.

    In a fold that lacks a class, the class is more frequent among the images to train on than the classes that the fold
    has: these are predicted less often than they occur, and few images seem to be predicted far worse than they are.
    """
    return max(2, min(maximum, images // classes))


def _units(names: Sequence[str], groups: Sequence[Hashable], seed: int, rows: Sequence[int]) -> list[list[int]]:
    """The rows of each group, in an order that depends only on the seed, the names and the sizes of the groups."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: names[row]):
        members[groups[row]].append(row)
    units = list(members.values())
    random.Random(seed).shuffle(units)  # nosec B311
    # Large groups first: the small ones then balance the splits.
    units.sort(key=len, reverse=True)
    return units


def _quotas(units: Sequence[Sequence[int]], fractions: Mapping[Split, float]) -> dict[Split, Counter[int]]:
    """The number of images of each class that each split should have; `units` are the labels in each group."""
    images = Counter(label for unit in units for label in unit)
    spread = Counter(label for unit in units for label in set(unit))
    quotas: dict[Split, Counter[int]] = {split: Counter() for split in SPLITS}
    for label, total in images.items():
        left = total
        for split, groups_needed in _GROUPS_NEEDED.items():
            fraction = fractions.get(split, 0.0)
            target = max(1, round(total * fraction)) if fraction > 0 and spread[label] >= groups_needed else 0
            quotas[split][label] = min(target, left - 1)
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
