"""The days that one looks back on."""

from collections.abc import Mapping

from model.usage.record import Record
from model.usage.store import days_before, today

DAYS = 7
"""How many, today included, unless another number is asked for."""


def within(days: Mapping[str, Record], count: int = DAYS) -> Record:
    """The sum of the records of the last `count` days."""
    since = days_before(today(), count - 1)
    total = Record()
    for day, record in days.items():
        if day >= since:
            total.merge(record)
    return total
