"""Files that have arrived whole: each is checked with the decoder of trainings; archives are unpacked first."""

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model.curation.names import class_of_path, file_name
from model.curation.thumbnails import thumbnail
from model.dataset.image_files import is_image
from model.errors import ArchiveError, ImageError
from model.files.archive_limits import DATASET_LIMITS
from model.files.archives import is_archive, unpack_archive
from model.files.browsing import files_below, has_hidden_part
from model.resources import available_processors
from model.shown import printable


@dataclasses.dataclass(frozen=True)
class Refused:
    """A file that was not put into a dataset, and the reason."""

    path: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A file that has arrived.

    Attributes:
        position: its position in the plan of the upload, or that of the archive that contained it.
        path: its path as the client named it.
        file: where it is now.
        class_name: its class; empty for an unlabelled photo.
        name: its name in the dataset.
        reason: why it is no photo that can be used; empty for a good one.
    """

    position: int
    path: str
    file: Path
    class_name: str
    name: str
    reason: str = ""


def arrivals_of(
    parts: Sequence[tuple[int, str, Path]], folder: Path, class_name: str | None, room: Callable[[], int]
) -> Iterator[Arrival]:
    """Check files, in threads; a good one is on disk (fsync) then, and its thumbnail in the cache.

    Args:
        parts: position, path and file of each.
        folder: where archives are unpacked.
        class_name: class of all files; None: their folders name it.
        room: returns how many bytes an archive may unpack to.
    """
    files: list[Arrival] = []
    for position, path, file in parts:
        if is_archive(file) and not is_image(file):
            yield from _members(position, path, file, folder / f"{position}-unpacked", class_name, room(), files)
        else:
            files.append(_arrival(position, path, file, class_name))
    with ThreadPoolExecutor(available_processors()) as threads:
        yield from threads.map(_checked, files)


def _members(
    position: int,
    path: str,
    file: Path,
    unpacked: Path,
    class_name: str | None,
    max_bytes: int,
    files: list[Arrival],
) -> Iterator[Arrival]:
    """Unpack an archive and add its files to `files`; yield the archive as refused if it cannot be unpacked."""
    shutil.rmtree(unpacked, ignore_errors=True)
    limits = dataclasses.replace(DATASET_LIMITS, total_bytes=min(DATASET_LIMITS.total_bytes, max_bytes))
    try:
        unpack_archive(file, unpacked, limits)
    except ArchiveError as error:
        reason = error.message.replace(str(file), printable(path)).replace(str(unpacked), "the dataset")
        yield Arrival(position, path, file, "", "", reason)
        return
    found = 0
    for member in files_below(unpacked):
        name = member.relative_to(unpacked).as_posix()
        if not has_hidden_part(name):
            found += 1
            files.append(_arrival(position, f"{path}/{name}", member, class_name, name))
    if not found:
        yield Arrival(position, path, file, "", "", "expected an archive with photos, found no file in it")


def _arrival(position: int, path: str, file: Path, class_name: str | None, inside: str = "") -> Arrival:
    name = class_of_path(inside or path) if class_name is None else class_name
    return Arrival(position, path, file, name, file_name(path))


def _checked(arrival: Arrival) -> Arrival:
    try:
        thumbnail(arrival.file)
    except ImageError as error:
        return dataclasses.replace(arrival, reason=error.message)
    with open(arrival.file, "rb") as stream:
        os.fsync(stream.fileno())
    return arrival
