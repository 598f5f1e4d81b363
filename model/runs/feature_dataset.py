"""The dataset of a training on features in parts: the photos by their names, and the features instead of the pixels."""

import dataclasses
import hashlib
import logging
from pathlib import Path

import numpy as np

from model import durable
from model.backbones import find_backbone
from model.bundle_files import DATASET_FILES
from model.config import OF_PHOTOS, TrainConfig, non_default_options
from model.dataset import checks, duplicates
from model.dataset.group_pattern import group_keys
from model.dataset.verdict import Kinship, Verdict, count_images, write_dataset_files
from model.errors import ConfigError, DatasetError
from model.results import SPLITS, Dataset, Progress, Sample, Split
from model.runs.recorded_dataset import recorded_fingerprint
from model.runs.run import Run
from model.scale.parts import Parts, open_parts
from model.serving.reference_features import MAX_IMAGES
from model.shown import counted
from model.training.backbone import UsedBackbone, pretrained_backbone
from model.training.given_features import GivenFeatures
from model.training.memory import are_features_small
from model.training.part_rows import PartRows, ReadRows, TrainingParts, index_rows
from model.workspace import Workspace

MAX_VAL, MAX_TEST = 50_000, 20_000
_NO_FILE = Path()
_WAY = "features.txt"
_IN_MEMORY, _IN_PARTS = "in memory", "in parts"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureDataset:
    """Photos with their features.

    Attributes:
        verdict: the photos in memory; their files are not read.
        config: the options of the training, with those of the photos as the features were computed.
        given: the features and their network.
        source: the photos that the features were computed from.
        rows: all photos, if not all are in memory; else None.
    """

    verdict: Verdict
    config: TrainConfig
    given: GivenFeatures
    source: str
    rows: PartRows | None

    def write_files(self, bundle: Path) -> None:
        """Write the lists and checksums of all photos: see `model.dataset.verdict.write_dataset_files`."""
        write_dataset_files(self.verdict, bundle / DATASET_FILES)
        if self.rows is not None:
            self.rows.write_lists(bundle / DATASET_FILES)


def refuse_photo_options(config: TrainConfig) -> None:
    """Check that no option is set that needs photos.

    Raises:
        ConfigError: the message names these options.
    """
    found = [name for name in non_default_options(config) if name in OF_PHOTOS]
    if found:
        raise ConfigError(
            f"features: expected none of the options that need photos or were fixed by topgraft featurize, received "
            f"{', '.join(found)}. Remove them, or train on a dataset."
        )


def features_address(config: TrainConfig, workspace: Workspace) -> str:
    """Absolute path or address of the option `features`."""
    return config.features if "://" in config.features else str(workspace.find_dataset(config.features).absolute())


def open_features(config: TrainConfig, workspace: Workspace, run: Run, progress: Progress) -> FeatureDataset:
    """Open the features of a training; a resumed training gets those that it started with.

    Raises:
        DatasetError: they cannot be learned from, or have changed since the training started.
        ConfigError: another network, or options that need photos.
    """
    refuse_photo_options(config)
    parts = open_parts(features_address(config, workspace))
    if run.passed_checks and recorded_fingerprint(run) != parts.plan.sha256:
        raise DatasetError(
            f"{parts.folder.address}: expected the features that the training {run.name} started with, found those of "
            f"another plan. Remove it and train again: topgraft models remove {run.name}"
        )
    plan = parts.plan
    config = dataclasses.replace(
        config,
        backbone=plan.network,
        image_size=plan.image_size,
        resize=plan.resize,
        intensity=str(plan.intensity),
    )
    backbone = _network(parts)
    rows = index_rows(parts, progress)
    _refuse_bad(rows, config)
    streamed = _is_streamed(rows, run.work)
    # A random part of the photos describes them, and chooses and measures the head.
    limits: dict[Split, int] = {"train": MAX_IMAGES, "val": MAX_VAL, "test": MAX_TEST} if streamed else {}
    read = rows.read(rows.drawn(limits), progress)
    verdict = _verdict(rows, read, config, streamed)
    for line in verdict.lines():
        log.info("%s", line)
    durable.write_text(run.fingerprint, plan.sha256)
    given = GivenFeatures(backbone, read.features, TrainingParts(rows) if streamed else None)
    return FeatureDataset(verdict, config, given, plan.source, rows if streamed else None)


