"""Limits of archives, and the checks of member names and sizes that every archive reader shares."""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import NoReturn, Protocol

from model.errors import ArchiveError, ArchiveTooLargeError
from model.received import quoted

BLOCK = 1 << 20
# Unpacked bytes that any archive may have, whatever its ratio.
_RATIO_ALLOWANCE = 64 * BLOCK


@dataclasses.dataclass(frozen=True)
class ArchiveLimits:
    """Upper limits of what an archive may hold.

    Attributes:
        entries: files and folders.
        total_bytes: unpacked size of all files together.
        entry_bytes: unpacked size of one file.
        ratio: unpacked bytes per byte of the archive, beyond the first 64 MiB; photos stay near 1.
    """

    entries: int = 1_000_000
    total_bytes: int = 256 * 1024**3
    entry_bytes: int = 4 * 1024**3
    ratio: float = 200.0


DATASET_LIMITS = ArchiveLimits()
UPLOAD_LIMITS = ArchiveLimits(entries=1_000, total_bytes=1024**3, entry_bytes=128 * 1024**2)


class Readable(Protocol):
    """A stream of bytes that can be read from."""

    def read(self, length: int, /) -> bytes:
        """Read at most `length` bytes; empty at the end."""


class ByteBudget:
    """Counter of the bytes unpacked from one archive.

    Bytes are counted while they are unpacked, because a header may claim any size.

    Attributes:
        archive_bytes: size of the archive; a stream adds each block when it arrives.
    """

    def __init__(self, label: str, limits: ArchiveLimits, archive_bytes: int = 0) -> None:
        self.archive_bytes = archive_bytes
        self._label = label
        self._limits = limits
        self._unpacked = 0

    @property
    def max_bytes(self) -> int:
        """Bytes that the archive may unpack to."""
        return min(self._limits.total_bytes, int(self._limits.ratio * self.archive_bytes) + _RATIO_ALLOWANCE)

    def blocks(self, name: str, content: Readable) -> Iterator[bytes]:
        """Content of the member `name`, block by block.

        Raises:
            ArchiveTooLargeError: the archive unpacks to more than `max_bytes`.
            ArchiveError: the member is larger than `limits.entry_bytes`.
        """
        length = 0
        while block := content.read(BLOCK):
            length += len(block)
            self._unpacked += len(block)
            if self._unpacked > self.max_bytes:
                raise ArchiveTooLargeError(
                    f"{self._label}: expected at most {self.max_bytes:,} bytes when unpacked, received more, in "
                    f"{quoted(name)}"
                )
            if length > self._limits.entry_bytes:
                raise ArchiveError(
                    f"{self._label}: expected files of at most {self._limits.entry_bytes:,} bytes, {quoted(name)} is "
                    "larger"
                )
            yield block


class MemberNames:
    """Names of the members of one archive; refuses unsafe, repeated and too many names."""

    def __init__(self, label: str, limits: ArchiveLimits) -> None:
        self.label = label
        self.limits = limits
        self._count = 0
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, name: str, is_folder: bool) -> str:
        """The name as a relative path with `/`, safe to join to a folder; empty for the root folder.

        Raises:
            ArchiveTooLargeError: more names than `limits.entries`.
            ArchiveError: the path leads outside, is empty, or occurs twice.
        """
        self._count += 1
        if self._count > self.limits.entries:
            raise ArchiveTooLargeError(
                f"{self.label}: expected at most {self.limits.entries:,} files and folders, found more"
            )
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name) or ".." in parts or "\0" in name:
            self.refuse(name, "its path leads outside")
        if not parts and not is_folder:
            self.refuse(name, "it has no name")
        path = "/".join(parts)
        parents = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if path in self._files or (path in self._folders and not is_folder) or parents & self._files:
            self.refuse(name, "it occurs twice")
        self._folders |= parents | ({path} if is_folder else set())
        if not is_folder:
            self._files.add(path)
        return path

    def refuse(self, name: str, reason: str) -> NoReturn:
        """Raise the ArchiveError for a member that must not be unpacked."""
        raise ArchiveError(f"{self.label}: refused: {quoted(name)}: {reason}. Create the archive again without it")


def unkept_names(names: Iterable[str]) -> list[str]:
    """File names that unpacking would refuse or change.

    Raises:
        ArchiveTooLargeError: more names than an archive may hold.
    """
    known = MemberNames("the archive", DATASET_LIMITS)
    unkept = []
    for name in names:
        try:
            is_kept = known.add(name, is_folder=False) == name
        except ArchiveTooLargeError:
            raise
        except ArchiveError:
            is_kept = False
        if not is_kept:
            unkept.append(name)
    return unkept
