"""Received values in messages: shortened, without credentials, with similar known values.

A value of any size must cost little: it is cut before it is formatted or compared.
"""

import difflib
import reprlib
from collections.abc import Iterable, Sequence

from model.addresses import redacted

MAX_QUOTED = 200
"""Characters of a received value that a message quotes."""

MAX_COMPARED = 100
"""Characters of a value up to which similar known values are searched; the time grows with the square of both."""

# A URL is cut at its query, which must be recognized; longer ones are cut before.
_MAX_READ = 10 * MAX_QUOTED
_MAX_BITS = 256


class _Shortened(reprlib.Repr):
    """Text of nested values of any size in bounded time."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 5
        self.maxother = MAX_QUOTED

    def repr_str(self, value: str, level: int) -> str:
        """A text, without credentials."""
        text = repr(redacted(value[:_MAX_READ]))
        if len(text) <= MAX_QUOTED and len(value) <= _MAX_READ:
            return text
        end = f"...{text[-1]} ({len(value):,} characters)"
        return text[: MAX_QUOTED - len(end)] + end

    def repr_bytes(self, value: bytes, level: int) -> str:
        """The first bytes."""
        return repr(value[:MAX_QUOTED])

    def repr_int(self, value: int, level: int) -> str:
        """A number; Python refuses to write one with thousands of digits."""
        return repr(value) if value.bit_length() <= _MAX_BITS else f"a number of {value.bit_length():,} bits"


_SHORTENED = _Shortened()


def quoted(value: object) -> str:
    """A received value for a message: as Python writes it, at most `MAX_QUOTED` characters, without credentials.

    The length of a text that does not fit is stated.
    """
    text = _SHORTENED.repr(value)
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 3]}..."


def similar(text: str, known: Iterable[str], count: int = 3, cutoff: float = 0.6) -> list[str]:
    """Known values that are similar to a received text, most similar first; none for a long text.

    Args:
        count: maximum number of values.
        cutoff: minimum similarity, from 0 to 1, see `difflib.get_close_matches`.
    """
    return difflib.get_close_matches(text, list(known), count, cutoff) if len(text) <= MAX_COMPARED else []


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """A sentence with similar known values, which begins with a space; empty without one."""
    near = similar(text, known)
    return f" Did you mean: {', '.join(near)}?" if near else ""


def listed(problems: Sequence[str], separator: str, most: int) -> str:
    """The first problems of a received value; the number of those left out is stated."""
    left_out = len(problems) - most
    return separator.join([*problems[:most], f"And {left_out:,} more."] if left_out > 0 else problems)
