"""Local files of photos by the addresses in a source of labels."""

import base64
import binascii
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from model.addresses import is_url, without_credentials
from model.dataset.image_index import ImageIndex, Search
from model.files.browsing import files_below, has_hidden_part

# What Label Studio writes before the name of an uploaded file.
_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-")
# Parameters of pre-signed addresses of S3, Google Cloud, Azure and others.
_SIGNATURES = ("signature", "token")
_SECRETS = ("sig", "auth", "key", "apikey", "api_key", "jwt")
_RESOLVED = re.compile(r"/(?:tasks|projects)/\d+/resolve/")


class PhotoFiles:
    """The files in a folder, found by the addresses of photos.

    Args:
        folder: folder of the photos; its subfolders are searched, too.
    """

    def __init__(self, folder: Path) -> None:
        names = [path.relative_to(folder).as_posix() for path in files_below(folder)]
        self.folder = folder
        self._index = ImageIndex(name for name in names if not has_hidden_part(name))
        self._by_stored_name = _by_stored_name(self._index.names)

    def find(self, address: str) -> tuple[str, ...]:
        """Files that an address may stand for, relative to the folder: one, none, or several if it is ambiguous."""
        for name in possible_names(address):
            if found := self._index.find(name, Search()):
                return found
        stored = _without_prefix(posixpath.basename(possible_names(address)[0]))
        return tuple(sorted(self._by_stored_name.get(stored, ())))


def possible_names(address: str) -> list[str]:
    """Paths of a photo that an address in an export may stand for, the most probable first.

    Known are uploads of Label Studio (`/data/upload/1/1a2b3c4d-name.jpg`), its local files
    (`/data/local-files/?d=folder/name.jpg`), objects of remote storage (`s3://bucket/name.jpg`, also inside
    `/tasks/1/resolve/?fileuri=...`), pages of other hosts, and plain paths.
    """
    path = source_of(address)
    parts = urlsplit(path) if "://" in path else None
    name = unquote(parts.path).lstrip("/") if parts is not None else path
    # A file name may itself contain % and be written without escapes.
    names = [name, unquote(name)]
    if posixpath.basename(posixpath.dirname(posixpath.dirname(name))) == "upload":
        folder, last = posixpath.split(unquote(name))
        names.append(posixpath.join(folder, _without_prefix(last)))
    return list(dict.fromkeys(names))


def without_signature(address: str) -> str:
    """An address without what grants access to the photo: user and password, and the query if it has a signature.

    Any other query, which may be what names the photo, is kept.
    """
    if not is_url(address):
        return address
    names = [name.lower() for name in parse_qs(urlsplit(address).query, keep_blank_values=True)]
    if any(name.endswith(_SIGNATURES) or name in _SECRETS for name in names):
        return without_credentials(address)
    path, separator, query = address.partition("?")
    return without_credentials(path) + separator + query


def source_of(address: str) -> str:
    """The address that one of Label Studio passes on: an object of remote storage, or a local file; else the same."""
    parts = urlsplit(address)
    query = parse_qs(parts.query)
    if parts.path.rstrip("/").endswith("/data/local-files") and query.get("d"):
        return query["d"][0]
    if _RESOLVED.search(parts.path) and query.get("fileuri"):
        try:
            return base64.b64decode(_padded(query["fileuri"][0]), b"-_", validate=True).decode()
        except (binascii.Error, UnicodeError):
            return address
    return address


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)


def _by_stored_name(names: Iterable[str]) -> dict[str, list[str]]:
    stored: dict[str, list[str]] = defaultdict(list)
    for name in names:
        stored[stored_name(posixpath.basename(name))].append(name)
    return stored


def stored_name(name: str) -> str:
    """Name under which Label Studio stores an uploaded file: blanks become `_`, other signs are left out.

    Its rule is `get_valid_filename` of Django.
    """
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _without_prefix(name: str) -> str:
    return _UPLOAD_PREFIX.sub("", name, count=1)
