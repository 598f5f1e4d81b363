"""A run: the photos of a source in chunks, and a part written for each; the same run again resumes it."""

import dataclasses
import itertools
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from model.config import DEFAULT_CHUNK
from model.dataset.listing import LayoutOptions
from model.errors import ConfigError, StorageError, StorageFullError
from model.provenance import installed_version, installed_versions
from model.received import quoted
from model.results import Progress, no_progress
from model.scale.chunks import (
    LISTING,
    MAX_CHUNK_BYTES,
    PLAN,
    ListingDigest,
    Photo,
    Plan,
    cut,
    first_difference,
    listing_files,
    read_listing,
    read_plan,
)
from model.scale.files import Folder, Photos
from model.scale.folders import LocalFolder, open_folder
from model.scale.local import run_locally
from model.scale.moments import MOMENTS, PCA, PCA_CHART, PCA_FILE
from model.scale.network import Network
from model.scale.parts import SUCCESS, Done, Parts, is_part, present_parts
from model.scale.probe import DECODERS
from model.scale.source import ListedPhotos, Source, SplitOptions, listed_photos, open_source
from model.scale.work import Job, Task

Engine = Callable[[Task, Sequence[int]], Iterator[Done]]
"""Does the work of some numbers, and yields each as it is complete, in any order."""

BYTES_PER_ROW = 200
"""Size of a row without the values of the network: path, label, checksum, and the descriptions in the file."""

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options of a run that do not depend on what it writes.

    Attributes:
        splits: options of the splits, for photos that have none.
        layout: options of the layout of a dataset.
        max_photos: maximum number of photos of a chunk.
        overwrite: remove the parts of another run first.
        engine: does the work.
        progress: called in photos, with the name of the command as phase.
    """

    splits: SplitOptions
    layout: LayoutOptions = dataclasses.field(default_factory=LayoutOptions)
    max_photos: int = DEFAULT_CHUNK
    overwrite: bool = False
    engine: Engine = run_locally
    progress: Progress = no_progress


@dataclasses.dataclass(frozen=True)
class RowKind:
    """What a run writes for each photo.

    Attributes:
        command: the subcommand of topgraft that writes it.
        job: makes the task of the photos, the folder to write to and the checksum of the plan.
        size: estimated size of a row in bytes, by the plan.
        prediction: see `model.scale.chunks.Plan`.
    """

    command: str
    job: Callable[[Photos, Folder, str], Job]
    size: Callable[[Plan], int]
    prediction: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class CompleteRun:
    """A complete run: its parts, the number of photos with an error, and that of parts written now."""

    parts: Parts
    errors: int
    written: int


def run_in_chunks(source: str, out: str, network: Network, kind: RowKind, options: RunOptions) -> CompleteRun:
    """Write a part for each chunk of the photos of a source.

    Args:
        source: folder, dataset, list, or address of an object store.
        out: folder of the parts: new, or one of the same run, which is resumed.
        network: computes the values of each photo.
        kind: what is written.

    Raises:
        DatasetError: there are no photos, or they cannot be listed.
        ConfigError: `out` is inside the source, or holds something else, or parts of another plan or source.
        StorageError: the source cannot be read, or `out` cannot be written.
    """
    folder = open_folder(out)
    photos = open_source(source, options.layout)
    _refuse_overlap(photos, folder)
    folder.remove_leftovers()
    with listed_photos(photos, options.splits) as listed:
        plan = _planned(photos, listed, network, options, kind.prediction)
        _prepare(folder, plan, listed, options.overwrite, kind.command)
    job = kind.job(photos.folder, folder, plan.sha256)
    done = present_parts(folder, plan.chunks, plan.sha256)
    missing = [number for number in range(plan.chunks) if number not in done]
    _check_space(folder, plan, len(missing), kind.size(plan))
    if missing and done:
        log.info("resumed: %d of %d parts are complete", len(done), plan.chunks)
    _work(job, missing, done, plan, kind.command, options)
    errors = sum(part.errors for part in done.values())
    summary = {"plan_sha256": plan.sha256, "photos": plan.photos, "errors": errors, "parts": plan.chunks}
    folder.write(SUCCESS, f"{json.dumps(summary)}\n".encode())
    return CompleteRun(Parts(folder, plan), errors, len(missing))


def _work(job: Job, missing: Sequence[int], done: dict[int, Done], plan: Plan, phase: str, options: RunOptions) -> None:
    finished = sum(part.photos for part in done.values())
    options.progress(phase, finished, plan.photos)
    if not missing:
        return
    try:
        for part in options.engine(job, missing):
            done[part.number] = part
            finished += part.photos
            options.progress(phase, finished, plan.photos)
    except StorageError as error:
        raise type(error)(f"{error.message} Complete parts are kept: run the same command to resume.") from error
    except KeyboardInterrupt:
        log.warning(
            "%d of %d parts are complete in %s. Run the same command to resume.",
            len(done),
            plan.chunks,
            job.folder.address,
        )
        raise


def _refuse_overlap(source: Source, folder: Folder) -> None:
    """Refuse a folder of parts inside the source: the next run would list other photos, or none."""
    for outside in (source.address, source.folder.address):
        inside = folder.address
        if isinstance(folder, LocalFolder) and "://" not in outside:
            inside, outside = os.path.realpath(inside), os.path.realpath(outside)
        if f"{inside}/".startswith(f"{outside}/"):
            raise ConfigError(
                f"expected OUT to be outside of SOURCE, received {quoted(folder.address)} inside {quoted(outside)}."
            )


def _planned(
    source: Source, photos: ListedPhotos, network: Network, options: RunOptions, prediction: Mapping[str, Any]
) -> Plan:
    digest = ListingDigest()
    chunks = sum(1 for _ in cut(map(digest.added, photos), options.max_photos, MAX_CHUNK_BYTES))
    versions = installed_versions()
    used = {name: versions[name] for name in ("topgraft", "numpy", "onnxruntime")}
    return Plan(
        source=source.address,
        photos=digest.photos,
        chunks=chunks,
        chunk_photos=options.max_photos,
        chunk_bytes=MAX_CHUNK_BYTES,
        classes=tuple(sorted(digest.classes)),
        listing_sha256=digest.hexdigest(),
        splits=dataclasses.asdict(options.splits),
        network=network.name,
        manifest_sha256=network.manifest_sha256,
        graph_sha256=network.sha256,
        features=network.features,
        image_size=network.spec.height,
        resize=network.spec.resize,
        intensity=network.spec.intensity,
        versions=used | {name: installed_version(name) or "" for name in DECODERS},
        prediction=prediction,
    )


def _prepare(folder: Folder, plan: Plan, photos: ListedPhotos, overwrite: bool, command: str) -> None:
    """Write the plan and the listing, unless they are there.

    Raises:
        ConfigError: the folder holds something else, or parts of another plan or source.
    """
    names = folder.names()
    ours, others = _divide(names, folder.subfolders())
    if others and PLAN not in names:
        raise ConfigError(
            f"{folder.address}: expected a new folder, or one written by topgraft {command}, found "
            f"{quoted(others[0])}. Choose another one."
        )
    foreign = [name for name in ours if name == SUCCESS or is_part(name)]
    if foreign and PLAN not in names and not overwrite:
        raise ConfigError(
            f"{folder.address}: expected a new folder, or one written by topgraft {command}, found "
            f"{quoted(foreign[0])} without {PLAN}: parts of another command, such as topgraft predict --features. "
            "Choose another folder, or remove the parts with --overwrite."
        )
    if overwrite:
        folder.remove_all(ours)
    elif PLAN in names:
        old = read_plan(folder)
        if old == plan:
            return
        raise ConfigError(
            f"{folder.address}: expected the same plan as before: {_difference(folder, old, plan, photos)}. To begin "
            "again, add --overwrite, or choose another folder."
        )
    for name, content in listing_files(cut(photos, plan.chunk_photos, plan.chunk_bytes)):
        folder.write(name, content)
    # Last: a folder with a plan has the whole listing.
    folder.write(PLAN, plan.text.encode())


def _divide(files: Sequence[str], subfolders: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files and folders that a run writes, in the order to remove them, and others; hidden ones are temporary."""
    fixed = {SUCCESS, PCA_FILE, PCA_CHART, LISTING, MOMENTS, PLAN, *([PCA] if PCA_FILE in files else [])}
    ours, others = [], []
    for name in (*files, *subfolders):
        if name in fixed or is_part(name):
            ours.append(name)
        elif not name.startswith("."):
            others.append(name)
    # Without its plan, the folder would not be known as one of a run.
    return sorted(ours, key=lambda name: (name != SUCCESS, name == PLAN)), others


