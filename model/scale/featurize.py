"""A run from a source of photos to the parts of their features; the same run again resumes it."""

import dataclasses
import itertools
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence

from model.config import DEFAULT_CHUNK
from model.dataset.listing import LayoutOptions
from model.errors import ConfigError, StorageFullError
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
from model.scale.folders import Folder, LocalFolder, open_folder
from model.scale.local import run_locally
from model.scale.moments import MOMENTS, PCA, PCA_CHART, PCA_FILE, write_components
from model.scale.network import Network
from model.scale.parts import SUCCESS, Done, Parts, is_part, present_parts
from model.scale.source import ListedPhotos, Source, SplitOptions, listed_photos, open_source
from model.scale.work import Job, Task

PHASE = "featurize"

Engine = Callable[[Task, Sequence[int]], Iterator[Done]]
"""Does the work of some numbers, and yields each as it is complete, in any order."""

_DECODERS = ("pillow", "pyarrow", "imagecodecs")
# Besides the features: path, label, checksum, and the descriptions in the file.
_BYTES_PER_ROW = 200

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class FeaturizeResult:
    """Result of a run.

    Attributes:
        out: the folder of features.
        photos: number of photos.
        errors: number of photos that could not be read.
        parts: number of parts.
        written: number of parts that this run has written; the others were there.
        features: number of features of a photo.
        classes: number of classes; 0 if the classes are unknown.
        pca: explained variance of each principal component, as a fraction of the total; empty without them.
    """

    out: str
    photos: int
    errors: int
    parts: int
    written: int
    features: int
    classes: int
    pca: tuple[float, ...] = ()


def featurize(
    source: str,
    out: str,
    network: Network,
    splits: SplitOptions,
    *,
    layout: LayoutOptions | None = None,
    max_photos: int = DEFAULT_CHUNK,
    components: int = 0,
    overwrite: bool = False,
    engine: Engine = run_locally,
    progress: Progress = no_progress,
) -> FeaturizeResult:
    """Write the features of all photos of a source as Parquet parts.

    Args:
        source: folder, dataset, list, or address of an object store.
        out: folder of features: new, or one of the same run, which is resumed.
        network: computes the features.
        splits: options of the splits, for photos that have none.
        layout: options of the layout of a dataset.
        max_photos: maximum number of photos of a chunk.
        components: number of principal components to write; 0 for none.
        overwrite: remove the parts of another run first.
        engine: does the work.
        progress: called with the phase `featurize`, in photos.

    Raises:
        DatasetError: there are no photos, or they cannot be listed.
        ConfigError: `out` is inside the source, or holds something else, or features of another plan or source.
        StorageError: the source cannot be read, or `out` cannot be written.
    """
    folder = open_folder(out)
    photos = open_source(source, layout or LayoutOptions())
    _refuse_overlap(photos, folder)
    folder.remove_leftovers()
    with listed_photos(photos, splits) as listed:
        plan = _planned(photos, listed, network, splits, max_photos)
        if components > plan.features:
            raise ConfigError(f"pca: expected at most {plan.features:,} components, received {components:,}.")
        _prepare(folder, plan, listed, overwrite)
    job = Job(photos.folder, folder, plan.sha256, network.extractor)
    done = present_parts(folder, plan.chunks, plan.sha256)
    missing = [number for number in range(plan.chunks) if number not in done]
    _check_space(folder, plan, len(missing))
    if missing and done:
        log.info("resumed: %d of %d parts are complete", len(done), plan.chunks)
    _work(engine, job, missing, done, plan, progress)
    errors = sum(part.errors for part in done.values())
    summary = {"plan_sha256": plan.sha256, "photos": plan.photos, "errors": errors, "parts": plan.chunks}
    folder.write(SUCCESS, f"{json.dumps(summary)}\n".encode())
    ratio: tuple[float, ...] = ()
    if components:
        pca = write_components(Parts(folder, plan), components, engine, progress)
        ratio = tuple(float(value) for value in pca.ratio)
    return FeaturizeResult(out, plan.photos, errors, plan.chunks, len(missing), plan.features, len(plan.classes), ratio)


