"""Preparation of a dataset: unpack it, decode every image once, reject damaged ones, check and split it."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from model.config import FEW_FOR_A_TEST, MAX_CROSS_VALIDATED, TrainConfig
from model.dataset import checks, duplicates
from model.dataset.given_names import errors_name, verdict_named
from model.dataset.group_pattern import group_keys
from model.dataset.inspection import Inspection, inspect_images
from model.dataset.intensity.finding import find_intensity
from model.dataset.layouts import find_layout
from model.dataset.listing import LayoutOptions, Listing, advice_for_names
from model.dataset.origins import groups_by_origin, refuse_synthetic, synthetic_images, synthetic_warnings
from model.dataset.similar_names import similar_classes
from model.dataset.splits import folds_with_all_classes, split_samples
from model.dataset.verdict import Kinship, Leakage, Rejected, Verdict, count_images, write_dataset_files
from model.files.archives import is_archive, unpack_archive
from model.files.packing import verify_unpacked
from model.results import SPLITS, Dataset, Progress, Sample, Split, no_progress
from model.shown import printable

__all__ = ["Leakage", "Rejected", "Verdict", "prepare_dataset", "write_dataset_files"]

# Many, to train on nearly all images.
MAX_FOLDS = 10
# With more images, more folds take time without improving the estimate.
MANY_IMAGES, FOLDS_OF_MANY = 500, 5

UNPACKED = "unpacked"
"""Folder of an unpacked archive, in the work directory."""
_UNLISTABLE = "its name contains a line break, has surrounding blanks or is not UTF-8: rename the file"


def prepare_dataset(
    source: Path,
    config: TrainConfig,
    work_directory: Path,
    progress: Progress = no_progress,
    for_training: bool = True,
) -> Verdict:
    """Detect the layout of `source`, decode every image once, reject damaged ones, check and split the rest.

    The same files and options give the same verdict. Splits of the dataset are kept, and leakage between them is
    reported; splits made here keep duplicates and groups together.

    Args:
        source: folder or archive of the dataset; see `model.dataset.layouts` for the layouts.
        config: `model.dataset.DATASET_OPTIONS` and `folds`; if `folds` is empty, also `weights` and `fine_tune`.
        work_directory: folder in which an archive is unpacked; it must exist as long as the dataset is used.
        progress: reports the phase `check`, in images.
        for_training: demand what a training needs, two classes and images for training and validation, and warn about
            few images; otherwise one image that can be decoded is enough.

    Raises:
        DatasetError: the dataset cannot be used; the message lists all problems.
        ArchiveError: the archive is damaged or unsafe.
    """
    if not is_archive(source):
        return _prepare_folder(source, config, progress, for_training)
    folder = unpack_archive(source, work_directory / UNPACKED)
    with errors_name(str(source), folder):
        verify_unpacked(folder)
        return verdict_named(_prepare_folder(folder, config, progress, for_training), str(source), folder)


def _prepare_folder(folder: Path, config: TrainConfig, progress: Progress, for_training: bool) -> Verdict:
    listing = find_layout(folder, LayoutOptions.from_config(config, for_training))
    refuse_synthetic(listing)
    inspection = inspect_images([sample for split in SPLITS for sample in listing.splits[split]], progress)
    rejected = (
        *(Rejected(printable(name), _UNLISTABLE + advice_for_names()) for name in listing.unlistable),
        *inspection.rejected,
    )
    checks.refuse_unusable(listing, rejected, inspection.samples, config.max_bad_fraction, for_training)

    kinships = _kinships(inspection, config.group_pattern, [listing.groups, *groups_by_origin(listing.origins)])
    groups = duplicates.together(kinships.values())
    synthetic = frozenset(synthetic_images(listing.origins))
    folds = _folds(listing, inspection.samples, groups, config, synthetic)
    dataset, origin = _divide(listing, inspection.samples, groups, config, folds, synthetic)
    checks.refuse_synthetic_only(dataset, synthetic)
    if for_training:
        checks.refuse_empty_splits(dataset)
    training = {sample.name for sample in dataset.train}
    found = find_intensity(config.intensity, inspection.samples, inspection.values, training)
    return Verdict(
        dataset=dataset,
        rejected=rejected,
        leakage=checks.find_leakage(dataset, inspection.samples, kinships),
        warnings=(
            *listing.warnings,
            *synthetic_warnings(inspection.samples, dataset, synthetic),
            *_group_warnings(config.group_pattern, kinships),
            *([] if listing.has_splits else checks.kept_together(kinships["near"])),
            *similar_classes(dataset.classes),
            *checks.label_conflicts(inspection.samples, inspection.content_hashes, dataset.classes),
            *(checks.class_warnings(count_images(dataset)) if for_training else ()),
            *(checks.single_group_warnings(dataset, inspection.samples, groups) if folds and for_training else ()),
            *checks.size_warnings(inspection.samples, inspection.sizes),
            *found.warnings,
        ),
        fingerprint=_fingerprint(inspection, dataset.classes),
        layout=f"{listing.layout}; {origin}",
        has_splits=listing.has_splits,
        content_hashes={
            sample.name: content_hash
            for sample, content_hash in zip(inspection.samples, inspection.content_hashes, strict=True)
        },
        ignored=listing.ignored,
        folds=folds,
        intensity=found.intensity,
        values=found.sentence,
        groups={sample.name: int(group) for sample, group in zip(inspection.samples, groups, strict=True)},
        synthetic=tuple(sorted(synthetic & training)),
    )


def _kinships(
    inspection: Inspection, group_pattern: str, groupings: Iterable[Mapping[str, str]]
) -> dict[Kinship, np.ndarray]:
    kinships: dict[Kinship, np.ndarray] = {
        "identical": duplicates.equal_keys(inspection.content_hashes),
        "near": duplicates.near_duplicates(inspection.hashes, inspection.thumbnails),
    }
    names = [sample.name for sample in inspection.samples]
    groups = []
    if group_pattern:
        groups.append(group_keys(group_pattern, names))
    groups += [
        [("group", group_of[name]) if name in group_of else ("name", name) for name in names]
        for group_of in groupings
        if group_of
    ]
    if groups:
        kinships["group"] = duplicates.together(map(duplicates.equal_keys, groups))
    return kinships


def _group_warnings(group_pattern: str, kinships: Mapping[Kinship, np.ndarray]) -> list[str]:
    if not group_pattern or len(np.unique(kinships["group"])) < len(kinships["group"]):
        return []
    return [f"group_pattern = {group_pattern!r} does not group any two images"]


def _folds(
    listing: Listing, samples: Sequence[Sample], groups: np.ndarray, config: TrainConfig, synthetic: Collection[str]
) -> int:
    """Number of cross-validation folds; 0 for none. Real images count only: no fold is measured on others."""
    learnable = {sample.name for split in ("train", "val") for sample in listing.splits[split]}.difference(synthetic)
    groups = groups[[sample.name in learnable for sample in samples]]
    folds = config.folds
    if folds is None:
        per_class = len(groups) / len(listing.classes)
        few = {"none": len(groups) <= MAX_CROSS_VALIDATED, "auto": per_class < FEW_FOR_A_TEST}
        maximum = FOLDS_OF_MANY if len(groups) > MANY_IMAGES else MAX_FOLDS
        is_few = few.get(config.fine_tune, False)
        folds = folds_with_all_classes(len(groups), len(listing.classes), maximum) if is_few else 0
    # Random weights have no pretrained features: each fold would be a complete training.
    folds = 0 if config.weights == "none" else min(folds, len(np.unique(groups)))
    return folds if folds > 1 else 0


def _divide(
    listing: Listing,
    samples: Sequence[Sample],
    groups: np.ndarray,
    config: TrainConfig,
    folds: int,
    synthetic: Collection[str],
) -> tuple[Dataset, str]:
    """Dataset with all its splits, and a description of their origin."""
    group_of = {sample.name: int(group) for sample, group in zip(samples, groups, strict=True)}
    splits = {split: tuple(sample for sample in listing.splits[split] if sample.name in group_of) for split in SPLITS}
    origin = "splits of the dataset"
    if not listing.has_splits:
        # Folds give a better estimate than a test split, whose images can then be used for training.
        fractions: dict[Split, float] = {"val": config.val_fraction, "test": 0.0 if folds else config.test_fraction}
        groups_of_samples = [group_of[sample.name] for sample in samples]
        splits = split_samples(samples, groups_of_samples, fractions, config.seed, synthetic)
        origin = f"splits made with seed {config.seed}"
    elif not splits["val"]:
        train_groups = [group_of[sample.name] for sample in splits["train"]]
        drawn = split_samples(splits["train"], train_groups, {"val": config.val_fraction}, config.seed, synthetic)
        splits |= drawn | {"test": splits["test"]}
        origin = f"validation images taken from train with seed {config.seed}"
    return Dataset(listing.root, listing.classes, splits["train"], splits["val"], splits["test"]), origin


def _fingerprint(inspection: Inspection, classes: Sequence[str]) -> str:
    lines = (
        f"{sample.name}\t{classes[sample.label]}\t{content_hash}\n"
        for sample, content_hash in zip(inspection.samples, inspection.content_hashes, strict=True)
    )
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
