"""Entries of rclone's listings (`lsjson`)."""

import datetime
import re
from collections.abc import Mapping
from typing import Any

from model.storage.interface import Entry

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


def entry_of(row: Mapping[str, Any], name: str) -> Entry:
    """The file or folder that a row of a listing describes.

    Args:
        name: name of the entry, relative to the folder of interest.
    """
    if row["IsDir"]:
        return Entry(name, 0, 0.0, is_folder=True)
    return Entry(name, row["Size"], _seconds(row["ModTime"]), hashes=row.get("Hashes") or {})


def _seconds(time_with_zone: str) -> float:
    """Seconds since 1970 of an RFC 3339 time with any number of digits; 0 if it is invalid."""
    match = _TIME.fullmatch(time_with_zone)
    if match is None:
        return 0.0
    date, fraction, zone = match.groups()
    return datetime.datetime.fromisoformat(date + zone.replace("Z", "+00:00")).timestamp() + float(fraction or 0)
