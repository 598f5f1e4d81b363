"""What every storage can do, and what it says of the things in it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from model.results import Progress, no_progress

DOWNLOAD, UPLOAD, VERIFY = "download", "upload", "verify"
"""The phases that a `Progress` is told of, in kilobytes."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file or a folder in a storage.

    Attributes:
        name: its path below what was asked for, with `/`; empty for that itself.
        size: bytes; 0 for a folder.
        modified: seconds since 1970, as the storage tells them; for a folder 0.
        is_folder: whether it is a folder.
        hashes: what the storage knows of its content: name of the sum (`md5`, `sha1`) -> hexadecimal digits.
    """

    name: str
    size: int
    modified: float
    is_folder: bool = False
    hashes: dict[str, str] = dataclasses.field(default_factory=dict)


class Storage(Protocol):
    """A folder on this machine or in a storage; `name` is a path below it, with `/`, and empty for itself.

    Every method may raise a class of `model.errors.StorageError`: StorageSettingsError, StorageRefusedError,
    StorageNotFoundError, StorageFullError, StorageBusyError, StorageUnreachableError, StorageDamagedError. What may
    pass by itself was tried again before.
    """

    def place(self, name: str = "") -> str:
        """`name` as a person types it: `remote:path`, or a local path."""

    def entry(self, name: str = "") -> Entry | None:
        """What is there under that name; None where there is nothing."""

    def exists(self, name: str = "") -> bool:
        """Whether something is there under that name."""

    def list(self, name: str = "") -> list[Entry]:
        """All files below a folder, at any depth, by name; their names are relative to it. Folders are left out."""

    def space(self) -> int | None:
        """Free bytes; None where the storage does not say."""

    def fetch(self, name: str, destination: Path, progress: Progress = no_progress, entry: Entry | None = None) -> None:
        """Bring a file to the path `destination`, or the files of a folder into the folder `destination`.

        Files appear whole, one by one; what was fetched before an interruption is not fetched again; nothing in
        `destination` is deleted.

        Args:
            progress: told of the phase `download`.
            entry: what `self.entry(name)` has just told, where that is known; saves asking again.
        """

    def push(
        self,
        source: Path,
        name: str,
        progress: Progress = no_progress,
        before_replacing: Callable[[], None] | None = None,
    ) -> None:
        """Put a file, or the files of a folder, under `name`.

        A file is sent under a name of its own, read back, compared, and only then put in place of what was there; a
        folder appears file by file, each whole.

        Args:
            progress: told of the phases `upload` and `verify`.
            before_replacing: called when a file is there whole, right before it is put in place.
        """

    def move(self, name: str, new_name: str) -> None:
        """Give a file another name, in place of what was there."""

    def remove(self, name: str) -> None:
        """Delete a file, where there is one."""
