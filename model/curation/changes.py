"""Changes of a dataset, each written in its journal before it is made, and their undo."""

import contextlib
import dataclasses
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from model.curation import journal
from model.curation.journal import Entry, Step, locked
from model.curation.names import checked_class_name, file_name
from model.curation.places import (
    INCOMING,
    PLAN,
    UNLABELLED,
    UPLOAD_PREFIX,
    checked_photo,
    class_names,
    class_of,
    is_editable,
)
from model.curation.plans import KINDS, Change, MovePhotos, Names, RemovePhotos, steps_back, steps_of
from model.curation.same_photos import SamePhotos
from model.curation.space import full_disk
from model.errors import DatasetError
from model.shown import printable

_BLOCK = 1 << 20
_NEW = "new-"
_NAME_OF_KIND = {kind: name for name, kind in KINDS.items()}
UNDO, ADD_PHOTOS = "undo", "add_photos"


@dataclasses.dataclass(frozen=True)
class Applied:
    """A change that was made.

    Attributes:
        entry: its entry in the journal.
        photos: former path -> new path of each file that was moved.
        missing: paths that another program had moved or replaced meanwhile.
        same: former paths of the photos that have the content of a photo that was to be added.
    """

    entry: Entry
    photos: dict[str, str]
    missing: tuple[str, ...]
    same: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON types; `number` is 0 if nothing had to be changed."""
        return {
            "number": self.entry.number,
            "kind": self.entry.kind,
            "photos": self.photos,
            "missing": self.missing,
            "same": self.same,
        }


def create_dataset(data: Path, name: str) -> Path:
    """Create an empty dataset in the folder of datasets.

    Raises:
        DatasetError: the name is not accepted, or taken.
    """
    data.mkdir(parents=True, exist_ok=True)
    checked = checked_class_name(name, [path.name for path in data.iterdir()], what="dataset")
    dataset = data / checked
    with full_disk(dataset, "Nothing was created"):
        dataset.mkdir()
        with locked(dataset):
            pass
    return dataset


def change(dataset: Path, requested: Change, by: str = "", model: str = "") -> Applied:
    """Make a change of a dataset.

    Args:
        by: who makes it; empty if not known.
        model: the model whose prediction led to it; empty for none.

    Raises:
        DatasetError: a class or photo is not there, a name is not accepted, or the dataset is no folder per class.
        StorageError: another process changes it, or the disk is full.
    """
    with _editable(dataset):
        entry = Entry(0, "", _NAME_OF_KIND[type(requested)], dataclasses.asdict(requested), by, model)
        return _applied(dataset, entry, steps_of(dataset, requested))


def relabel(dataset: Path, photo: str, class_name: str, by: str = "", model: str = "", answer: str = "") -> Applied:
    """Move a photo, labelled or not, to another class, which is created if it does not exist; see `change`.

    Other photos with its content are removed, so that no photo has two labels.

    Args:
        answer: the class that the model had predicted; empty for none.
    """
    with _editable(dataset):
        copies = [one for one in SamePhotos(dataset).find_anywhere(checked_photo(dataset, photo)) if one != photo]
        return _moved(dataset, [photo, *copies], class_name, by, model, answer)


def add_photo(
    dataset: Path,
    class_name: str,
    source: Path,
    by: str = "",
    model: str = "",
    name: str = "",
    answer: str = "",
) -> Applied:
    """Add a copy of a photo to a class, which is created if it does not exist; unlabelled if the name is empty.

    A photo that the dataset has already is moved to the class instead, or stays there: no photo gets two labels. The
    photo must have been checked, see `model.curation.photo_check`.

    Args:
        name: file name; by default that of the source. A name that is taken gets a number.
        answer: as in `relabel`.

    Raises:
        DatasetError, StorageError: as `change`.
    """
    with _editable(dataset):
        same = SamePhotos(dataset).find_anywhere(source) if class_name else []
        if same:
            # The one in the class first: it stays where it is.
            same.sort(key=lambda photo: class_of(photo) != class_name)
            return dataclasses.replace(_moved(dataset, same, class_name, by, model, answer), same=tuple(same))
        created = _created(dataset, class_name)
        target = created[0][1] if created else class_name or UNLABELLED
        received = _receive(dataset, source)
        chosen = file_name(name or source.name)
        try:
            steps = [*created, (received, Names(dataset).take(target, chosen))]
            details = {"to": class_name, "name": chosen} | _answered(answer)
            return _applied(dataset, Entry(0, "", ADD_PHOTOS, details, by, model), steps)
        finally:
            (dataset / received).unlink(missing_ok=True)


def _moved(dataset: Path, same: Sequence[str], class_name: str, by: str, model: str, answer: str) -> Applied:
    """Move the first of the photos, which have the same content, to a class, and remove the others."""
    photo, *copies = same
    requested = MovePhotos((photo,), class_name)
    steps = _created(dataset, class_name)
    steps += steps_of(dataset, requested) if not steps else _into_new(dataset, photo, steps[0][1])
    steps += steps_of(dataset, RemovePhotos(tuple(copies))) if copies else []
    details = dataclasses.asdict(requested) | _answered(answer)
    entry = Entry(0, "", _NAME_OF_KIND[MovePhotos], details, by, model)
    return _applied(dataset, entry, steps) if steps else Applied(entry, {}, ())


def _answered(answer: str) -> dict[str, str]:
    """What the details of an entry say about the prediction of a model."""
    return {"answer": answer} if answer else {}


def undo(dataset: Path, by: str = "", number: int | None = None) -> Applied:
    """Take back the last change that was not taken back yet; all of an upload at once.

    Args:
        number: of the change to take back, which must be the last one; None for whichever is.

    Raises:
        DatasetError: there is none, or another change was made after that one.
        StorageError: as `change`.
    """
    with _editable(dataset):
        last = undoable(journal.entries(dataset))
        if not last:
            raise DatasetError(f"{dataset.name}: expected a change to undo, there is none").coded("nothing_to_undo")
        numbers = tuple(entry.number for entry in last)
        if number is not None and number not in numbers:
            raise DatasetError(
                f"{dataset.name}: expected change {number} to be the last one, found change {numbers[0]}, which was "
                "made by another page or program. See the history of the dataset in the view Photos"
            ).coded("not_the_last_change")
        entry = Entry(0, "", UNDO, {"kind": last[0].kind, "details": dict(last[0].details)}, by, undoes=numbers)
        return _applied(dataset, entry, steps_back(dataset, last))


def undoable(known: Sequence[Entry]) -> list[Entry]:
    """The entries that the next undo takes back, the last one first; entries that moved nothing are passed over."""
    taken_back = journal.undone(known)
    left = [entry for entry in reversed(known) if entry.number not in taken_back and not entry.undoes]
    last = next((entry for entry in left if entry.steps), None)
    if last is None:
        return []
    return [entry for entry in left if entry.group == last.group] if last.group else [last]


def changes(dataset: Path) -> list[Entry]:
    """The changes of a dataset, the last one first; none of a dataset that was not edited."""
    return list(reversed(journal.entries(dataset)))


@contextlib.contextmanager
def _editable(dataset: Path) -> Iterator[None]:
    check_editable(dataset)
    with locked(dataset):
        yield


def check_editable(dataset: Path) -> None:
    """Check that a folder is there and is a dataset that can be changed.

    Raises:
        DatasetError: it is not.
    """
    if not dataset.is_dir():
        raise DatasetError(f"{dataset}: expected the folder of a dataset, found none")
    if not is_editable(dataset):
        raise DatasetError(
            f"{dataset.name}: expected a dataset with a folder per class, which can be changed here, found another "
            "layout. Copy its photos into a new dataset first"
        ).coded("not_editable", name=printable(dataset.name))


def _created(dataset: Path, class_name: str) -> list[Step]:
    """The step that creates a class, unless it exists or its name is empty."""
    known = class_names(dataset)
    if not class_name or class_name in known:
        return []
    return [("", checked_class_name(class_name, known))]


def _into_new(dataset: Path, photo: str, class_name: str) -> list[Step]:
    checked_photo(dataset, photo)
    return [(photo, f"{class_name}/{PurePosixPath(photo).name}")]


def _receive(dataset: Path, source: Path) -> str:
    """Copy a file into the dataset, to a path that no reader enters; return the path."""
    folder = dataset / INCOMING
    with full_disk(dataset, "Nothing was added"):
        folder.mkdir(parents=True, exist_ok=True)
        remove_orphans(dataset)
        target = folder / f"{_NEW}{uuid.uuid4().hex}"
        try:
            with open(source, "rb") as read, open(target, "xb") as written:
                while block := read.read(_BLOCK):
                    written.write(block)
                written.flush()
                os.fsync(written.fileno())
        except OSError:
            target.unlink(missing_ok=True)
            raise
    return f"{INCOMING}/{target.name}"


def remove_orphans(dataset: Path) -> None:
    """Remove what killed processes left: copies that are not in the journal, and folders of uploads without a plan.

    The lock of the dataset must be held.
    """
    incoming = dataset / INCOMING
    uploads = [left for left in incoming.glob(f"{UPLOAD_PREFIX}*") if not (left / PLAN).is_file()]
    for left in [*incoming.glob(f"{_NEW}*"), *uploads]:
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def new_folder(dataset: Path) -> Path:
    """A new folder for copies that the next entry of the journal moves; the lock of the dataset must be held."""
    remove_orphans(dataset)
    folder = dataset / INCOMING / f"{_NEW}{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    return folder


def _applied(dataset: Path, entry: Entry, steps: Iterable[Step]) -> Applied:
    return to_applied(journal.write(dataset, dataclasses.replace(entry, steps=tuple(steps))))


def to_applied(made: Entry) -> Applied:
    """The outcome of an entry whose steps were made."""
    skipped = set(made.skipped)
    photos = {
        source: target for at, (source, target) in enumerate(made.steps) if source and target and at not in skipped
    }
    return Applied(made, photos, tuple(made.steps[at][0] or made.steps[at][1] for at in made.skipped))
