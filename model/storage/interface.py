"""Interface of storage, local or remote, and its entries."""

import dataclasses
from pathlib import Path
from typing import Protocol

from model.results import Progress, no_progress

DOWNLOAD, UPLOAD, VERIFY = "download", "upload", "verify"
"""Phases that a `Progress` is called with, in kilobytes."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file or a folder.

    Attributes:
        name: path relative to the listed folder, with `/`; empty for that folder or file itself.
        size: bytes; 0 for a folder.
        modified: time of the last change in seconds since 1970; 0 for a folder.
        is_folder: whether it is a folder.
        hashes: checksums that the storage knows: algorithm (`md5`, `sha1`) -> hexadecimal digits.
    """

    name: str
    size: int
    modified: float
    is_folder: bool = False
    hashes: dict[str, str] = dataclasses.field(default_factory=dict)


class Storage(Protocol):
    """A local or remote folder; `name` is a path below it, with `/`, and empty for the folder itself.

    Every method may raise a subclass of `model.errors.StorageError`: StorageSettingsError, StorageRefusedError,
    StorageNotFoundError, StorageFullError, StorageBusyError, StorageUnreachableError, StorageDamagedError. Temporary
    failures are retried before.
    """

    def place(self, name: str = "") -> str:
        """Path as the user writes it: `remote:path`, or a local path."""

    def entry(self, name: str = "") -> Entry | None:
        """The file or folder of that name; None if there is none."""

    def exists(self, name: str = "") -> bool:
        """Whether there is a file or folder of that name."""

    def list(self, name: str = "") -> list[Entry]:
        """All files below a folder, at any depth, sorted by name; their names are relative to it. Without folders."""

    def space(self) -> int | None:
        """Free bytes; None if the storage does not report them."""

    def fetch(self, name: str, destination: Path, progress: Progress = no_progress, entry: Entry | None = None) -> None:
        """Download a file to the path `destination`, or the files of a folder into the folder `destination`.

        Files appear whole, one by one. Files fetched before an interruption are not fetched again, and nothing in
        `destination` is deleted.

        Args:
            progress: called with the phase `download`.
            entry: result of `self.entry(name)` if known, which saves a request.
        """

    def beginning(self, name: str, count: int) -> bytes:
        """The first bytes of a file, at most `count`."""

    def require_space(self, size: int) -> None:
        """Check, before the work for an upload, that the storage answers this user and has space for so many bytes.

        Raises:
            StorageFullError: it reports less space. Other StorageErrors as all methods.
        """

    def push(self, source: Path, name: str, progress: Progress = no_progress, checksum: Path | None = None) -> None:
        """Upload a file, or the files of a folder, to `name`.

        A file is compared after the upload and replaces an existing one at once; after an error the existing one is
        unchanged. Its public link stays valid. A folder appears file by file, each whole.

        Args:
            progress: called with the phases `upload` and `verify`.
            checksum: local file with the checksum of `source`, uploaded next to it under its own name; both are
                replaced, or neither.
        """

    def move(self, name: str, new_name: str) -> None:
        """Rename a file; an existing file of the new name is replaced."""

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
