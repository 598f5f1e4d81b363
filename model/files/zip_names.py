"""Names of the members of a zip, which may be in any encoding.

A name with the UTF-8 flag, or with the Unicode path field of Info-ZIP, is UTF-8 (PKWARE APPNOTE.TXT 6.3.10, 4.4.4 and
4.6.9). The archiver of macOS and many libraries write UTF-8 without either; other names are in the code page of the
system that wrote them, which the zip does not contain.
"""

import logging
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator

from model.received import quoted

UTF8_FLAG = 0x800
_CODE_PAGE = "cp437"
_UNICODE_PATH_FIELD, _UNICODE_PATH_VERSION = 0x7075, 1
_UNICODE_PATH_HEADER = struct.Struct("<BI")

log = logging.getLogger(__name__)


def decode_name(raw: bytes, flags: int, extra: bytes) -> str:
    """Name of a member: UTF-8 if the zip says so or if the bytes are valid UTF-8, otherwise code page 437.

    Args:
        raw: the name in the header.
        flags: the general purpose bit flags of the header.
        extra: the extra fields of the header.
    """
    if not flags & UTF8_FLAG:
        raw = _unicode_path(raw, extra) or raw
    text = _utf8(raw)
    if text is not None:
        return text
    return raw.decode("utf-8", "replace") if flags & UTF8_FLAG else raw.decode(_CODE_PAGE)


def name_of(info: zipfile.ZipInfo) -> str:
    """Name of a member of a zip that zipfile has read; it ends at the first NUL, as in zipfile."""
    if info.flag_bits & UTF8_FLAG:
        return info.filename
    return decode_name(_raw_name(info), info.flag_bits, info.extra).partition("\0")[0]


def warn_of_code_page(infos: Iterable[zipfile.ZipInfo], label: str) -> None:
    """Log a warning if names are not UTF-8: letters that are not English may be wrong."""
    unsure = [info for info in infos if not info.flag_bits & UTF8_FLAG and _is_in_code_page(info)]
    if unsure:
        log.warning(
            "%s: %d names are not UTF-8 and were read in code page 437, such as %s. If that is wrong, create the zip "
            "again with UTF-8 names, as 7-Zip does",
            label,
            len(unsure),
            quoted(name_of(unsure[0])),
        )


def _is_in_code_page(info: zipfile.ZipInfo) -> bool:
    raw = _raw_name(info)
    return _utf8(raw) is None and _unicode_path(raw, info.extra) is None


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    # zipfile has decoded the bytes; code page 437 has a character for each of them.
    return info.orig_filename.encode(_CODE_PAGE)


def _unicode_path(raw: bytes, extra: bytes) -> bytes | None:
    """UTF-8 name in the Unicode path field; None without one, or if it belongs to another name."""
    for kind, content in extra_fields(extra):
        if kind == _UNICODE_PATH_FIELD and len(content) > _UNICODE_PATH_HEADER.size:
            version, crc = _UNICODE_PATH_HEADER.unpack_from(content)
            name = content[_UNICODE_PATH_HEADER.size :]
            # A program that does not know the field renames the member and leaves the field.
            if version == _UNICODE_PATH_VERSION and crc == zlib.crc32(raw) and _utf8(name) is not None:
                return name
    return None


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each extra field."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        yield kind, extra[4 : 4 + length]
        extra = extra[4 + length :]


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
