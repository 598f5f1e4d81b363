"""Checks of the images of a dataset: errors that prevent a training, and warnings."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from model.dataset.listing import Listing, describe_problems
from model.dataset.verdict import Kinship, Leakage, Rejected
from model.errors import DatasetError
from model.results import SPLITS, Dataset, Sample, Split
from model.shown import counted

# With fewer training images, the accuracy of a class is left to chance.
FEW_IMAGES = 10
# Ratio of the largest to the smallest class above which a dataset counts as imbalanced.
IMBALANCE = 10
SMALL_SIDE = 32
LONG_ASPECT = 4

_SHOWN = 5


def refuse_unusable(
    listing: Listing,
    rejected: Sequence[Rejected],
    kept: Sequence[Sample],
    max_bad_fraction: float,
    for_training: bool = True,
) -> None:
    """Refuse a dataset with too many undecodable images or no others, or with a class that has no others.

    Args:
        for_training: whether each class needs an image; otherwise the dataset does.

    Raises:
        DatasetError: the message contains the fraction, the classes and examples.
    """
    problems = []
    total = len(rejected) + len(kept)
    if len(rejected) > max_bad_fraction * total:
        problems.append(
            f"{len(rejected):,} of {counted(total, 'image')} cannot be decoded, {len(rejected) / total:.1%}, "
            f"expected at most max_bad_fraction = {max_bad_fraction:.1%}. Replace or remove them, or raise it: "
            + "; ".join(f"{item.name}: {item.reason}" for item in rejected[:_SHOWN])
        )
    reason_of = {item.name: item.reason for item in rejected}
    alive = {sample.label for sample in kept}
    if alive and not for_training:
        alive = set(range(len(listing.classes)))
    lost: dict[int, list[Sample]] = defaultdict(list)
    for split in SPLITS:
        for sample in listing.splits[split]:
            if sample.label not in alive:
                lost[sample.label].append(sample)
    for label, samples in sorted(lost.items()):
        example = samples[0].name
        problems.append(
            f"all {counted(len(samples), 'image')} of the class {listing.classes[label]!r} cannot be decoded, "
            f"such as {example}: {reason_of[example]}"
        )
    if problems:
        raise DatasetError(f"{listing.root}: {describe_problems(problems)}")


def refuse_synthetic_only(dataset: Dataset, synthetic: Collection[str]) -> None:
    """Refuse a dataset whose training images are all synthetic.

    Args:
        synthetic: names of synthetic images.

    Raises:
        DatasetError: the message states what is missing.
    """
    if dataset.train and all(sample.name in synthetic for sample in dataset.train):
        raise DatasetError(
            f"{dataset.root}: expected real photos for training and validation, found {len(dataset.train):,} synthetic "
            "ones only, on which nothing is measured. Add them to a dataset of real photos: topgraft synthesize "
            "--dataset PATH"
        )


def refuse_empty_splits(dataset: Dataset) -> None:
    """Refuse a dataset with training images of fewer than two classes, or without validation images.

    Raises:
        DatasetError: the message states what is missing.
    """
    trained = {sample.label for sample in dataset.train}
    if len(trained) < 2:
        raise DatasetError(
            f"{dataset.root}: expected images for training in two classes or more, found them in {len(trained)}. "
            "Add images, or move some from the other splits."
        )
    if not dataset.val:
        raise DatasetError(
            f"{dataset.root}: expected a class with two or more images that are neither duplicates nor in one group, "
            "because one is needed for validation; found none. Add images."
        )


def find_leakage(
    dataset: Dataset, samples: Sequence[Sample], groups: Mapping[Kinship, np.ndarray]
) -> tuple[Leakage, ...]:
    """Find images that belong together but are in different splits of `dataset`.

    Args:
        samples: all images, in any order; those in no split are left out.
        groups: kind -> group of each sample, int64 of shape (n,). Images found by two kinds are reported once, for
            the first kind.
    """
    split_of: dict[str, Split] = {sample.name: split for split in SPLITS for sample in dataset.split(split)}
    found: dict[tuple[str, ...], Leakage] = {}
    for kind, group_of in groups.items():
        members: dict[int, list[str]] = defaultdict(list)
        for sample, group in zip(samples, group_of.tolist(), strict=True):
            members[group].append(sample.name)
        for names in members.values():
            names = [name for name in names if name in split_of]
            if len({split_of[name] for name in names}) > 1:
                together = tuple(sorted(names))
                found.setdefault(together, Leakage(kind, tuple((split_of[name], name) for name in together)))
    return tuple(found.values())


def kept_together(groups: np.ndarray) -> list[str]:
    """Warning about near duplicates if Topgraft makes the splits; `groups` is int64 (n,), the group of each image."""
    sizes = Counter(groups.tolist())
    several = [size for size in sizes.values() if size > 1]
    if not several:
        return []
    return [
        f"{sum(several):,} images are duplicates or near duplicates of another, in {len(several):,} groups; "
        "each group was kept in one split"
    ]


def label_conflicts(samples: Sequence[Sample], content_hashes: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Warnings about files with the same bytes and different labels: one of the labels is wrong."""
    by_content: dict[str, list[Sample]] = defaultdict(list)
    for sample, content_hash in zip(samples, content_hashes, strict=True):
        by_content[content_hash].append(sample)
    conflicts = [same for same in by_content.values() if len({sample.label for sample in same}) > 1]
    if not conflicts:
        return []
    shown = "; ".join(
        ", ".join(f"{sample.name} ({classes[sample.label]})" for sample in same[:3]) for same in conflicts[:_SHOWN]
    )
    return [f"{counted(len(conflicts), 'image')} in more than one class, of which only one can be correct: {shown}"]


