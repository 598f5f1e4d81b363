"""Folders that files are sent to, such as the results of a run: `remote:path`, or a local folder."""

from collections.abc import Sequence
from pathlib import Path

from model.errors import ConfigError, StorageNotFoundError
from model.received import quoted
from model.results import Progress, no_progress
from model.storage import open_storage
from model.storage.interface import Entry, Storage
from model.storage.places import is_remote, parse_place
from model.storage.rclone import WITHOUT_FOLDERS
from model.storage.settings import require_remote

# Such as s3://bucket, which would be a local folder.
ADDRESS = "://"


def open_destination(where: str) -> tuple[Storage, dict[str, Entry]]:
    """A folder to send files to, and the files in it by name; a folder that does not exist is created by the first one.

    Raises:
        ConfigError: `where` is an address, or a remote without a bucket.
        StorageNotFoundError: its bucket does not exist: rclone would create it, or report a missing permission.
        StorageError: the storage refuses the user, or does not answer.
    """
    _require_folder(where)
    storage = open_storage(where)
    try:
        return storage, {entry.name: entry for entry in storage.list()}
    except StorageNotFoundError as error:
        if is_remote(where) and _has_buckets(where):
            bucket = parse_place(where).path.partition("/")[0]
            raise StorageNotFoundError(
                f"{where}: expected a bucket {quoted(bucket)}, found none (404). Create it, or correct its name."
            ) from error
        storage.require_space(0)
        return storage, {}


def send_files(files: Sequence[Path], where: str, progress: Progress = no_progress) -> list[str]:
    """Send files to a folder under their own names, each verified; their places.

    Raises:
        StorageError: as `open_destination`, or a file could not be sent; those before it were.
    """
    storage, _ = open_destination(where)
    for file in files:
        storage.push(file, file.name, progress)
    return [storage.place(file.name) for file in files]


def _require_folder(where: str) -> None:
    expected = "expected remote:path, such as s3:bucket/user/run, or a local folder, received"
    if ADDRESS in where:
        raise ConfigError(f"{expected} the address {quoted(where)}.")
    if is_remote(where) and not parse_place(where).path and _has_buckets(where):
        raise ConfigError(f"{expected} {quoted(where)}, without a bucket.")


def _has_buckets(where: str) -> bool:
    return require_remote(parse_place(where).remote)["type"] in WITHOUT_FOLDERS
