"""From a trained model to what the hub needs: archive, upload, public link, proof that it works, child module.

Each step looks first whether it is done, so the whole can be repeated after whatever went wrong.
"""

import dataclasses
import datetime
import fcntl
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model import durable
from model.addresses import without_credentials
from model.bundle import Bundle
from model.errors import ConfigError, StorageDamagedError, StorageSettingsError
from model.publishing.archive import SUFFIX, Archive, write_archive
from model.publishing.child_module import ChildModule, check_child_module, slug_of, write_child_module
from model.publishing.child_options import ChildOptions, is_safe_address
from model.publishing.public_link import PublicLink, SharedFiles
from model.publishing.upload import send_archive, sent_checksum, withdraw_checksum
from model.results import Progress, no_progress
from model.storage import Storage, open_storage, parse_place, webdav_account
from model.storage.download import download
from model.workspace import Workspace

PUBLISHED = "published"
RECORD = "publication.json"
_LOCK = ".lock"
_PROOF = ".proof-"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PublishOptions:
    """What to publish, and how.

    Attributes:
        to: folder in a Nextcloud, as `remote:path`.
        child: what only a person can say of the child module.
        out: where its repository goes; None is where it went before, at first a folder in `published/MODEL/` of the
            workspace, named after the title.
        expires: the last day of the link, as an ISO date; empty for none.
        password: of the link; empty for none.
        git: whether the child module becomes a git repository.
    """

    to: str
    child: ChildOptions = dataclasses.field(default_factory=ChildOptions)
    out: Path | None = None
    expires: str = ""
    password: str = dataclasses.field(default="", repr=False)
    git: bool = False


@dataclasses.dataclass(frozen=True)
class Publication:
    """What was done.

    Attributes:
        place: of the archive in the storage, as `remote:path`.
        sent: whether it had to be sent, or was there as it is.
        child: the child module; None where the link has a password.
        remarks: consequences to know of.
    """

    model: str
    archive: Archive
    place: str
    sent: bool
    link: PublicLink
    child: ChildModule | None
    remarks: tuple[str, ...]


def publish(
    bundle: Bundle, workspace: Workspace, options: PublishOptions, progress: Progress = no_progress
) -> Publication:
    """Publish a model; what is done already is found and kept.

    Raises:
        ConfigError, StorageSettingsError: the options, or the settings of the storage, cannot be used.
        ModelDamagedError: the model is not whole.
        StorageError, FetchError: it could not be sent, linked or fetched again; repeating goes on from there.
    """
    place = parse_place(options.to) / f"{bundle.name}{SUFFIX}"
    shared = SharedFiles(webdav_account(place.remote))
    folder = workspace.root / PUBLISHED / bundle.name
    check(options, shared.address, _child_folder(bundle, folder, options))
    storage = open_storage(options.to)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        # Only now: another command may have written it while this one waited.
        out = _child_folder(bundle, folder, options)
        _remove_leftovers(folder, place.name)
        archive = write_archive(bundle, folder / place.name)
        sent = _send(archive, storage, progress)
        link = shared.link(place, options.expires, options.password)
        try:
            if not sent:
                sent = _send_if_another_is_there(link, archive, storage, folder, options.password, progress)
            if sent:
                _prove(link, archive, folder, options.password, progress)
        except StorageDamagedError:
            # Another publish came between: its archive must not stay beside our checksum.
            withdraw_checksum(archive, storage)
            raise
        record = {"place": str(place), "link": link.url, "expires": link.expires, "sha256": archive.sha256}
        # Before the child module: a title given when this is repeated after a kill leads to the folder begun.
        durable.write_json(folder / RECORD, record | {"child": _named_from(folder, out)})
        child = None
        if not link.has_password:
            described = dataclasses.replace(options.child, expires=link.expires)
            child = write_child_module(bundle, link.url, archive.sha256, out, described, options.git)
    return Publication(bundle.name, archive, str(place), sent, link, child, tuple(_remarks(link, options)))


def plan(bundle: Bundle, workspace: Workspace, options: PublishOptions) -> list[str]:
    """What `publish` would do, in sentences; nothing is written or sent.

    Raises:
        ConfigError, StorageSettingsError, ModelDamagedError: as `publish`.
    """
    place = parse_place(options.to) / f"{bundle.name}{SUFFIX}"
    folder = workspace.root / PUBLISHED / bundle.name
    out = _child_folder(bundle, folder, options)
    check(options, SharedFiles(webdav_account(place.remote)).address, out)
    bundle.verify()
    size = sum(record.size for record in bundle.manifest.files.values())
    ends = f"ending on {options.expires}" if options.expires else "without an end"
    secret = "with a password" if options.password else "without a password"
    steps = [
        f"pack {len(bundle.manifest.files)} files, {size:,} bytes, as {folder / place.name}",
        f"send it to {place}, unless it is there as it is",
        f"make a public link to it, {ends} and {secret}, or use the one that is there",
        "fetch it through the link as anybody would, and compare the sha256",
    ]
    steps += [] if options.password else [f"write the repository of the child module: {out}"]
    return [f"{number}. {step}" for number, step in enumerate(steps, start=1)]


