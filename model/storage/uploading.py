"""Upload of one file to a remote, with its checksum file: what fails leaves both as they were.

1. The content is sent where it does not replace anything: to the folder for chunks of Nextcloud (`in_place.py`), or
   under a temporary name, where it is read back and compared.
2. The checksum file gets a second line: it then lists the previous and the new checksum. A full or locked storage
   refuses this small request before anything is replaced.
3. The content appears at its path, at once. If that fails, the previous checksum file is restored.
4. The checksum file gets its new content: the new checksum alone.
5. Content that was assembled by the server is read back and compared.

So the archive matches a line of its checksum file at every moment, also after a kill. Uploads to the same path from one
machine wait for each other; an upload from another machine is noticed in step 5.
"""

import contextlib
import hashlib
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from model.errors import (
    StorageBusyError,
    StorageDamagedError,
    StorageError,
    StorageNotFoundError,
    StorageUnreachableError,
)
from model.files.checksums import file_sha256
from model.locks import exclusive, warn_unguarded
from model.results import Progress
from model.scratch import scratch_folder
from model.storage import webdav
from model.storage.failures import with_retries
from model.storage.in_place import InPlaceUpload, remove_chunks, replaces_in_place
from model.storage.interface import UPLOAD, VERIFY
from model.storage.listing import entry_of
from model.storage.places import Place
from model.storage.rclone_process import parse_answer, run_rclone, run_with_retries
from model.storage.settings import account_of
from model.workspace import cache_directory

# Not `.part`, which Nextcloud refuses.
_UPLOADING = ".uploading"
_SECONDS_UNTIL_REMOVED = 24 * 3600.0
_UNGUARDED = "Do not upload to the same path from two commands at the same time."
_TRIES = 2
# Two checksums with their file names.
_MAX_CHECKSUM_BYTES = 1 << 16

log = logging.getLogger(__name__)


class Staging(Protocol):
    """An upload in two steps; see the module."""

    def stage(self, source: Path, report: Callable[[int], object]) -> None:
        """Send the content where it does not replace anything; `report` gets the number of bytes sent."""

    def commit(self) -> None:
        """Let the content appear at its path, at once."""

    def discard(self) -> None:
        """Remove what was sent and is not needed."""


def upload_file(
    source: Path, place: Place, settings: Mapping[str, str], progress: Progress, checksum: Path | None = None
) -> None:
    """Upload a file to a path, and its checksum file next to it; replaces existing files.

    Args:
        checksum: local file with the checksum; uploaded under its own name to the folder of `place`.

    Raises:
        StorageError: the upload failed; nothing has changed. StorageDamagedError: see the message.
    """
    with _only_upload(place) as note:
        _remove_killed_upload(place, settings, note)
        _Upload(source, place, settings, progress, checksum, note).run()
    _remove_old_uploads(place)


def _remove_old_uploads(place: Place) -> None:
    """Remove the temporary files of uploads to this path that were killed more than a day ago."""
    left = re.compile(re.escape(f".{place.name}.") + "[0-9a-f]{12}" + re.escape(_UPLOADING))
    try:
        action = f"list {place.parent}"
        rows = parse_answer(run_rclone(action, ["lsjson", "--files-only", str(place.parent)]), action)
    except StorageError as error:
        log.info("temporary files of old uploads could not be listed: %s", error.message)
        return
    for entry in (entry_of(row, row["Path"]) for row in rows):
        if left.fullmatch(entry.name) and entry.modified < time.time() - _SECONDS_UNTIL_REMOVED:
            _remove(place.parent / entry.name)


