"""Copies of other datasets: of any layout, archives, remote storage, and labels of Label Studio."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from model.curation import journal
from model.curation.changes import ADD_PHOTOS, Applied, check_editable, new_folder, remove_orphans, to_applied
from model.curation.journal import Entry, Step, locked
from model.curation.names import file_name, usable_class_name
from model.curation.places import class_names
from model.curation.plans import Names
from model.curation.same_photos import SamePhotos
from model.curation.space import check_space, full_disk
from model.curation.uploads import bytes_to_come
from model.dataset.given_names import errors_name
from model.dataset.layouts import find_layout
from model.dataset.listing import Listing
from model.errors import DatasetError
from model.files.archives import is_archive, unpack_archive
from model.files.new_files import link_or_copy
from model.results import SPLITS, Progress, no_progress
from model.scratch import remove_leftovers, scratch_folder
from model.storage.copies import dataset_folder
from model.storage.places import is_remote
from model.workspace import Workspace

_USER = "the import into"


def import_dataset(
    dataset: Path,
    source: str,
    workspace: Workspace,
    by: str = "",
    max_bytes: int | None = None,
    progress: Progress = no_progress,
) -> Applied:
    """Add copies of all labelled photos of another dataset; they are one change, which can be undone.

    Args:
        source: a dataset in `data/`, another folder, an archive or `remote:path`, of any layout; or the JSON export of
            a Label Studio project, whose photos are beside it.
        max_bytes: as in `model.curation.space.check_space`.
        progress: called with the phases `download`, `unpack` and `import_labels`, if the source needs them; then with
            `import`.

    Raises:
        DatasetError, ArchiveError: the source cannot be read as a dataset.
        StorageError: it cannot be fetched, or there is no space for it.
    """
    check_editable(dataset)
    with _listing(source, workspace, f"{_USER} {dataset.name}", progress) as listing:
        size = sum(sample.path.stat().st_size for split in SPLITS for sample in listing.splits[split])
        check_space(dataset, size, max_bytes, bytes_to_come(dataset.parent))
        with locked(dataset), full_disk(dataset, "Nothing was added"):
            return _copy(dataset, source, listing, by, progress)


def end_import(dataset: Path, source: str, after: int) -> Applied | None:
    """Remove what an import has left that was killed, or complete it if its photos were being moved into classes.

    Args:
        source: that of the import.
        after: number of changes that the dataset had before it.

    Returns:
        the change that the import has made; None if it has changed nothing.
    """
    with locked(dataset), full_disk(dataset, "The photos are whole"):
        remove_orphans(dataset)
        known = journal.entries(dataset)[after:]
    remove_leftovers()
    made = next((entry for entry in known if entry.kind == ADD_PHOTOS and entry.details.get("source") == source), None)
    return to_applied(made) if made else None


@contextlib.contextmanager
def _listing(source: str, workspace: Workspace, user: str, progress: Progress) -> Iterator[Listing]:
    with scratch_folder("import") as scratch, dataset_folder(workspace, source, user, progress) as found:
        folder = found
        if is_archive(found):
            progress("unpack", 0, 1)
            folder = unpack_archive(found, scratch / "unpacked")
        elif found.is_file() and found.suffix.lower() == ".json":
            folder = _labelled(source, found, scratch / "labelled", progress)
        with errors_name(source, folder) if folder != found or is_remote(source) else contextlib.nullcontext():
            yield find_layout(folder)


def _labelled(source: str, export: Path, target: Path, progress: Progress) -> Path:
    """Dataset of the photos of a Label Studio export."""
    from model.labels.crops import CropOptions
    from model.labels.cutting import SplitOptions
    from model.labels.import_labels import ImportOptions, import_labels
    from model.labels.photos import LocalPhotos
    from model.labels.sources import read_labels

    labels = read_labels(export, "")
    options = ImportOptions(CropOptions(), SplitOptions())
    import_labels(source, labels, LocalPhotos(export.parent), target, options, progress)
    return target


def _copy(dataset: Path, source: str, listing: Listing, by: str, progress: Progress) -> Applied:
    known, names, photos = class_names(dataset), Names(dataset), SamePhotos(dataset)
    steps: list[Step] = []
    staging = new_folder(dataset)
    counts: dict[str, int] = defaultdict(int)
    same = 0
    samples = [sample for split in SPLITS for sample in listing.splits[split]]
    for number, sample in enumerate(samples):
        progress("import", number, len(samples))
        name = usable_class_name(listing.classes[sample.label], known)
        if name not in known:
            known.append(name)
            steps.append(("", name))
        # A source is imported again after an import that seemed to have failed.
        if photos.find(name, sample.path):
            same += 1
            continue
        staged = staging / str(number)
        link_or_copy(sample.path, staged)
        photos.add(name, staged)
        counts[name] += 1
        chosen = file_name(PurePosixPath(sample.name).name)
        steps.append((staged.relative_to(dataset).as_posix(), names.take(name, chosen)))
    progress("import", len(samples), len(samples))
    if same and not counts:
        staging.rmdir()
        raise DatasetError(f"{source}: expected photos that are not in {dataset.name} yet, found all of them there")
    if not counts:
        raise DatasetError(f"{source}: expected labelled photos, found none")
    entry = Entry(0, "", ADD_PHOTOS, {"source": source, "classes": dict(counts), "same": same}, by, steps=tuple(steps))
    made = journal.write(dataset, entry)
    staging.rmdir()
    return to_applied(made)
