"""A folder of a Nextcloud as one zip: thousands of small files in one answer."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from model.files.archives import unpack_archive
from model.storage.places import Place
from model.storage.settings import webdav_account
from model.storage.webdav import refusal, request

_VENDORS = ("nextcloud", "owncloud")
# Of an answer that breaks off, the block that is being read is lost.
_BLOCK = 1 << 16
_NOT_OFFERED = (400, 404, 405, 406, 415, 501)


def may_offer_zip(settings: Mapping[str, str]) -> bool:
    """Whether a remote is of a kind that hands out folders as zips; whether it really does, only asking tells."""
    return settings.get("type") == "webdav" and settings.get("vendor") in _VENDORS


def fetch_zip(place: Place, target: Path, told: Callable[[int], object]) -> bool:
    """Fetch a folder as a zip into the file `target`; False where the server does not offer that.

    Args:
        told: called with the number of bytes so far.

    Raises:
        StorageError: refused, or it broke off.
    """
    doing = f"fetch {place} as a zip"
    with request(webdav_account(place.remote), "GET", f"{place.path}/", {"Accept": "application/zip"}, doing) as answer:
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code in _NOT_OFFERED or (answer.ok and not kind.startswith("application/zip")):
            return False
        if answer.status_code != 200:
            raise refusal(doing, answer)
        length = 0
        with open(target, "wb") as stream:
            for block in answer.iter_content(_BLOCK):
                stream.write(block)
                length += len(block)
                told(length)
    return True


def unpack_zip(archive: Path, place: Place, directory: Path) -> Path:
    """Unpack such a zip, whose names begin with that of the folder, so that `directory` is the folder.

    Raises:
        ArchiveError: it is cut short, damaged or unsafe.
    """
    unpacked = unpack_archive(archive, directory)
    inner = unpacked / place.name
    if place.path and [entry.name for entry in unpacked.iterdir()] == [place.name] and inner.is_dir():
        aside = directory.with_name(f"{directory.name}.inner")
        # One that was killed between the two renames has left it.
        shutil.rmtree(aside, ignore_errors=True)
        inner.rename(aside)
        shutil.rmtree(unpacked)
        aside.rename(directory)
    return directory
