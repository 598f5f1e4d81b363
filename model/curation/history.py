"""The changes of a dataset as a user sees them: all entries of one upload are one line."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from model.curation import journal
from model.curation.journal import Entry

# Keys of the details of entries, in the order of the names.
_NAMES = ("source", "name", "new_name", "into", "to")
_MAX_NAMES = 5


@dataclasses.dataclass(frozen=True)
class Line:
    """A change.

    Attributes:
        number: of its last entry in the journal.
        at, kind, by, model: see `model.curation.journal.Entry`.
        photos: number of files that it has moved.
        is_undo: whether it takes back another one.
        answer: the class that the model had predicted, if the user chose another one.
        names: the classes, or the source, that it names: the former one first, then the new one.
    """

    number: int
    at: str
    kind: str
    by: str
    model: str
    photos: int
    is_undo: bool
    answer: str
    names: tuple[str, ...]


def history(dataset: Path, offset: int, limit: int) -> tuple[list[Line], int]:
    """Lines of the history, the last change first, and the number of all lines.

    Args:
        offset: number of lines to leave out.
        limit: maximum number of lines.

    Raises:
        DatasetError: the journal is damaged.
    """
    grouped: dict[str, list[Entry]] = {}
    for entry in reversed(journal.entries(dataset)):
        grouped.setdefault(entry.group or str(entry.number), []).append(entry)
    shown = list(grouped.values())[offset : offset + limit]
    return [_line(entries) for entries in shown], len(grouped)


def _line(entries: Sequence[Entry]) -> Line:
    last = entries[0]
    photos = sum(_moved(entry) for entry in entries)
    details = last.details.get("details", {}) if last.undoes else last.details
    names = tuple(str(details[key]) for key in _NAMES if details.get(key))
    merged = tuple(map(str, details.get("names", ())))[:_MAX_NAMES]
    predicted = str(details.get("answer", ""))
    answer = "" if predicted == details.get("to") else predicted
    shown = (*merged, *names)
    return Line(last.number, last.at, last.kind, last.by, last.model, photos, bool(last.undoes), answer, shown)


def _moved(entry: Entry) -> int:
    """Number of steps of an entry that have moved something; others create or remove folders."""
    return sum(bool(source and target) for source, target in entry.steps) - len(entry.skipped)
