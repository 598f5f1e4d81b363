"""Record of the last publication of a model, in `published/MODEL/publication.json` of the workspace."""

import dataclasses
from pathlib import Path

from model import durable
from model.reading import UnreadableError, read_json
from model.records import record_from
from model.workspace import Workspace

PUBLISHED = "published"
RECORD = "publication.json"


@dataclasses.dataclass(frozen=True)
class PublicationRecord:
    """Last publication of a model; a missing value is empty.

    Attributes:
        place: path of the archive in the remote storage, as `remote:path`.
        link: public link to it.
        expires: last day of the link, as an ISO date; a link without one does not expire.
        sha256: checksum of the archive, in hexadecimal.
        child: folder of the child module, relative to that of the record if it is inside.
    """

    place: str = ""
    link: str = ""
    expires: str = ""
    sha256: str = ""
    child: str = ""


def publication_folder(workspace: Workspace, model: str) -> Path:
    """Folder of the publication of a model."""
    return workspace.root / PUBLISHED / model


def write_record(folder: Path, record: PublicationRecord) -> None:
    """Write the record into the folder of a publication."""
    durable.write_json(folder / RECORD, dataclasses.asdict(record))


def read_record(folder: Path) -> PublicationRecord | None:
    """Read the record of a publication; None if there is none that can be read."""
    try:
        return record_from(PublicationRecord, read_json(folder / RECORD))
    except (OSError, UnreadableError):
        return None
