"""The dataset that a training started with, recorded so that it can be resumed after photos have gone."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from model import durable
from model.backbones import find_backbone
from model.bundle_files import DATASET_FILES
from model.config import TrainConfig
from model.dataset.checks import refuse_empty_splits, refuse_synthetic_only
from model.dataset.given_names import errors_name
from model.dataset.pipeline import in_threads
from model.dataset.prepare import UNPACKED, prepare_dataset
from model.dataset.reading import wait_for_dataset
from model.dataset.rereading import PhotoReader
from model.dataset.verdict import Rejected, Verdict, write_dataset_files
from model.errors import DatasetError, ImageError
from model.features.cache import FeatureCache
from model.reading import UnreadableError, describe, read_json, read_regular
from model.received import quoted
from model.records import record_from
from model.results import SPLITS, Dataset, InputSpec, Progress, Sample
from model.runs.run import Run
from model.shown import counted
from model.storage import is_remote
from model.storage.copies import dataset_folder
from model.training.checkpoints import CACHED_FEATURES
from model.workspace import Workspace

_MAX_FINGERPRINT_BYTES = 1_000
# About 400 bytes for an image.
_MAX_RECORD_BYTES = 2 * 1024**3
# With fewer of its photos, the folder contains another dataset.
_MIN_INTACT_FRACTION = 0.5

log = logging.getLogger(__name__)

T = TypeVar("T")


@contextlib.contextmanager
def open_dataset(
    run: Run, config: TrainConfig, workspace: Workspace, named: str, progress: Progress, begun_before: bool
) -> Iterator[Verdict]:
    """Check the dataset of a training, which can be read while the block runs; a remote one is fetched.

    Args:
        named: the dataset as given by the user, for messages.
        begun_before: whether the training is resumed.

    Raises:
        As `check_dataset`; StorageError: the dataset stayed unavailable.
    """
    if begun_before and not is_remote(config.dataset):
        wait_for_dataset(workspace.find_dataset(config.dataset))
    user = f"the training {run.name}"
    with dataset_folder(workspace, config.dataset, user, progress, may_be_old=begun_before) as source:
        remote = config.dataset if is_remote(config.dataset) else ""
        with errors_name(remote or str(source), source):
            verdict = check_dataset(source, run, config, named, progress)
        for line in verdict.lines(remote):
            log.info("%s", line)
        yield verdict


def check_dataset(source: Path, run: Run, config: TrainConfig, named: str, progress: Progress) -> Verdict:
    """Check the dataset of a training; a resumed training gets the images that it started with.

    Args:
        source: local folder or archive of the dataset.
        named: the dataset as given by the user, for messages.

    Raises:
        DatasetError: the dataset cannot be used, or a resumed training needs images that are gone or changed.
        ArchiveError, StorageError: the dataset cannot be read.
    """
    refusal = None
    if not run.passed_checks:
        verdict = prepare_dataset(source, config, run.work, progress)
        record_dataset(run.dataset_record, verdict)
        durable.write_text(run.fingerprint, verdict.fingerprint)
        return verdict
    try:
        verdict = prepare_dataset(source, config, run.work, progress)
        if recorded_fingerprint(run) == verdict.fingerprint:
            return verdict
    except DatasetError as error:
        refusal = error
    recorded = read_recorded(run.dataset_record)
    resumed = dataset_to_resume(recorded, config) if recorded else None
    if resumed is None:
        raise DatasetError(
            f"{named}: expected the images that the training {run.name} started with, found others. Restore them to "
            f"resume it, or remove it and train again: topgraft models remove {run.name}"
        ) from refusal
    return resumed


def recorded_fingerprint(run: Run) -> str:
    """Fingerprint of the dataset that a training started with; empty if it cannot be read."""
    path = run.fingerprint
    try:
        return read_regular(path, _MAX_FINGERPRINT_BYTES).decode(errors="replace")
    except (OSError, UnreadableError) as error:
        log.warning("the fingerprint %s is not used: %s", path, describe(error))
        return ""


def record_dataset(path: Path, verdict: Verdict) -> None:
    """Write the verdict of the checks as JSON."""
    durable.write_json(path, verdict)


def read_recorded(path: Path) -> Verdict | None:
    """Read a recorded verdict; None if there is none, or one of another version."""
    try:
        verdict = record_from(Verdict, read_json(path, _MAX_RECORD_BYTES, file_names=True))
        _check_consistency(verdict)
        return verdict
    except (OSError, UnreadableError) as error:
        log.info("the recorded dataset %s is not used: %s", path, describe(error))
        return None


def _check_consistency(verdict: Verdict) -> None:
    classes = range(len(verdict.dataset.classes))
    for sample in verdict.dataset.samples:
        if sample.label not in classes or not {sample.name} <= verdict.content_hashes.keys() & verdict.groups.keys():
            raise UnreadableError(f"dataset: expected a class, a checksum and a group of {quoted(sample.name)}")


def dataset_to_resume(recorded: Verdict, config: TrainConfig) -> Verdict | None:
    """The recorded dataset, with a warning, if the training does not need those of its photos that have gone.

    The features of photos that are gone or changed are in the cache, and at least half of the photos are intact.
    Photos that were added since are not used.

    Raises:
        StorageError: the disk or mount of the dataset stayed unavailable.
    """
    photos, samples = PhotoReader(recorded.content_hashes), recorded.dataset.samples
    for _ in in_threads(photos.is_intact, samples):
        pass
    gone = [recorded.content_hashes[name] for name in photos.missing]
    if len(gone) > (1 - _MIN_INTACT_FRACTION) * len(samples) or not _are_cached(gone, recorded, config):
        return None
    warnings = photos.warnings("their cached features are used")
    return dataclasses.replace(recorded, warnings=(*recorded.warnings, *warnings))


def with_photos_left(
    run: Run, config: TrainConfig, verdict: Verdict, act: Callable[[Verdict], T], kept: Sequence[str] = ()
) -> tuple[Verdict, T]:
    """Carry out a step of a run; if a photo was lost meanwhile, begin it again without all that were lost.

    Args:
        act: the step.
        kept: entries of the folder `work` that do not depend on each photo.

    Returns:
        The dataset that the step was carried out with, and its result.

    Raises:
        ImageError, DatasetError: an intact photo cannot be read, or too many photos are lost.
    """
    while True:
        try:
            return verdict, act(verdict)
        except ImageError:
            remaining = without_lost_photos(verdict, config)
            if remaining is None:
                raise
        log.warning("%s", remaining.warnings[-1])
        verdict = remaining
        run.forget_learning((run.fingerprint.name, UNPACKED, CACHED_FEATURES, *kept))
        record_dataset(run.dataset_record, verdict)
        write_dataset_files(verdict, run.bundle / DATASET_FILES)


def without_lost_photos(verdict: Verdict, config: TrainConfig) -> Verdict | None:
    """The dataset of a training without photos that are gone or changed since the checks; None if none are.

    They are among the rejected photos, with the reason. The fingerprint remains that of the dataset that was checked.

    Raises:
        DatasetError: too many photos are gone, or those that are left are too few for a training.
        StorageError: the disk or mount of the dataset stayed unavailable.
    """
    photos, samples = PhotoReader(verdict.content_hashes), verdict.dataset.samples
    for _ in in_threads(photos.is_intact, samples):
        pass
    if not photos.missing:
        return None
    lost = [Rejected(name, f"gone or changed during the training: {reason}") for name, reason in photos.missing.items()]
    if len(lost) > config.max_bad_fraction * len(samples):
        raise DatasetError(
            f"{verdict.given or verdict.dataset.root}: {len(lost):,} of {counted(len(samples), 'photo')} are gone or "
            f"changed since the checks, expected at most max_bad_fraction = {config.max_bad_fraction:.1%}, such as "
            f"{lost[0].name}. Restore them, or train again without them"
        )
    dataset = verdict.dataset
    left = {split: tuple(_without(dataset.split(split), photos.missing)) for split in SPLITS}
    remaining = Dataset(dataset.root, dataset.classes, left["train"], left["val"], left["test"])
    refuse_synthetic_only(remaining, frozenset(verdict.synthetic))
    refuse_empty_splits(remaining)
    (warning,) = photos.warnings("they are left out, and the learning began again without them")
    return dataclasses.replace(
        verdict, dataset=remaining, rejected=(*verdict.rejected, *lost), warnings=(*verdict.warnings, warning)
    )


def _without(samples: Sequence[Sample], lost: Collection[str]) -> list[Sample]:
    return [sample for sample in samples if sample.name not in lost]


def _are_cached(gone: list[str], recorded: Verdict, config: TrainConfig) -> bool:
    if not gone:
        return True
    if config.weights == "none":
        return False
    cache = FeatureCache(find_backbone(config.backbone), InputSpec.from_config(config, recorded.intensity))
    return cache.has(gone)
