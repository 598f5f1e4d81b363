"""Reading of files that may be damaged or hostile: every failure of a parser is one error, `UnreadableError`.

Parsers raise more than ValueError for bad input: RecursionError for deep nesting, MemoryError and OverflowError for
claimed sizes, struct.error and zlib.error for damaged binary content. `unreadable` is the one place that maps them.
"""

import contextlib
import csv
import errno
import io
import json
import math
import os
import select
import stat
import struct
import time
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from model.received import quoted

if TYPE_CHECKING:
    from _typeshed import SupportsRead

MAX_JSON_BYTES = 64 * 1024**2
"""Size up to which JSON is read unless the caller states another one."""

MAX_DEPTH = 64
"""Levels of nested objects and arrays up to which JSON is read."""

_MAX_DIGITS = 40
_PIPE_SECONDS = 10.0
# Parsers of the standard library, and what code meets that expects another structure.
_BAD_INPUT = (
    ValueError,
    RecursionError,
    MemoryError,
    OverflowError,
    EOFError,
    SyntaxError,
    LookupError,
    TypeError,
    AttributeError,
    NotImplementedError,
    struct.error,
    tokenize.TokenError,
    csv.Error,
    zipfile.BadZipFile,
    zlib.error,
)


class UnreadableError(ValueError):
    """Content that cannot be used: damaged, too large, too deep, or of another structure."""


@contextlib.contextmanager
def unreadable() -> Iterator[None]:
    """Turn every error that bad input causes in a parser into UnreadableError; OSError is kept."""
    try:
        yield
    except UnreadableError:
        raise
    except _BAD_INPUT as error:
        raise UnreadableError(describe(error)) from error


def describe(error: BaseException) -> str:
    """Reason in an error of a parser, shortened for a message."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, UnicodeError):
        return f"it is not UTF-8: {getattr(error, 'reason', 'invalid characters')}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):
        return f"{quoted(error.args[0] if error.args else '')} is missing"
    return quoted(str(error) or type(error).__name__)[1:-1]


def without_number(error: BaseException) -> str:
    """Text of an error for a message that names the file: of an OSError, the reason without its number and the path."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def with_path(error: BaseException) -> str:
    """Text of an error for a message that does not name the file: of an OSError, the reason and the path."""
    name = error.filename if isinstance(error, OSError) else None
    place = f": {quoted(os.fsdecode(name))}" if isinstance(name, (str, bytes)) else ""
    return without_number(error) + place


def with_class(error: Exception) -> str:
    """Text of an unexpected error for a message: its class and `with_path`."""
    return f"{type(error).__name__}: {with_path(error)}"


class NoRegularFileError(OSError):
    """A folder, pipe, socket or device in the place of a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "a folder, a pipe, a socket or a device", str(path))

    def __str__(self) -> str:
        """The kind and the path; the number of the error says nothing about them."""
        return f"{self.strerror}: {quoted(self.filename)}"


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Folders, pipes and devices are refused without waiting for them.

    Raises:
        NoRegularFileError: it is something else.
        OSError: there is no such file, or it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # Of a socket, and of a device without a driver.
        if error.errno in (errno.ENXIO, errno.ENODEV):
            raise NoRegularFileError(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NoRegularFileError(path)
    return open(descriptor, "rb")


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Content of a regular file. Folders, pipes and devices are refused without waiting for them.

    Raises:
        OSError: there is no such file, or it cannot be read.
        UnreadableError: it is no regular file, or larger than `max_bytes`.
    """
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > max_bytes:
                raise UnreadableError(f"expected at most {max_bytes:,} bytes, found {size:,}")
            return read_stream(stream, max_bytes)
    except NoRegularFileError as error:
        raise UnreadableError(f"expected a regular file, found {error.strerror}") from error


def read_stream(stream: "SupportsRead[bytes]", max_bytes: int) -> bytes:
    """Content of an open file, a member of an archive or a file of an object store.

    Raises:
        UnreadableError: it is larger than `max_bytes`, whatever its header states.
    """
    content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise UnreadableError(f"expected at most {max_bytes:,} bytes, found more")
    return content


def read_option_file(path: Path, max_bytes: int) -> bytes:
    """Content of a small file that an option names: a regular file, or a pipe such as `<(command)` of a shell.

    Raises:
        OSError: there is no such file, or it cannot be read.
        UnreadableError: it is a folder, a socket or a device, too large, or a pipe whose writer does not end in time.
    """
    if not path.is_fifo():
        return read_regular(path, max_bytes)
    deadline = time.monotonic() + _PIPE_SECONDS
    content = b""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as stream:
        while len(content) <= max_bytes:
            if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise UnreadableError(f"expected the end of the pipe within {_PIPE_SECONDS:.0f} s")
            block = stream.read(max_bytes + 1)
            if not block:
                break
            content += block
    if not content:
        raise UnreadableError("expected content, received an empty pipe")
    if len(content) > max_bytes:
        raise UnreadableError(f"expected at most {max_bytes:,} bytes, found more")
    return content


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES, max_depth: int = MAX_DEPTH, **allowed: bool) -> Any:
    """Content of a JSON file; see `parse_json`.

    Raises:
        OSError, UnreadableError: it cannot be read, or is not such JSON.
    """
    return parse_json(read_regular(path, max_bytes), max_depth, **allowed)


def parse_json(
    content: str | bytes, max_depth: int = MAX_DEPTH, *, not_finite: bool = False, file_names: bool = False
) -> Any:
    """Parse JSON strictly: UTF-8, finite numbers, no key twice, no half surrogates, nested at most `max_depth` levels.

    Args:
        not_finite: allow NaN and infinity, which Python writes for measurements such as the loss of a failed epoch.
        file_names: allow half surrogates, which stand for the bytes of file names that are not UTF-8.

    Raises:
        UnreadableError: it is anything else.
    """
    with unreadable():
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_whole_number,
            parse_float=float if not_finite else _finite_number,
            parse_constant=float if not_finite else _refuse_constant,
        )
        _check_depth(value, max_depth)
        # Only an escape sequence can make a half surrogate: the text itself was decoded.
        if "\\u" in text and not file_names:
            json.dumps(value, ensure_ascii=False).encode()
        return value


def read_lines(path: Path, max_bytes: int) -> Iterator[str]:
    """Lines of a UTF-8 text file, without their ends.

    Raises:
        OSError, UnreadableError: as `read_regular`, or it is not UTF-8.
    """
    with unreadable():
        text = read_regular(path, max_bytes).decode("utf-8-sig")
    return (line.rstrip("\r\n") for line in io.StringIO(text, newline=None))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise UnreadableError(f"the key {quoted(name)} occurs twice")
    return found


def _whole_number(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise UnreadableError(f"expected numbers of at most {_MAX_DIGITS} digits, received {len(digits):,}")
    return int(digits)


def _finite_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise UnreadableError(f"expected finite numbers, received {quoted(digits)}")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise UnreadableError(f"expected finite numbers, received {name}")


def _check_depth(value: Any, max_depth: int) -> None:
    level = [value]
    for _ in range(max_depth + 1):
        # One level after the other: recursion would itself be what this prevents.
        level = [
            item
            for container in level
            if isinstance(container, (dict, list))
            for item in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return
    raise UnreadableError(f"expected at most {max_depth} nested levels, found more")