def check(options: PublishOptions, address: str, out: Path) -> None:
    """See before anything is sent that all of it can be done.

    Args:
        address: of the Nextcloud, which the link will begin with.
        out: where the child module is to be written.

    Raises:
        ConfigError: the day is over, or a child module cannot be written from these options, or not there.
        StorageSettingsError: no image can be built from a link of this Nextcloud.
    """
    _check_day(options.expires)
    if options.password:
        return
    if not is_safe_address(address):
        raise StorageSettingsError(
            f"{parse_place(options.to).remote}: expected a url with https://HOST and no user in it, for the image of a "
            f"child module is built from public links to it; received {without_credentials(address)!r}. Correct the "
            "url, or give --password-file for a link without a child module."
        )
    check_child_module(out, options.child)


def _check_day(expires: str) -> None:
    if not expires:
        return
    try:
        day = datetime.date.fromisoformat(expires)
    except ValueError as error:
        raise ConfigError(f"expires: expected a day as YYYY-MM-DD, received {expires!r}.") from error
    if day <= datetime.datetime.now(datetime.timezone.utc).date():
        raise ConfigError(f"expires: expected a day to come, received {expires}.")


def _child_folder(bundle: Bundle, folder: Path, options: PublishOptions) -> Path:
    """The folder asked for, else that of the first publication while it is there, else one named after the title."""
    before = _recorded_child(folder)
    if options.out is None and before is not None and before.is_dir():
        return before
    return options.out or folder / slug_of(options.child.about.title or bundle.name)


def _recorded_child(folder: Path) -> Path | None:
    """Where the child module was written before; None where nothing, or nothing of use, tells."""
    try:
        named = json.loads((folder / RECORD).read_text(encoding="utf-8"))["child"]
        return folder / named if named else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _named_from(folder: Path, out: Path) -> str:
    """The path of what is in the folder as from there, so that a workspace can be moved; else the absolute one."""
    inside = out.absolute().is_relative_to(folder.absolute())
    return str(out.absolute().relative_to(folder.absolute()) if inside else out.absolute())


def _send(archive: Archive, storage: Storage, progress: Progress) -> bool:
    """Send the archive and its checksum, unless they are there; whether that was needed."""
    there = storage.entry(archive.path.name)
    if there is not None and there.size == archive.size and sent_checksum(archive, storage) == archive.sha256:
        return False
    send_archive(archive, storage, progress)
    return True


def _send_if_another_is_there(
    link: PublicLink, archive: Archive, storage: Storage, folder: Path, password: str, progress: Progress
) -> bool:
    """Send an archive whose checksum alone is known to be there; whether that was needed."""
    try:
        _prove(link, archive, folder, password, progress)
    except StorageDamagedError:
        send_archive(archive, storage, progress)
        return True
    return False


def _prove(link: PublicLink, archive: Archive, folder: Path, password: str, progress: Progress) -> None:
    """Fetch the archive as anybody would."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=_PROOF) as directory:
        try:
            download(link.url, Path(directory) / archive.path.name, archive.sha256, progress, password)
        except StorageDamagedError as error:
            raise StorageDamagedError(
                f"{error.message} The upload was compared before, so it is the link that answers otherwise: open "
                f"{link.page} in a private window, and see what everybody sees."
            ) from error


def _remarks(link: PublicLink, options: PublishOptions) -> Iterator[str]:
    yield (
        "Everybody who has the link can read all of the model: report.html shows photos it was measured on, and "
        "manifest.json tells where the dataset lay and every option of the training."
    )
    if link.expires:
        set_by = "" if link.expires == options.expires else " (set by the server, or by an earlier link)"
        yield (
            f"The link ends on {link.expires}{set_by}: from then on it answers 404, and the image of the child module "
            "cannot be built any more. Images that were built go on working."
        )
    if link.has_password:
        yield (
            "The link asks for a password, which the hub cannot give: no child module was written. Those who may have "
            f"the model open {link.page}, with the password that you give them by another way, and then: "
            "topgraft import FILE."
        )


def _remove_leftovers(folder: Path, archive: str) -> None:
    """Remove what a publish that was killed has left."""
    for name in (archive, RECORD):
        durable.remove_leftovers(folder / name)
    for proof in folder.glob(f"{_PROOF}*"):
        shutil.rmtree(proof, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else on this machine publishes this model."""
    with open(folder / _LOCK, "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("%s: another command publishes this model; this one goes on after it.", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
