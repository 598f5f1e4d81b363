"""Where an upload is in a dataset: its plan, the parts of files that have arrived, and its entries of the journal."""

import functools
from pathlib import Path

from model.curation import journal
from model.curation.journal import Entry
from model.curation.places import INCOMING, PLAN, UPLOAD_PREFIX
from model.curation.upload_plan import Plan, plan_from_json
from model.errors import ConfigError
from model.reading import UnreadableError, read_json
from model.received import quoted


def plan_of(dataset: Path, upload: str) -> Plan:
    """Plan of an upload that is not complete.

    Raises:
        ConfigError: there is none of this name, or it is damaged.
    """
    if not upload.startswith(UPLOAD_PREFIX) or not upload.replace("-", "").isalnum():
        raise ConfigError(f"expected an upload of this dataset, received {quoted(upload)}")
    path = dataset / INCOMING / upload / PLAN
    if not path.is_file():
        raise ConfigError(f"expected an upload that is not complete, received {quoted(upload)}: begin it again").coded(
            "upload_gone"
        )
    return _read_plan(path)


@functools.lru_cache(maxsize=4)
def _read_plan(path: Path) -> Plan:
    """Plan of an upload, which never changes."""
    try:
        return plan_from_json(read_json(path, file_names=True))
    except (OSError, UnreadableError, ConfigError) as error:
        raise ConfigError(f"{path}: expected the plan of an upload, received a damaged one: begin it again") from error


def entries_of(dataset: Path, upload: str) -> list[Entry]:
    """Entries of the journal that an upload has made, without those that were taken back."""
    known = journal.entries(dataset)
    taken_back = journal.undone(known)
    return [entry for entry in known if entry.group == upload and entry.number not in taken_back]


def arrived_files(dataset: Path, upload: str) -> set[int]:
    """Positions of the files that have arrived whole, and were put into the dataset or refused."""
    return {position for entry in entries_of(dataset, upload) for position in entry.details["files"]}


def part_file(dataset: Path, upload: str, position: int) -> Path:
    """File for what has arrived of a file of the plan."""
    return dataset / INCOMING / upload / f"{position}.part"


def part_size(dataset: Path, upload: str, position: int) -> int:
    """Bytes that have arrived of a file; -1 if it was not begun, or is in the dataset."""
    try:
        return part_file(dataset, upload, position).stat().st_size
    except FileNotFoundError:
        return -1


def parts_of(dataset: Path, upload: str) -> list[int]:
    """Positions of the files of which a part, or all, is there."""
    return [int(part.stem) for part in (dataset / INCOMING / upload).glob("*.part")]
