"""Uniform sample of the photos that a model classified, each described by a few numbers.

A bottom-k sample (Cohen and Kaplan, Summarizing data using bottom-k sketches, 2007): each row has a hash, and those
with the smallest hashes are kept. The sample is uniform over *different* photos, however often each is sent (a health
check always sends the same one). Merging the samples of two workers or days gives the sample of all their photos.
"""

import hashlib
import math
import struct
from collections.abc import Iterable, Sequence

from model.bundle import FEATURE_SCALE

MAX_ROWS = 500
_HASHES = 2**64
_LARGEST = 32_767

Row = tuple[int, ...]


class Sample:
    """Random sample of at most `MAX_ROWS` rows: those with the smallest hashes of all that were added."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows: dict[int, Row] = {}
        self._limit = _HASHES
        self._add(rows)

    def add(self, values: Sequence[float]) -> None:
        """Add a photo, described by the same number of values as all others; one that is not finite is left out."""
        if all(map(math.isfinite, values)):
            self._add([tuple(max(-_LARGEST, min(_LARGEST, round(FEATURE_SCALE * value))) for value in values)])

    def merge(self, other: "Sample") -> None:
        """Add the rows of another sample."""
        self._add(other._rows.values())

    @property
    def rows(self) -> list[Row]:
        """The rows, in units of 1 / `FEATURE_SCALE`, the smallest hash first."""
        return [self._rows[key] for key in sorted(self._rows)[:MAX_ROWS]]

    @property
    def distinct(self) -> int:
        """Number of different photos that were added: exact up to `MAX_ROWS`, then an estimate within about 5 %.

        Beyer et al. (On synopses for distinct-value estimation under multiset operations, 2007): of n hashes, the
        k-th smallest is near k / n of their range.
        """
        keys = sorted(self._rows)[:MAX_ROWS]
        return len(keys) if len(keys) < MAX_ROWS else round((MAX_ROWS - 1) * _HASHES / keys[-1])

    def _add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            key = _hash(row)
            if key < self._limit:
                self._rows[key] = row
        # Rarely, so that most photos need no sorting.
        if len(self._rows) > 2 * MAX_ROWS:
            kept = sorted(self._rows)[:MAX_ROWS]
            self._rows = {key: self._rows[key] for key in kept}
            self._limit = kept[-1]


def _hash(row: Row) -> int:
    return int.from_bytes(hashlib.blake2b(struct.pack(f"{len(row)}h", *row), digest_size=8).digest(), "big")
