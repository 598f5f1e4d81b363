"""Upload of a trained model to remote storage as one archive."""

import dataclasses
import logging
import shlex
import time

from model.bundle import Bundle
from model.errors import StorageBusyError, StorageError, StorageUnreachableError, TopgraftError
from model.publishing.archive import CHECKSUM_SUFFIX, SUFFIX, Archive, write_archive
from model.publishing.public_link import SharedFiles
from model.reading import with_path
from model.registry import find_bundle
from model.results import Progress, no_progress
from model.scratch import scratch_folder
from model.storage import Storage, is_remote, open_storage, parse_place, webdav_account
from model.storage.in_place import replaces_in_place
from model.storage.settings import require_remote
from model.training_result import TrainingResult, Uploaded
from model.workspace import Workspace

log = logging.getLogger(__name__)


def push_model(bundle: Bundle, where: str, progress: Progress = no_progress) -> Uploaded:
    """Upload a model as `NAME.tar.xz`, with its checksum in `NAME.tar.xz.sha256`, to the folder `where`.

    An existing archive of that name is replaced at once by the verified upload, or stays as it is.

    Args:
        where: folder, as `remote:path` or a local path.

    Raises:
        ModelDamagedError: files of the model are missing or have changed.
        StorageError, ConfigError: the upload failed.
    """
    started = time.monotonic()
    storage = open_storage(where)
    require_space_for(bundle, storage)
    with scratch_folder("push") as directory:
        archive = write_archive(bundle, directory / f"{bundle.name}{SUFFIX}")
        replaces_published = has_other_published(archive, where, storage)
        send_archive(archive, storage, progress)
    place = storage.place(archive.path.name)
    if replaces_published:
        log.warning(
            "%s has a public link, which serves this version from now on. Child modules that were built from the "
            "previous version pin its sha256 and can no longer be built. To keep both versions, use: topgraft publish",
            place,
        )
    return Uploaded(place, archive.sha256, archive.size, round(time.monotonic() - started, 2))


def require_space_for(bundle: Bundle, storage: Storage) -> None:
    """Check, before a model is packed, that the storage answers this user and may have space for its archive.

    Raises:
        StorageError: as `Storage.require_space`.
    """
    # Weights shrink by less than half.
    storage.require_space(bundle.size // 2)


def send_archive(archive: Archive, storage: Storage, progress: Progress = no_progress) -> None:
    """Upload an archive and its checksum; both are replaced, or neither."""
    checksum = archive.path.with_name(archive.path.name + CHECKSUM_SUFFIX)
    storage.push(archive.path, archive.path.name, progress, checksum)


def has_other_published(archive: Archive, where: str, storage: Storage) -> bool:
    """Whether the folder `where` has another archive of this name, with a public link."""
    if not is_remote(where) or not replaces_in_place(require_remote(parse_place(where).remote)):
        return False
    name = archive.path.name
    if storage.entry(name) is None or sent_checksum(archive, storage) == archive.sha256:
        return False
    place = parse_place(where)
    try:
        return SharedFiles(webdav_account(place.remote)).has_link(place / name)
    except StorageError as error:
        log.info("%s: its public links are not known: %s", place / name, error.message)
        return False


def withdraw_checksum(archive: Archive, storage: Storage) -> None:
    """Remove the remote checksum of this archive, after another archive has taken its place."""
    if sent_checksum(archive, storage) == archive.sha256:
        storage.remove(archive.path.name + CHECKSUM_SUFFIX)


def sent_checksum(archive: Archive, storage: Storage) -> str:
    """Remote checksum (sha256) of an archive of this name; empty if there is none."""
    name = archive.path.name + CHECKSUM_SUFFIX
    if storage.entry(name) is None:
        return ""
    with scratch_folder("checksum") as directory:
        storage.fetch(name, directory / name)
        return (directory / name).read_text(encoding="utf-8", errors="replace").partition(" ")[0]


def check_upload(where: str) -> None:
    """Check, before a training, that the remote storage takes its model: settings, user and password.

    A remote that does not answer now may do so at the end of the training: a warning is logged.

    Raises:
        StorageError, ConfigError: it refuses the user, or is not configured.
    """
    try:
        open_storage(where).require_space(0)
    except (StorageBusyError, StorageUnreachableError) as error:
        log.warning("%s The training goes ahead, and uploads the model at its end.", error.message)


def add_upload(
    result: TrainingResult, workspace: Workspace, where: str, progress: Progress = no_progress
) -> TrainingResult:
    """Send the model of a finished training to the remote storage that its option `upload_to` names, if any.

    Returns:
        The result with `upload`. If the upload fails, the model is complete nevertheless, and the result has one more
        warning, with the command that repeats the upload.
    """
    if not where:
        return result
    command = f"topgraft push {result.model} {shlex.quote(where)}"
    try:
        uploaded = push_model(find_bundle(workspace, result.model), where, progress)
    except (TopgraftError, OSError) as error:
        reason = with_path(error).rstrip(".")
        warning = f"The upload failed: {reason}. The model is complete. To upload it later: {command}"
        log.warning("%s", warning)
        return result.with_warning(warning)
    except BaseException:
        log.warning("%s is trained; its upload was stopped: %s", result.model, command)
        raise
    log.info("sent to %s", uploaded.place)
    return dataclasses.replace(result, upload=uploaded)
