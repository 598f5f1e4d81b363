"""A storage by what a person types."""

from pathlib import Path

from model.storage.interface import Storage
from model.storage.local import Local
from model.storage.places import is_remote, parse_place
from model.storage.rclone import Rclone
from model.storage.settings import require_remote


def open_storage(where: str) -> Storage:
    """The storage that `remote:path`, or a local path, names. Nothing is asked of a server yet.

    Raises:
        ConfigError: not a place.
        StorageSettingsError: rclone is missing, or the remote is not configured.
    """
    if not is_remote(where):
        return Local(Path(where).expanduser())
    place = parse_place(where)
    return Rclone(place, require_remote(place.remote))
