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
# Parameters that a signature is made with: they change whenever an address is signed again.
_SIGNED_WITH = ("x-amz-", "x-goog-", "x-oss-", "q-")
_SIGNED_BY = (
    *("expires", "policy", "key-pair-id", "accesskeyid", "awsaccesskeyid", "ossaccesskeyid", "googleaccessid"),
    *("sv", "st", "se", "sr", "sp", "sip", "spr", "ss", "srt", "sdd"),
    *("skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid"),
)
OBJECT_ADDRESSES = ("s3://", "gs://", "azure-blob://")
"""Beginnings of the addresses of objects in remote storage, whose keys are written as they are, without escapes."""
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
        names = possible_names(address)
        upload = _name_of_upload(names[0])
        found: tuple[str, ...] = ()
        for name in names:
            if found := self._index.find(name, Search()):
                break
        if found and name != upload:
            return found
        # The name of an upload may be that of a file, and the stored name of others.
        stored = posixpath.basename(upload) or _without_prefix(posixpath.basename(names[0]))
        return tuple(sorted({*found, *self._by_stored_name.get(stored, ())}))


def possible_names(address: str) -> list[str]:
    """Paths of a photo that an address in an export may stand for, the most probable first.

    Known are uploads of Label Studio (`/data/upload/1/1a2b3c4d-name.jpg`), its local files
    (`/data/local-files/?d=folder/name.jpg`), objects of remote storage (`s3://bucket/name.jpg`, also inside
    `/tasks/1/resolve/?fileuri=...`), pages of other hosts, and plain paths.
    """
    name = path_of(address)
    # A file name may itself contain % and be written without escapes.
    names = [name, unquote(name)]
    if upload := _name_of_upload(name):
        names.append(upload)
    return list(dict.fromkeys(names))


def path_of(address: str) -> str:
    """Path of a photo in its address: the key of an object, the path of a URL without escapes, else the address."""
    source = source_of(address)
    if source.startswith(OBJECT_ADDRESSES):
        return source.partition("://")[2].partition("/")[2]
    return unquote(urlsplit(source).path).lstrip("/") if "://" in source else source


def _name_of_upload(name: str) -> str:
    """Path of a file uploaded to Label Studio, without what is written before its name; empty if it is no upload."""
    folder, last = posixpath.split(unquote(name))
    is_upload = posixpath.basename(posixpath.dirname(folder)) == "upload"
    return posixpath.join(folder, _without_prefix(last)) if is_upload else ""


def without_signature(address: str) -> str:
    """An address without what grants access to the photo: user and password, and a signature or token in its query.

    All else of the query, which may be what names the photo, is kept.
    """
    if not is_url(address):
        return address
    path, separator, query = address.partition("?")
    parameters = query.partition("#")[0].split("&")
    names = [unquote(parameter.partition("=")[0]).lower() for parameter in parameters]
    if not any(map(_is_secret, names)):
        return without_credentials(path) + separator + query
    kept = [
        parameter
        for name, parameter in zip(names, parameters, strict=True)
        if not (_is_secret(name) or name.startswith(_SIGNED_WITH) or name in _SIGNED_BY)
    ]
    shown = without_credentials(address)
    return f"{shown}?{'&'.join(kept)}" if any(kept) else shown


def _is_secret(name: str) -> bool:
    """Whether a parameter of a query grants access, by its name in lower case."""
    return name.endswith(_SIGNATURES) or name in _SECRETS


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
