"""Download of a Nextcloud folder as one zip: many small files in one response, unpacked while it arrives."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from model.files.streamed_zip import iter_streamed_zip
from model.results import Progress
from model.storage.interface import DOWNLOAD, Entry
from model.storage.places import Place
from model.storage.settings import webdav_account
from model.storage.webdav import refusal, request

_VENDORS = ("nextcloud", "owncloud")
# When an answer breaks off, the block that is being read is lost.
_BLOCK = 1 << 16
_NOT_OFFERED = (400, 404, 405, 406, 415, 501)
_ARRIVING = "arriving"


def may_offer_zip(settings: Mapping[str, str]) -> bool:
    """Whether a remote may offer folders as zips; only its response shows whether it does."""
    return settings.get("type") == "webdav" and settings.get("vendor") in _VENDORS


def fetch_as_zip(
    place: Place,
    listed: Collection[Entry],
    requested: Collection[str],
    path_of: Callable[[str], Path],
    staging: Path,
    progress: Progress,
) -> bool:
    """Download files of a folder as one zip created by the server; return False if the server does not offer it.

    The zip is unpacked while it arrives and never stored. A file is written in `staging` and moved to its path
    when it is whole, so the files that arrived before an interruption are kept.

    Args:
        listed: all files of the folder, by their local names, which are those in the zip.
        requested: names of the files to write.
        path_of: local path of a name.
        staging: folder on the file system of these paths; created if missing.
        progress: called with the phase `download`, in kilobytes.

    Raises:
        StorageError: the request was refused, or the connection was lost.
        ArchiveError: the zip is cut off, damaged or unsafe.
        OSError: a file cannot be written, for example because the disk is full.
    """
    files = {entry.name: entry for entry in listed}
    sizes = {entry.name: entry.size for entry in listed}
    total = sum(sizes.values())
    with _zip_blocks(place) as blocks:
        if blocks is None:
            return False
        counted = _counted(blocks, lambda done: progress(DOWNLOAD, min(done, total) // 1000, total // 1000))
        for name, content in iter_streamed_zip(counted, sizes, f"{place.name}/", f"{place} as a zip"):
            if name in requested:
                _write(path_of(name), content, files[name].modified, staging)
            else:
                for _ in content:
                    pass
    return True


@contextlib.contextmanager
def _zip_blocks(place: Place) -> Iterator[Iterable[bytes] | None]:
    """Content of the zip of a folder, block by block; None if the server does not offer zips."""
    action = f"fetch {place} as a zip"
    with request(
        webdav_account(place.remote), "GET", f"{place.path}/", {"Accept": "application/zip"}, action
    ) as answer:
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code in _NOT_OFFERED or (answer.ok and not kind.startswith("application/zip")):
            yield None
        elif answer.status_code != 200:
            raise refusal(action, answer)
        else:
            yield answer.iter_content(_BLOCK)


def _counted(blocks: Iterable[bytes], report: Callable[[int], object]) -> Iterator[bytes]:
    """Pass blocks through, and call `report` with the number of bytes received so far."""
    length = 0
    for block in blocks:
        length += len(block)
        report(length)
        yield block


def _write(path: Path, content: Iterable[bytes], modified: float, staging: Path) -> None:
    """Write a file atomically, with the modification time of the remote file."""
    staging.mkdir(parents=True, exist_ok=True)
    with open(staging / _ARRIVING, "wb") as stream:
        stream.writelines(content)
    os.utime(staging / _ARRIVING, (modified, modified))
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staging / _ARRIVING, path)
