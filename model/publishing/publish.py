"""Publishing a trained model: archive, upload, public link, check of the link, child module.

`publish` and `plan` walk the same list of steps.
"""

import dataclasses
import datetime
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from model import durable
from model.bundle import Bundle
from model.errors import ConfigError, StorageDamagedError, StorageSettingsError
from model.locks import exclusive
from model.provenance import utc_today
from model.publishing.archive import SUFFIX, Archive, rename_archive, write_archive
from model.publishing.child_module import ChildModule, check_child_module, slug_of, write_child_module
from model.publishing.child_options import ChildOptions, is_safe_address
from model.publishing.public_link import PublicLink, SharedFiles
from model.publishing.record import RECORD, PublicationRecord, publication_folder, read_record, write_record
from model.publishing.upload import (
    has_other_published,
    require_space_for,
    send_archive,
    sent_checksum,
    withdraw_checksum,
)
from model.received import quoted
from model.results import Progress, no_progress
from model.shown import counted
from model.storage import Place, open_storage, parse_place, webdav_account
from model.storage.download import download
from model.workspace import Workspace

_LOCK = ".lock"
_PROOF = ".proof-"
# Of the sha256, in the name of a version.
_DIGITS = 8
_UNGUARDED = "Do not publish the same model from two commands at the same time."

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PublishOptions:
    """Options of publishing.

    Attributes:
        to: folder in a Nextcloud, as `remote:path`.
        child: options of the child module.
        out: folder of the child module; None: the folder of the previous publication, or one named after the title
            in `published/MODEL/` of the workspace.
        expires: last day of the link, as an ISO date; empty: the link does not expire.
        password: password of the link; empty: none.
        git: whether the child module becomes a git repository.
        replace: whether an archive that was published before with other content is replaced, rather than kept.
    """

    to: str
    child: ChildOptions = dataclasses.field(default_factory=ChildOptions)
    out: Path | None = None
    expires: str = ""
    password: str = dataclasses.field(default="", repr=False)
    git: bool = False
    replace: bool = False


@dataclasses.dataclass(frozen=True)
class Publication:
    """Result of publishing.

    Attributes:
        place: path of the archive in the remote storage, as `remote:path`.
        sent: whether the archive had to be uploaded; False if the same archive was there.
        child: the child module; None if the link has a password.
        remarks: consequences that the user should know.
    """

    model: str
    archive: Archive
    place: str
    sent: bool
    link: PublicLink
    child: ChildModule | None
    remarks: tuple[str, ...]


def publish(
    bundle: Bundle,
    workspace: Workspace,
    options: PublishOptions,
    progress: Progress = no_progress,
    on_step: Callable[[int], object] = lambda number: None,
) -> Publication:
    """Publish a model: pack, upload, link, check the link, write the child module.

    Each step first checks whether it is done, so publishing can be repeated after any failure.

    Args:
        on_step: called before each step with its number in `plan`, from 1.

    Raises:
        ConfigError, StorageSettingsError: the options, or the settings of the remote storage, cannot be used.
        ModelDamagedError: files of the model are missing or have changed.
        StorageError, FetchError: the archive could not be uploaded, linked or downloaded again.
    """
    run = _Run(bundle, workspace, options, progress)
    run.check()
    run.folder.mkdir(parents=True, exist_ok=True)
    with _lock(run.folder):
        # Only now: another command may have written a child module while this one waited.
        run.out = _child_folder(bundle, run.folder, options)
        _remove_leftovers(run.folder, run.place.name)
        for number, step in enumerate(STEPS, start=1):
            on_step(number)
            step.run(run)
    return run.publication()


def plan(bundle: Bundle, workspace: Workspace, options: PublishOptions) -> list[str]:
    """Numbered descriptions of the steps of `publish`; nothing is written or sent.

    Raises:
        ConfigError, StorageSettingsError, ModelDamagedError: as `publish`.
    """
    run = _Run(bundle, workspace, options, no_progress)
    run.check()
    bundle.verify()
    described = [step.describe(run) for step in STEPS if step.is_needed(options)]
    return [f"{number}. {text}" for number, text in enumerate(described, start=1)]


