"""Text files of a dataset, lists and tables, in the encodings that editors and spreadsheets write.

Read are UTF-8, UTF-16 and UTF-32 with or without a byte order mark, and Windows-1252, of which Latin-1 text is a part.
"""

import codecs
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from model.dataset.listing import Problems
from model.errors import DatasetError
from model.reading import open_regular

UTF8 = "utf-8-sig"
WESTERN = "cp1252"

# UTF-32 first: its mark in little-endian order begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MAX_TEXT_BYTES = 1 << 28
"""Lines of several million photos."""

_BLOCK = 1 << 20
_PROBE = 4096
_CONTROLS = re.compile(r"[\0-\x08\x0e-\x1f]")


def detect_encoding(path: Path) -> str:
    """Python's name of the encoding of a text file; the complete file is decoded once, in blocks.

    Raises:
        DatasetError: binary content, or text in another encoding, whose line is in the message; or too large a file.
        OSError: the file cannot be read.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        head = stream.read(_PROBE)
    if size > MAX_TEXT_BYTES:
        raise DatasetError(f"{path}: expected a list or a table of at most {MAX_TEXT_BYTES:,} bytes, found {size:,}")
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    encoding = marked or _encoding_without_mark(head)
    error = _decoding_error(path, encoding)
    if error is None:
        return encoding
    if encoding == UTF8 and _decoding_error(path, WESTERN) is None:
        return WESTERN
    raise DatasetError(f"{path}:{error[0]}: expected UTF-8 text, received {error[1]}. Save the file as UTF-8")


def open_text(path: Path, encoding: str, newline: str | None = None) -> TextIO:
    """Open a text file in the encoding that `detect_encoding` returned; `newline` as in `open`."""
    return io.TextIOWrapper(open_regular(path), encoding, newline=newline)


def encoding_warnings(path: Path, encoding: str) -> list[str]:
    """Warning about an encoding that is only the most probable one, with an example line."""
    if encoding != WESTERN:
        return []
    with open_text(path, encoding) as stream:
        number, line = next((number, line) for number, line in enumerate(stream, start=1) if not line.isascii())
    return [
        f"{path}:{number}: not UTF-8, read as Windows-1252: {line.strip()[:80]!r}. If that is wrong, save the file as "
        "UTF-8"
    ]


def read_lines(path: Path, problems: Problems, warn: Callable[[str], None]) -> Iterator[str]:
    """Lines of a text file without their ends; a file that cannot be read is a problem and has no lines.

    Lines end in LF, CRLF or CR only: other line breaks of Unicode may occur in a file name.

    Args:
        warn: called with a sentence if the encoding is only the most probable one.
    """
    try:
        encoding = detect_encoding(path)
        for warning in encoding_warnings(path, encoding):
            warn(warning)
        with open_text(path, encoding) as stream:
            for line in stream:
                yield line.removesuffix("\n")
    except DatasetError as error:
        problems.add(error.message)
    except OSError as error:
        problems.add(f"{path}: expected a readable file, received: {error.strerror or error}")


def _encoding_without_mark(head: bytes) -> str:
    """UTF-16 if every other byte is mostly NUL, as in any text of Latin letters; otherwise UTF-8."""
    half = max(1, len(head) // 2)
    if head[1::2].count(0) > 0.4 * half and not head[::2].count(0):
        return "utf-16-le"
    if head[::2].count(0) > 0.4 * half and not head[1::2].count(0):
        return "utf-16-be"
    return UTF8


def _decoding_error(path: Path, encoding: str) -> tuple[int, str] | None:
    """Line and reason of the first content that is no text in this encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with open_regular(path) as stream:
        while True:
            block = stream.read(_BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                # Earlier line ends of this block; `error.object` begins with bytes kept from the last one.
                return line + error.object.count(b"\n", 0, error.start), error.reason
            control = _CONTROLS.search(text)
            if control:
                return line + text.count("\n", 0, control.start()), f"the control character {control[0]!r}"
            if not block:
                return None
            line += text.count("\n")