def class_warnings(counts: Mapping[Split, Mapping[str, int]]) -> list[str]:
    """Warnings about classes without images, with few images, and about class imbalance.

    Args:
        counts: number of images of each class in each split.
    """
    trained, validated = counts["train"], counts["val"]
    none = [name for name, images in trained.items() if not images]
    few = [f"{name} ({images})" for name, images in trained.items() if 0 < images < FEW_IMAGES]
    unseen = [name for name, images in trained.items() if images and not validated[name]]
    warnings = []
    if none:
        warnings.append(f"{_classes(none)} no image for training: the model cannot learn it")
    if few:
        warnings.append(f"{_classes(few)} fewer than {FEW_IMAGES} images for training")
    if unseen:
        warnings.append(f"{_classes(unseen)} no image for validation")
    largest, smallest = max(trained.values()), min(images for images in trained.values() if images)
    if largest > IMBALANCE * smallest:
        warnings.append(
            f"the largest class has {largest:,} images for training, the smallest {smallest:,}: "
            "imbalance = class_weights gives each class the same weight"
        )
    return warnings


def single_group_warnings(dataset: Dataset, samples: Sequence[Sample], groups: np.ndarray) -> list[str]:
    """Warnings about classes that cross-validation cannot measure; `groups` is int64 (n,), the group of each sample."""
    learnable = {sample.name for sample in dataset.train + dataset.val}
    groups_of: dict[int, set[int]] = defaultdict(set)
    for sample, group in zip(samples, groups.tolist(), strict=True):
        if sample.name in learnable:
            groups_of[sample.label].add(group)
    single = [name for label, name in enumerate(dataset.classes) if len(groups_of[label]) == 1]
    if not single:
        return []
    return [
        f"{_classes(single)} a single image, or one group of images that belong together: in cross-validation it "
        "counts as incorrect, because no image of the class is left for training"
    ]


def size_warnings(samples: Sequence[Sample], sizes: np.ndarray) -> list[str]:
    """Warnings about unusual image sizes; `sizes` is (n, 2): height and width in pixels of each sample."""
    shortest, longest = sizes.min(axis=1), sizes.max(axis=1)
    found = []
    for odd, what in (
        (shortest < SMALL_SIDE, f"with a side below {SMALL_SIDE} pixels"),
        (longest > LONG_ASPECT * shortest, f"more than {LONG_ASPECT} times as long as wide (resize = pad may help)"),
    ):
        positions = np.flatnonzero(odd)
        if len(positions):
            shown = ", ".join(f"{samples[at].name} ({sizes[at][1]} x {sizes[at][0]})" for at in positions[:_SHOWN])
            found.append(f"{counted(len(positions), 'image')} {what}: {shown}")
    return found


def _classes(names: Sequence[str]) -> str:
    shown = ", ".join(names[: 2 * _SHOWN]) + (f" and {len(names) - 2 * _SHOWN} more" if len(names) > 2 * _SHOWN else "")
    return f"the class {shown} has" if len(names) == 1 else f"{len(names)} classes ({shown}) have"
