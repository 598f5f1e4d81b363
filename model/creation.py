"""Time at which a model was made or imported on this machine, which decides the order of models."""

import datetime
from pathlib import Path

from model.bundle_files import IMPORTED
from model.reading import UnreadableError, read_json
from model.received import quoted

CLOCK_SKEW = datetime.timedelta(minutes=5)
"""How far the clock of another machine may be ahead."""

_MAX_LENGTH = 40
_MAX_RECORD_BYTES = 1_000


def parse_time(text: object) -> datetime.datetime:
    """Time from ISO 8601, in UTC; without a time zone it is UTC.

    Raises:
        UnreadableError: it is none.
    """
    try:
        # Python 3.10 does not know the Z.
        moment = datetime.datetime.fromisoformat(_short_text(text).replace("Z", "+00:00"))
        known = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
        return known.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"expected a time such as 2026-11-29T18:00:12+00:00, received {quoted(text)}") from error


def _short_text(text: object) -> str:
    if not isinstance(text, str) or len(text) > _MAX_LENGTH:
        raise ValueError
    return text


def is_in_future(moment: datetime.datetime) -> bool:
    """Whether a time is later than now, beyond what clocks differ."""
    return moment > datetime.datetime.now(datetime.timezone.utc) + CLOCK_SKEW


def order_time(directory: Path, created: object, written_ns: int) -> datetime.datetime:
    """Time by which models are ordered: that of the import; of a model that was not imported, that of its training.

    A manifest can state any time of training. One in the future does not count: then it is the time at which the
    manifest was written here.

    Args:
        created: `created` of the manifest.
        written_ns: modification time of the manifest, in nanoseconds.
    """
    written = datetime.datetime.fromtimestamp(written_ns / 1e9, datetime.timezone.utc)
    for stated in (_imported(directory), created):
        try:
            moment = parse_time(stated)
        except UnreadableError:
            continue
        if not is_in_future(moment):
            return moment
    return written


def _imported(directory: Path) -> object:
    try:
        return read_json(directory / IMPORTED, _MAX_RECORD_BYTES)["time"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