class _Upload:
    """One upload; its attributes are shared by the steps."""

    def __init__(
        self,
        source: Path,
        place: Place,
        settings: Mapping[str, str],
        progress: Progress,
        checksum: Path | None,
        note: Path | None,
    ) -> None:
        self.source, self.place, self.settings, self.progress = source, place, settings, progress
        self.note = note
        self.checksum = checksum
        self.checksum_place = place.parent / checksum.name if checksum else place
        self.in_place = replaces_in_place(settings)

    def run(self) -> None:
        """Upload, and once more if the content differs after it."""
        for number in range(1, _TRIES + 1):
            self.replace()
            try:
                return self.compare()
            except StorageDamagedError as error:
                if number == _TRIES:
                    raise
                log.warning("%s It is uploaded again.", error.message)

    def replace(self) -> None:
        """Steps 1 to 4."""
        staging = self.staging()
        total = self.source.stat().st_size
        try:
            staging.stage(self.source, lambda done: self.progress(UPLOAD, done // 1000, total // 1000))
            with self.new_checksum():
                staging.commit()
        except BaseException:
            with contextlib.suppress(StorageError):
                staging.discard()
            raise

    def staging(self) -> Staging:
        """Way to upload to this kind of storage."""
        if not self.in_place:
            return _TemporaryFile(self.place, self.settings, self.progress, self.note)
        action = f"upload {self.source} to {self.place}"
        account = account_of(self.place.remote, self.settings)
        if not with_retries(lambda: webdav.exists(account, self.place.parent.path, action)):
            run_with_retries(f"make the folder {self.place.parent}", ["mkdir", str(self.place.parent)])
        upload = InPlaceUpload(account, self.settings, self.place.path, action)
        _write_note(self.note, upload.chunk_folder)
        return upload

    @contextlib.contextmanager
    def new_checksum(self) -> Iterator[None]:
        """Replace the checksum file, which lists both checksums in the block; restore it if the block fails."""
        if self.checksum is None:
            yield
            return
        previous, new = self.read_checksum(), self.checksum.read_bytes()
        self.write_checksum((previous or b"") + new)
        try:
            yield
        except BaseException:
            self.restore_checksum(previous)
            raise
        if previous is not None:
            self.write_final_checksum(new)

    def write_final_checksum(self, content: bytes) -> None:
        """Write the checksum file after the archive was replaced: no error, because it lists the checksum already."""
        try:
            self.write_checksum(content)
        except StorageError as error:
            log.warning("%s still lists the previous checksum, too: %s", self.checksum_place, error.message)

    def restore_checksum(self, previous: bytes | None) -> None:
        """Restore the checksum file after an error, which is what the caller reports."""
        try:
            if previous is not None:
                self.write_checksum(previous)
            else:
                run_with_retries(f"delete {self.checksum_place}", ["deletefile", str(self.checksum_place)])
        except StorageError as error:
            log.error("%s could not be restored: %s Upload again.", self.checksum_place, error.message)

    def read_checksum(self) -> bytes | None:
        """Content of the remote checksum file; None if there is none."""
        place, action = self.checksum_place, f"read {self.checksum_place}"
        limit = _MAX_CHECKSUM_BYTES + 1
        if self.settings["type"] == "webdav":
            account = account_of(self.place.remote, self.settings)
            content = with_retries(lambda: webdav.read(account, place.path, action, limit))
        else:
            try:
                content = run_with_retries(action, ["cat", "--head", str(limit), str(place)])
            except StorageNotFoundError:
                return None
        if content is not None and len(content) > _MAX_CHECKSUM_BYTES:
            raise StorageError(
                f"{place}: expected a checksum file of at most {_MAX_CHECKSUM_BYTES:,} bytes, found a larger file. "
                "Remove it, or choose another name."
            )
        return content

    def write_checksum(self, content: bytes) -> None:
        """Replace the checksum file by one request, which changes nothing if it fails."""
        action = f"upload {self.checksum_place}"
        if self.settings["type"] == "webdav":
            # rclone deletes the destination of a request that fails.
            account = account_of(self.place.remote, self.settings)
            url = webdav.address_of(account, self.checksum_place.path)
            with_retries(lambda: webdav.send(account, "PUT", url, action, {}, content))
            return
        with scratch_folder("checksum") as directory:
            local = directory / self.checksum_place.name
            local.write_bytes(content)
            run_with_retries(action, ["copyto", "--ignore-times", str(local), str(self.checksum_place)])

    def compare(self) -> None:
        """Step 5. If the server cannot be read now, the upload is complete by its answers, and a warning says so."""
        try:
            if self.in_place:
                compare(self.source, self.place, self.progress)
            if self.checksum is not None and self.checksum.read_bytes() not in (self.read_checksum() or b""):
                raise StorageDamagedError(f"{self.checksum_place}: another upload has replaced it in the meantime.")
        except (StorageBusyError, StorageUnreachableError) as error:
            log.warning(
                "%s is uploaded and was confirmed by the server, but could not be read back to compare it: %s",
                *(self.place, error.message),
            )


class _TemporaryFile:
    """`Staging` under a temporary name in the same folder, which is read back before it is renamed."""

    def __init__(self, place: Place, settings: Mapping[str, str], progress: Progress, note: Path | None) -> None:
        self._place, self._settings, self._progress = place, settings, progress
        self._temporary = place.parent / f".{place.name}.{uuid.uuid4().hex[:12]}{_UPLOADING}"
        _write_note(note, self._temporary.name)

    def stage(self, source: Path, report: Callable[[int], object]) -> None:
        arguments = ["copyto", "--no-check-dest", str(source.absolute()), str(self._temporary)]
        action = f"upload {source} to {self._place.parent}"
        run_with_retries(action, arguments, report=lambda statistics: report(statistics.get("bytes", 0)))
        compare(source, self._temporary, self._progress)

    def commit(self) -> None:
        rename(self._temporary, self._place, self._settings)

    def discard(self) -> None:
        _remove(self._temporary)


def rename(place: Place, new_place: Place, settings: Mapping[str, str]) -> None:
    """Rename a file; an existing file of the new name is replaced."""
    action = f"move {place} to {new_place}"
    if settings["type"] == "webdav":
        account = account_of(place.remote, settings)
        with_retries(lambda: webdav.move_over(account, place.path, new_place.path, action))
    else:
        run_with_retries(action, ["moveto", "--ignore-times", str(place), str(new_place)])


def compare(source: Path, uploaded: Place, progress: Progress) -> None:
    """Read back an uploaded file; a checksum from the server may be only the one that was sent to it.

    Raises:
        StorageDamagedError: its content differs from that of `source`.
    """
    digest = hashlib.sha256()
    read, total = 0, source.stat().st_size

    def take(block: bytes) -> None:
        nonlocal read
        digest.update(block)
        read += len(block)
        progress(VERIFY, read // 1000, total // 1000)

    def read_back() -> None:
        nonlocal digest, read
        digest, read = hashlib.sha256(), 0
        run_rclone(f"read back {uploaded}", ["cat", str(uploaded)], take=take)

    with_retries(read_back)
    if digest.hexdigest() != file_sha256(source):
        raise StorageDamagedError(
            f"{uploaded}: expected the content of {source} (sha256), received other content after the upload, which "
            "was damaged on the way or replaced by another upload. Try again."
        )


def _remove(place: Place) -> None:
    try:
        run_rclone(f"delete {place}", ["deletefile", str(place)])
    except StorageNotFoundError:
        return
    except StorageError as error:
        log.info("%s could not be removed: %s", place, error.message)


def _write_note(note: Path | None, name: str) -> None:
    """Note in the lock file what a kill would leave on the server: the temporary file, or the folder of chunks."""
    if note is not None:
        note.write_text(name, encoding="utf-8")


def _remove_killed_upload(place: Place, settings: Mapping[str, str], note: Path | None) -> None:
    """Remove what an upload from this machine that was killed has left; its name is in the lock file."""
    name = note.read_text(encoding="utf-8", errors="replace") if note is not None else ""
    if not name:
        return
    if name.startswith(f".{place.name}.") and name.endswith(_UPLOADING) and "/" not in name:
        _remove(place.parent / name)
    elif settings["type"] == "webdav":
        try:
            remove_chunks(account_of(place.remote, settings), name, f"upload to {place}: remove old chunks")
        except StorageError as error:
            log.info("the chunks of a killed upload could not be removed: %s", error.message)
    _write_note(note, "")


@contextlib.contextmanager
def _only_upload(place: Place) -> Iterator[Path | None]:
    """Lock a remote path against other uploads from this machine, after waiting for one that runs.

    Yields:
        The lock file, which the upload may write to; None if it cannot be locked.
    """
    name = hashlib.sha256(str(place).encode()).hexdigest()[:32]
    path = cache_directory() / "uploads" / f"{name}.lock"
    with contextlib.ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(exclusive(path, _UNGUARDED, message=f"Waiting for another upload to {place}."))
            note: Path | None = path
        except OSError as error:
            warn_unguarded(path.parent, error, _UNGUARDED)
            note = None
        yield note