def _difference(folder: Folder, old: Plan, new: Plan, photos: ListedPhotos) -> str:
    """The first difference of two plans, in words; of the photos, the first one that differs."""
    if old.source == new.source and old.listing_sha256 != new.listing_sha256:
        for before, after in itertools.zip_longest(read_listing(folder, old.chunks), photos):
            if before != after:
                return _changed_photo(before, after)
    return first_difference(old, new) or "the same values in another order"


def _changed_photo(before: Photo | None, after: Photo | None) -> str:
    if before is None or (after is not None and after.file.name < before.file.name):
        assert after is not None  # nosec B101: one of the two is a photo
        return f"the photo {quoted(after.name)} was added"
    if after is None or after.file.name > before.file.name:
        return f"the photo {quoted(before.name)} was removed"
    if before.file != after.file:
        return f"the photo {quoted(before.name)} has changed"
    return (
        f"the photo {quoted(before.name)} had the label {quoted(before.label)} and the split {before.split}, and has "
        f"{quoted(after.label)} and {after.split}"
    )


def _check_space(folder: Folder, plan: Plan, missing: int, size: int) -> None:
    if not isinstance(folder, LocalFolder):
        return
    free = shutil.disk_usage(folder.address).free
    needed = plan.photos * missing // plan.chunks * size
    if needed > free:
        raise StorageFullError(
            f"{folder.address}: expected {needed / 1e6:,.0f} MB of free space for the parts, found {free / 1e6:,.0f} "
            "MB. Free some space, and run the same command again."
        )
