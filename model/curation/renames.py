"""Today's names of classes and photos that were renamed or moved since a model was trained, by the journal."""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from model.curation import journal
from model.curation.journal import Entry, Step

MERGE = "merge_classes"


def todays_classes(dataset: Path, since: str, classes: Iterable[str]) -> dict[str, str]:
    """Names that classes have got by being renamed, or merged into another one; those that are the same are left out.

    Args:
        since: ISO 8601, when the classes had these names.

    Raises:
        DatasetError: the journal is damaged.
    """
    known = journal.entries(dataset)
    undone = journal.undone(known)
    later = _later(known, since)
    first = later[0].number if later else 0
    names = {name: name for name in classes}
    for entry in later:
        if entry.number in undone or (entry.undoes and min(entry.undoes) >= first):
            continue
        renamed = dict(_folder_steps(entry))
        if entry.kind == MERGE:
            renamed |= dict.fromkeys(entry.details["names"], entry.details["into"])
        names = {name: renamed.get(now, now) for name, now in names.items()}
    return {name: now for name, now in names.items() if now != name}


def todays_photos(dataset: Path, since: str, photos: Iterable[str]) -> dict[str, str]:
    """Today's path of each photo, relative to the dataset; changes by other programs are not known.

    Args:
        since: ISO 8601, when the photos had these paths.

    Raises:
        DatasetError: the journal is damaged.
    """
    former = {photo: photo for photo in photos}
    for entry in _later(journal.entries(dataset), since):
        folders = dict(_folder_steps(entry))
        for source, target in _made_steps(entry):
            if source in former:
                former[target] = former.pop(source)
        if folders:
            former = {_below(folders, path): photo for path, photo in former.items()}
    return {photo: path for path, photo in former.items()}


def _later(known: list[Entry], since: str) -> list[Entry]:
    """Entries of changes after a moment."""
    try:
        moment = _moment(since)
    except ValueError:
        # A model from elsewhere may state no time.
        return []
    return [entry for entry in known if _moment(entry.at) >= moment]


def _moment(text: str) -> datetime.datetime:
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def _made_steps(entry: Entry) -> Iterator[Step]:
    skipped = set(entry.skipped)
    for position, (source, target) in enumerate(entry.steps):
        if source and target and position not in skipped:
            yield source, target


def _folder_steps(entry: Entry) -> Iterator[Step]:
    """Steps that rename the folder of a class."""
    return (step for step in _made_steps(entry) if "/" not in "".join(step))


def _below(folders: Mapping[str, str], path: str) -> str:
    folder, slash, rest = path.partition("/")
    return f"{folders.get(folder, folder)}{slash}{rest}"
