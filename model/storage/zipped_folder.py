"""The files of one folder by one zip, which the server makes; what came whole of a zip that breaks off is not lost."""

import glob
import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from model.files.partial_zip import keep_whole_members
from model.results import Progress
from model.storage.interface import DOWNLOAD, Entry
from model.storage.nextcloud import fetch_zip, may_offer_zip, unpack_zip
from model.storage.places import is_remote, parse_place
from model.storage.settings import remote_settings

_SUFFIX = ".zipped"
# Two headers in the zip, and a last block of the disk that is not full.
_BYTES_BESIDE_EACH = 8192

log = logging.getLogger(__name__)


class ZippedFolder:
    """A folder in a storage, with the files that were listed there: another listing makes another zip of it."""

    def __init__(self, source: str, directory: Path, staging: Path, there: Sequence[Entry]) -> None:
        """Nothing is asked of the server yet.

        Args:
            source: `remote:path`, or a local path, of which there is no zip.
            directory: where the files are to be; the zip is put beside it.
            staging: where they are unpacked to.
            there: the files listed.
        """
        self._source, self._directory, self._staging, self._there = source, directory, staging, there
        text = "\0".join((source, *(f"{entry.name}\0{entry.size}\0{entry.modified}" for entry in there)))
        identity = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]
        self._archive = directory.with_name(f".{directory.name}.{identity}{_SUFFIX}")

    def fetch(self, progress: Progress, size: int) -> bool:
        """Fetch and unpack all of it; False where no zip is offered. One that breaks off is left for `keep_whole`.

        Args:
            size: of what is expected, in bytes, for `progress`.

        Raises:
            StorageError, ArchiveError: refused, or it broke off.
            OSError: it cannot be written, as where the disk is full.
        """
        if not is_remote(self._source) or not may_offer_zip(remote_settings(parse_place(self._source).remote)):
            return False
        place = parse_place(self._source)

        def told(done: int) -> None:
            progress(DOWNLOAD, min(done, size) // 1000, size // 1000)

        if not fetch_zip(place, self._archive, told):
            return False
        unpack_zip(self._archive, place, self._staging)
        self._archive.unlink()
        self._remember_times()
        return True

    def most_bytes(self) -> int:
        """The room that the zip and the files unpacked from it take together, at most."""
        return sum(2 * entry.size + _BYTES_BESIDE_EACH for entry in self._there)

    def keep_whole(self) -> int:
        """Unpack what came whole in a zip that broke off, as far as the disk has room, and remove it; how many files.

        Nothing is raised for a full disk: the zip is what fills it, and without it the rest can be fetched.
        """
        try:
            return self._unpack_whole() if self._archive.is_file() else 0
        finally:
            for left in self._archive.parent.glob(f".{glob.escape(self._directory.name)}.{'[0-9a-f]' * 12}{_SUFFIX}"):
                left.unlink()

    def _unpack_whole(self) -> int:
        shutil.rmtree(self._staging, ignore_errors=True)
        sizes = {entry.name: entry.size for entry in self._there}
        try:
            keep_whole_members(self._archive, sizes, f"{parse_place(self._source).name}/", self._staging)
        except OSError as error:
            log.warning("%s: not all that came of the zip could be unpacked: %s.", self._source, error)
        self._remember_times()
        return sum((self._staging / entry.name).is_file() for entry in self._there)

    def _remember_times(self) -> None:
        """Give the files the times that the storage tells; one that is not as it was listed is removed."""
        for entry in self._there:
            path = self._staging / entry.name
            if path.is_file() and path.stat().st_size == entry.size:
                os.utime(path, (entry.modified, entry.modified))
            else:
                path.unlink(missing_ok=True)