class _Run:
    """State of one publication, shared by its steps.

    Attributes:
        place: path of the archive in the remote storage.
        folder: `published/MODEL/` of the workspace.
        out: folder of the child module.
        sent: whether the archive had to be uploaded.
        previous: path of an archive with other content that was published before, if any.
    """

    archive: Archive
    link: PublicLink

    def __init__(self, bundle: Bundle, workspace: Workspace, options: PublishOptions, progress: Progress) -> None:
        self.bundle, self.options, self.progress = bundle, options, progress
        self.place = parse_place(options.to) / f"{bundle.name}{SUFFIX}"
        self.shared = SharedFiles(webdav_account(self.place.remote))
        self.folder = publication_folder(workspace, bundle.name)
        self.out = _child_folder(bundle, self.folder, options)
        self.sent = False
        self.previous: Place | None = None
        self.child: ChildModule | None = None

    def check(self) -> None:
        """Check before anything is sent that every step can be done; see `check`."""
        check(self.options, self.shared.address, self.out)
        self.storage = open_storage(self.options.to)

    def describe_packing(self) -> str:
        files, size = len(self.bundle.manifest.files), self.bundle.size
        return f"pack {counted(files, 'file')}, {size:,} bytes, into {self.folder / self.place.name}"

    def pack(self) -> None:
        """Write the archive, if the server answers and has space; the same model gives the same bytes."""
        require_space_for(self.bundle, self.storage)
        self.archive = write_archive(self.bundle, self.folder / self.place.name)

    def describe_upload(self) -> str:
        if self.options.replace:
            return f"upload it to {self.place}, replacing a previous version, unless the same archive is there"
        return (
            f"upload it to {self.place}, unless the same archive is there; a previous version with a public link is "
            f"kept, and this one is called {self.bundle.name}-SHA256{SUFFIX}"
        )

    def upload(self) -> None:
        """Upload the archive and its checksum, unless they are there.

        A previous version with a public link is kept unless `replace` is set: the Dockerfile of a child module in the
        hub pins its sha256.
        """
        if self._is_sent():
            return
        if has_other_published(self.archive, self.options.to, self.storage):
            self.previous = self.place
            if not self.options.replace:
                name = f"{self.bundle.name}-{self.archive.sha256[:_DIGITS]}{SUFFIX}"
                self.archive = rename_archive(self.archive, name)
                self.place = self.place.parent / name
                if self._is_sent():
                    return
        self._send()

    def _is_sent(self) -> bool:
        entry = self.storage.entry(self.archive.path.name)
        is_same_size = entry is not None and entry.size == self.archive.size
        return is_same_size and sent_checksum(self.archive, self.storage) == self.archive.sha256

    def describe_link(self) -> str:
        expires = f"expiring on {self.options.expires}" if self.options.expires else "without an expiry date"
        password = "with a password" if self.options.password else "without a password"
        return f"create a public link to it, {expires} and {password}, or use the existing one"

    def make_link(self) -> None:
        """Create the public link, or find the existing one."""
        self.link = self.shared.link(self.place, self.options.expires, self.options.password)

    def describe_check(self) -> str:
        return "download it through the link, as anyone would, and compare the sha256"

    def check_link(self) -> None:
        """Download the archive through the link; upload it again if only its checksum was the same."""
        try:
            if not self.sent:
                try:
                    self._download()
                except StorageDamagedError:
                    self._send()
            if self.sent:
                self._download()
        except StorageDamagedError:
            # Another publication has replaced the archive: the checksum of this one must not stay next to it.
            withdraw_checksum(self.archive, self.storage)
            raise
        link, child = self.link, _named_from(self.folder, self.out)
        # Written before the child module, so that a repetition after a kill continues in the same folder.
        record = PublicationRecord(str(self.place), link.url, link.expires, self.archive.sha256, child)
        write_record(self.folder, record)

    def describe_child_module(self) -> str:
        return f"write the repository of the child module: {self.out}"

    def write_child_module(self) -> None:
        """Write the repository of the child module; the hub cannot open a link with a password."""
        if not self.link.has_password:
            described = dataclasses.replace(self.options.child, expires=self.link.expires)
            self.child = write_child_module(
                self.bundle, self.link.url, self.archive.sha256, self.out, described, self.options.git
            )

    def publication(self) -> Publication:
        """Result of all steps."""
        remarks = (*_version_remarks(self.previous, self.options), *_remarks(self.link, self.options))
        return Publication(self.bundle.name, self.archive, str(self.place), self.sent, self.link, self.child, remarks)

    def _send(self) -> None:
        send_archive(self.archive, self.storage, self.progress)
        self.sent = True

    def _download(self) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=_PROOF) as directory:
            path = Path(directory) / self.archive.path.name
            try:
                download(self.link.url, path, self.archive.sha256, self.progress, self.options.password)
            except StorageDamagedError as error:
                raise StorageDamagedError(
                    f"{error.message} The upload was verified before, so the link serves something else: open "
                    f"{self.link.page} in a private window and check what visitors see."
                ) from error


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of publishing: its description for `plan`, its action for `publish`, and the options that need it."""

    describe: Callable[[_Run], str]
    run: Callable[[_Run], None]
    is_needed: Callable[[PublishOptions], bool] = lambda options: True


STEPS = (
    Step(_Run.describe_packing, _Run.pack),
    Step(_Run.describe_upload, _Run.upload),
    Step(_Run.describe_link, _Run.make_link),
    Step(_Run.describe_check, _Run.check_link),
    Step(_Run.describe_child_module, _Run.write_child_module, lambda options: not options.password),
)


def check(options: PublishOptions, address: str, out: Path) -> None:
    """Check the options before anything is sent.

    Args:
        address: address of the Nextcloud, with which the link will begin.
        out: folder of the child module.

    Raises:
        ConfigError: the expiry date has passed, or the options or the folder of the child module cannot be used.
        StorageSettingsError: an image cannot be built from links of this Nextcloud.
    """
    _check_day(options.expires)
    if options.password:
        return
    if not is_safe_address(address):
        raise StorageSettingsError(
            f"{parse_place(options.to).remote}: expected a url with https://HOST and without a user, because the image "
            f"of a child module is built from public links to it; received {quoted(address)}. Correct "
            "the url, or use --password-file for a link without a child module."
        )
    check_child_module(out, options.child)


def _check_day(expires: str) -> None:
    if not expires:
        return
    try:
        day = datetime.date.fromisoformat(expires)
    except ValueError as error:
        raise ConfigError(f"expires: expected a day as YYYY-MM-DD, received {quoted(expires)}.") from error
    if day.isoformat() <= utc_today():
        raise ConfigError(f"expires: expected a future day, received {expires}.")


def _child_folder(bundle: Bundle, folder: Path, options: PublishOptions) -> Path:
    """Folder of the child module: the requested one, that of the previous publication, or one named after the title."""
    before = _recorded_child(folder)
    if options.out is None and before is not None and before.is_dir():
        return before
    return options.out or folder / slug_of(options.child.about.title or bundle.name)


def _recorded_child(folder: Path) -> Path | None:
    """Folder of the child module of the previous publication; None if none is recorded."""
    record = read_record(folder)
    return folder / record.child if record is not None and record.child else None


def _named_from(folder: Path, out: Path) -> str:
    """Path relative to the folder if it is inside, so that a workspace can be moved; otherwise absolute."""
    inside = out.absolute().is_relative_to(folder.absolute())
    return str(out.absolute().relative_to(folder.absolute()) if inside else out.absolute())


def _version_remarks(previous: Place | None, options: PublishOptions) -> Iterator[str]:
    if previous is None:
        return
    if options.replace:
        yield (
            f"WARNING: {previous} was replaced. Its link now serves this version, so images of child modules that pin "
            "the previous sha256 can no longer be built. Push the updated child module to the hub. Images built before "
            "keep working."
        )
    else:
        yield (
            f"{previous} was published before with another version and is kept: its link and the child modules that "
            "pin it stay valid. This version has a file and a link of its own. Delete the previous file when no module "
            "uses it."
        )


def _remarks(link: PublicLink, options: PublishOptions) -> Iterator[str]:
    yield (
        "Anyone with the link can read the whole model: report.html shows photos of the dataset, and manifest.json "
        "contains the path of the dataset and every option of the training."
    )
    if link.expires:
        set_by = "" if link.expires == options.expires else " (set by the server, or by an earlier link)"
        yield (
            f"The link expires on {link.expires}{set_by}: after that it returns 404, and the image of the child module "
            "can no longer be built. Images built before keep working."
        )
    if link.has_password:
        yield (
            "The link has a password, which the hub cannot enter: no child module was written. To use the model, open "
            f"{link.page}, enter the password (share it separately), download the file, then run: topgraft import FILE."
        )


def _remove_leftovers(folder: Path, archive: str) -> None:
    """Remove temporary files of a publication that was killed."""
    for name in (archive, RECORD):
        durable.remove_leftovers(folder / name)
    for proof in folder.glob(f"{_PROOF}*"):
        shutil.rmtree(proof, ignore_errors=True)


def _lock(folder: Path) -> AbstractContextManager[None]:
    """Wait until no other process of this machine publishes this model."""
    message = f"{folder}: another command publishes this model; this one starts after it."
    return exclusive(folder / _LOCK, _UNGUARDED, message=message)
