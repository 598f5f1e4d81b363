"""What is wrong with a storage, looked at step by step: the first thing that fails explains all behind it."""

import dataclasses
from collections.abc import Iterator

from model.addresses import without_credentials
from model.errors import ConfigError, StorageError
from model.storage import lookups, open_storage
from model.storage.nextcloud import may_offer_zip
from model.storage.places import parse_place
from model.storage.settings import how_to_configure, prepare_environment, rclone_program, remote_settings, wrong_url

DEFAULT_REMOTE = "rshare:"

_SHOWN = ("type", "vendor", "provider")
_FULL_BYTES = 1_000_000_000
_GB = 1e9


@dataclasses.dataclass(frozen=True)
class Look:
    """One thing looked at.

    Attributes:
        name: what, such as rclone, settings, answer, space.
        works: whether it is as it should be.
        detail: what was found; where it does not work, also what to do.
    """

    name: str
    works: bool
    detail: str


def look_at(where: str) -> Iterator[Look]:
    """Look at the storage of `remote:path`, up to the first thing that fails: rclone, its settings, the form of its
    address, whether it answers this user, what is at the path, the space that is left. No password is shown."""
    try:
        yield Look("rclone", True, rclone_program())
        place = parse_place(where)
        prepare_environment()
        settings = remote_settings(place.remote)
        if not settings.get("type"):
            known = ", ".join(f"{name}:" for name in lookups.remotes()) or "none"
            detail = f"{place.remote}: is not configured; there are: {known}. {how_to_configure(place.remote)}"
            yield Look("settings", False, detail)
            return
        wrong = wrong_url(settings)
        yield Look("settings", not wrong, wrong or _described(settings))
        if not wrong:
            yield from _server(where, settings)
    except (StorageError, ConfigError) as error:
        yield Look("storage", False, error.message)


def _server(where: str, settings: dict[str, str]) -> Iterator[Look]:
    storage = open_storage(where)
    entry = storage.entry()
    if entry is None:
        top = f"{parse_place(where).remote}:"
        detail = f"{where}: it answers, but nothing is there (404). In {top} there is {_names_in(top)}"
        yield Look("path", False, detail)
        return
    what = f"a file of {entry.size:,} bytes" if not entry.is_folder else f"a folder with {_names_in(where)}"
    yield Look("path", True, f"{where} is {what}")
    if entry.is_folder and may_offer_zip(settings):
        yield Look("zip", True, "a server of this kind hands out a folder as one zip: small files come fast")
    free = storage.space()
    if free is None:
        yield Look("space", True, "it does not say how much is free: there is no quota, or it does not know")
    else:
        advice = "" if free >= _FULL_BYTES else ": too little for a dataset. Make room there, or ask for more"
        yield Look("space", free >= _FULL_BYTES, f"{free / _GB:.1f} GB free{advice}")


def _names_in(where: str) -> str:
    shown = 8
    names = lookups.names_in(where)
    if not names:
        return "nothing in it. Should there be something, see to the user's name at the end of its address"
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _described(settings: dict[str, str]) -> str:
    shown: dict[str, str] = {name: settings[name] for name in _SHOWN if name in settings}
    address = settings.get("url") or settings.get("endpoint")
    if address:
        shown["address"] = without_credentials(address)
    return ", ".join(f"{name} {value}" for name, value in shown.items())
