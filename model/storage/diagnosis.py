"""Checks of remote storage, step by step: the first failure explains those that would follow."""

import dataclasses
import re
import urllib.parse
from collections.abc import Iterator

from model.addresses import without_credentials
from model.errors import ConfigError, StorageError
from model.storage import open_storage, rclone_queries
from model.storage.nextcloud import may_offer_zip
from model.storage.places import parse_place
from model.storage.settings import (
    account_of,
    how_to_configure,
    prepare_environment,
    rclone_program,
    remote_settings,
    wrong_url,
)
from model.storage.webdav import current_user

DEFAULT_REMOTE = "rshare:"

_FILES_OF = re.compile(r"/remote\.php/dav/files/(?P<user>[^/?#]+)")
_SHOWN = ("type", "vendor", "provider")
_FULL_BYTES = 1_000_000_000
_GB = 1e9


@dataclasses.dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: subject, such as rclone, settings, path, space.
        works: whether the check passed.
        detail: finding; for a failure also the remedy.
    """

    name: str
    works: bool
    detail: str


def check_remote(where: str) -> Iterator[Check]:
    """Check the remote of `remote:path` up to the first failure.

    Checked are rclone, the settings, the form of the URL, the answer to this user, the path and the free space. No
    password is shown.
    """
    try:
        yield Check("rclone", True, rclone_program())
        place = parse_place(where)
        prepare_environment()
        settings = remote_settings(place.remote)
        if not settings.get("type"):
            known = ", ".join(f"{name}:" for name in rclone_queries.remotes()) or "none"
            detail = f"{place.remote}: is not configured. Configured remotes: {known}. {how_to_configure(place.remote)}"
            yield Check("settings", False, detail)
            return
        wrong = wrong_url(settings) or _wrong_user(place.remote, settings)
        yield Check("settings", not wrong, wrong or _described(settings))
        if not wrong:
            yield from _server(where, settings)
    except (StorageError, ConfigError) as error:
        yield Check("remote", False, error.message)


def _server(where: str, settings: dict[str, str]) -> Iterator[Check]:
    storage = open_storage(where)
    entry = storage.entry()
    if entry is None:
        top = f"{parse_place(where).remote}:"
        detail = f"{where}: the server answers, but the path does not exist (404). {top} contains {_names_in(top)}"
        yield Check("path", False, detail)
        return
    what = f"a file of {entry.size:,} bytes" if not entry.is_folder else f"a folder with {_names_in(where)}"
    yield Check("path", True, f"{where} is {what}")
    if entry.is_folder and may_offer_zip(settings):
        yield Check("zip", True, "servers of this kind offer a folder as one zip, which speeds up many small files")
    free = storage.space()
    if free is None:
        yield Check("space", True, "the server reports no free space; there may be no quota")
    else:
        advice = "" if free >= _FULL_BYTES else ": too little for a dataset. Free some space, or ask for a larger quota"
        yield Check("space", free >= _FULL_BYTES, f"{free / _GB:.1f} GB free{advice}")


def _wrong_user(remote: str, settings: dict[str, str]) -> str:
    """Error if the URL ends with another user's name: the server then lists nothing. Empty if it does not."""
    found = _FILES_OF.search(settings.get("url", ""))
    if settings.get("type") != "webdav" or found is None:
        return ""
    named = urllib.parse.unquote(found["user"])
    owner = current_user(account_of(remote, settings), f"ask {remote}: whose the password is")
    if not owner or owner.casefold() == named.casefold():
        return ""
    return (
        f"url: it ends with the user {named!r}, but the password belongs to {owner!r}, so the server lists nothing. "
        f"Set the end of the url to /dav/files/{urllib.parse.quote(owner)}"
    )


def _names_in(where: str) -> str:
    shown = 8
    names = rclone_queries.names_in(where)
    if not names:
        return "no files. If there should be some, check the user name at the end of the remote's URL"
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _described(settings: dict[str, str]) -> str:
    shown: dict[str, str] = {name: settings[name] for name in _SHOWN if name in settings}
    address = settings.get("url") or settings.get("endpoint")
    if address:
        shown["address"] = without_credentials(address)
    return ", ".join(f"{name} {value}" for name, value in shown.items())