def _work(
    engine: Engine, job: Job, missing: Sequence[int], done: dict[int, Done], plan: Plan, progress: Progress
) -> None:
    finished = sum(part.photos for part in done.values())
    progress(PHASE, finished, plan.photos)
    if not missing:
        return
    try:
        for part in engine(job, missing):
            done[part.number] = part
            finished += part.photos
            progress(PHASE, finished, plan.photos)
    except KeyboardInterrupt:
        log.warning(
            "%d of %d parts are complete in %s. Run the same command to resume.",
            len(done),
            plan.chunks,
            job.folder.address,
        )
        raise


def _refuse_overlap(source: Source, folder: Folder) -> None:
    """Refuse a folder of features inside the source: the next run would list other photos, or none."""
    inside, outside = folder.address, source.folder.address
    if isinstance(folder, LocalFolder) and isinstance(source.folder, LocalFolder):
        inside, outside = os.path.realpath(inside), os.path.realpath(outside)
    if source.listed_by_folder and f"{inside}/".startswith(f"{outside}/"):
        raise ConfigError(
            f"expected OUT to be outside of SOURCE, received {quoted(folder.address)} inside {quoted(outside)}."
        )


def _planned(source: Source, photos: ListedPhotos, network: Network, splits: SplitOptions, max_photos: int) -> Plan:
    digest = ListingDigest()
    chunks = sum(1 for _ in cut(map(digest.added, photos), max_photos, MAX_CHUNK_BYTES))
    versions = installed_versions()
    used = {name: versions[name] for name in ("topgraft", "numpy", "onnxruntime")}
    return Plan(
        source=source.address,
        photos=digest.photos,
        chunks=chunks,
        chunk_photos=max_photos,
        chunk_bytes=MAX_CHUNK_BYTES,
        classes=tuple(sorted(digest.classes)),
        listing_sha256=digest.hexdigest(),
        splits=dataclasses.asdict(splits),
        network=network.name,
        manifest_sha256=network.manifest_sha256,
        graph_sha256=network.sha256,
        features=network.count_features(),
        image_size=network.spec.height,
        resize=network.spec.resize,
        intensity=network.spec.intensity,
        versions=used | {name: installed_version(name) or "" for name in _DECODERS},
    )


def _prepare(folder: Folder, plan: Plan, photos: ListedPhotos, overwrite: bool) -> None:
    """Write the plan and the listing, unless they are there.

    Raises:
        ConfigError: the folder holds something else, or features of another plan or source.
    """
    names = folder.names()
    others = [] if PLAN in names else _not_ours(names, folder.subfolders())
    if others:
        raise ConfigError(
            f"{folder.address}: expected a new folder, or one written by topgraft featurize, found "
            f"{quoted(others[0])}. Choose another one."
        )
    if overwrite:
        _remove(folder, names)
    elif PLAN in names and (old := read_plan(folder)) is not None:
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


def _not_ours(files: Sequence[str], subfolders: Sequence[str]) -> list[str]:
    """Files and folders that no run has written; hidden ones are temporary files."""
    ours = {SUCCESS, PCA_FILE, PCA_CHART, LISTING, MOMENTS, *([PCA] if PCA_FILE in files else [])}
    return [name for name in (*files, *subfolders) if not (name in ours or name.startswith(".") or is_part(name))]


def _remove(folder: Folder, names: Iterable[str]) -> None:
    """Remove the files of a former run, the plan last: without it the folder would not be known as ours."""
    folder.remove(SUCCESS)
    for name in names:
        if name not in (PLAN, SUCCESS):
            folder.remove(name)
    for name in (LISTING, PCA, MOMENTS, PLAN):
        folder.remove(name)


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


def _check_space(folder: Folder, plan: Plan, missing: int) -> None:
    if not isinstance(folder, LocalFolder):
        return
    free = shutil.disk_usage(folder.address).free
    needed = plan.photos * missing // plan.chunks * (4 * plan.features + _BYTES_PER_ROW)
    if needed > free:
        raise StorageFullError(
            f"{folder.address}: expected {needed / 1e6:,.0f} MB of free space for the parts, found {free / 1e6:,.0f} "
            "MB. Free some space, and run the same command again."
        )