def _network(parts: Parts) -> UsedBackbone:
    """The network of the features.

    Raises:
        ConfigError: it is not the one that is installed.
    """
    plan = parts.plan
    if plan.manifest_sha256:
        raise ConfigError(
            f"{parts.folder.address}: expected features of a pretrained backbone, found those of the model "
            f"{plan.network}. Run topgraft featurize with --backbone."
        )
    backbone = pretrained_backbone(find_backbone(plan.network), plan.input_spec)
    found = "" if backbone.graph is None else hashlib.sha256(backbone.graph).hexdigest()
    if found != plan.graph_sha256:
        raise ConfigError(
            f"{parts.folder.address}: expected features of this {plan.network} (sha256 {found[:12]}), found those of "
            f"another one (sha256 {plan.graph_sha256[:12]}), made by topgraft {plan.versions.get('topgraft', '')}. Use "
            "the same weights and versions, or run topgraft featurize again with --overwrite."
        )
    return backbone


def _refuse_bad(rows: PartRows, config: TrainConfig) -> None:
    total, bad = rows.parts.plan.photos, len(rows.rejected)
    if bad > config.max_bad_fraction * total:
        raise DatasetError(
            f"{rows.parts.folder.address}: {bad:,} of {counted(total, 'photo')} have an error, {bad / total:.1%}, "
            f"expected at most max_bad_fraction = {config.max_bad_fraction:.1%}, such as {rows.rejected[0].name}: "
            f"{rows.rejected[0].reason}. Replace them and run topgraft featurize again, or raise it."
        )


def _is_streamed(rows: PartRows, work: Path) -> bool:
    """Whether the features are read in parts; a resumed training goes the way it started on."""
    way = work / _WAY
    if not way.exists():
        small = are_features_small(rows.size(), rows.parts.plan.features)
        durable.write_text(way, _IN_MEMORY if small else _IN_PARTS)
    return way.read_text(encoding="utf-8") == _IN_PARTS


def _verdict(rows: PartRows, read: ReadRows, config: TrainConfig, streamed: bool) -> Verdict:
    """The photos that were read, in their splits."""
    samples = [Sample(_NO_FILE, name, label) for name, label in zip(read.names, read.labels.tolist(), strict=True)]
    train, val, test = (
        tuple(samples[row] for row in np.flatnonzero(read.splits == position).tolist())
        for position in range(len(SPLITS))
    )
    dataset = Dataset(Path(rows.parts.folder.address), rows.classes, train, val, test)
    checks.refuse_empty_splits(dataset)
    kinships: dict[Kinship, np.ndarray] = {"identical": duplicates.equal_keys(read.content_hashes)}
    pattern = str(rows.parts.plan.splits.get("group_pattern", ""))
    if pattern:
        kinships["group"] = duplicates.equal_keys(group_keys(pattern, read.names))
    groups = duplicates.together(kinships.values())
    learnable = len(np.unique(groups[read.splits != SPLITS.index("test")]))
    folds = 0 if streamed else min(config.folds or 0, learnable)
    counts = rows.counts if streamed else count_images(dataset)
    return Verdict(
        dataset=dataset,
        rejected=rows.rejected,
        leakage=checks.find_leakage(dataset, samples, kinships),
        warnings=(
            *_warnings(rows, read, streamed),
            *checks.label_conflicts(samples, read.content_hashes, dataset.classes),
            *checks.class_warnings(counts),
        ),
        fingerprint=rows.fingerprint,
        layout=f"features of {rows.parts.plan.network} in {counted(len(rows.parts), 'part')}, with their splits",
        has_splits=True,
        content_hashes=dict(zip(read.names, read.content_hashes, strict=True)),
        folds=folds if folds > 1 else 0,
        groups=dict(zip(read.names, groups.tolist(), strict=True)),
        intensity=rows.parts.plan.intensity,
        has_files=False,
        all_counts=counts if streamed else None,
    )


def _warnings(rows: PartRows, read: ReadRows, streamed: bool) -> list[str]:
    warnings = []
    if rows.unlabelled:
        warnings.append(f"{rows.unlabelled:,} photos have no class and are left out")
    if streamed:
        train, val, test = (f"{int((read.splits == position).sum()):,}" for position in range(len(SPLITS)))
        warnings.append(
            f"the features are read in parts, because they do not fit into half of the free memory: the head learns "
            f"from all {rows.size('train'):,} training photos, and is not trained again on validation photos; {val} of "
            f"{rows.size('val'):,} validation photos choose it, {test} of {rows.size('test'):,} test photos measure "
            f"it, and {train} training photos describe what is known; duplicates are searched among these only"
        )
    return warnings
