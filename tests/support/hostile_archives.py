"""Archives that lead outside, contain links or devices, are damaged, or unpack to more than they should."""

import functools
import io
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Mapping

from tests.support.files import tarred, zipped

_OUTSIDE = ("../x", "a/../../x", "/etc/x", "\\x", "..\\x", "a\\..\\..\\x", "C:\\x", "c:x", "a/..", "//host/x")
_TWICE = (("x", "x"), ("x", "./x"), ("x/y", "x"), ("x", "x/y"), ("a\\b", "a/b"))
_TAR_KINDS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z")
_ZIP_KINDS = (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK)

Make = Callable[[], bytes]


def _outside(pack: Callable[[Mapping[str, bytes]], bytes], name: str) -> bytes:
    return pack({"good.jpg": b"x", name: b"y"})


def _tarred_special(kind: bytes) -> bytes:
    member = tarfile.TarInfo("thing")
    member.type, member.linkname = kind, "target"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(member)
    return stream.getvalue()


def _zipped_special(kind: int) -> bytes:
    info = zipfile.ZipInfo("thing")
    info.external_attr = (kind | 0o777) << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return stream.getvalue()


def _zipped_twice(names: tuple[str, str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            archive.writestr(name, "x")
    return stream.getvalue()


def _tarred_twice(names: tuple[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


def _zip_bomb() -> bytes:
    return zipped({"zeros": bytes(200 * 1024**2)})


def _tar_bomb(mode: str) -> bytes:
    return tarred({"zeros": bytes(80 * 1024**2)}, mode)


def _wrong_size() -> bytes:
    return zipped({"1": b"x" * 10_000}).replace(struct.pack("<L", 10_000), struct.pack("<L", 10))


def _header_of_gigabytes(kind: bytes) -> bytes:
    member = tarfile.TarInfo("header")
    member.type, member.size = kind, 8 * 1024**3
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def _endless_headers() -> bytes:
    member = tarfile.TarInfo("long")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 4
    return (member.tobuf(tarfile.GNU_FORMAT) + b"name" + bytes(508)) * 5000


def _sparse() -> bytes:
    """A tar with a hole of four gigabytes."""
    header = bytearray(tarfile.TarInfo("holes").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[483:495] = b"%011o\0" % (1 << 32)
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 8 * 32)
    return bytes(header) + bytes(1024)


def _damaged_header() -> bytes:
    content = bytearray(tarred({"1": b"x", "2": b"y"}))
    content[1024 + 10] ^= 1
    return bytes(content)


def _damaged_data() -> bytes:
    content = bytearray(zipped({"1": b"x" * 1000}, zipfile.ZIP_STORED))
    content[500] ^= 1
    return bytes(content)


def _encrypted() -> bytes:
    content = bytearray(zipped({"1": b"x"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def _exotic() -> bytes:
    return zipped({"1": b"x"}, zipfile.ZIP_LZMA)


def _rows() -> dict[str, tuple[Make, str]]:
    rows: dict[str, tuple[Make, str]] = {}
    for form, pack in (("zip", zipped), ("tar", tarred)):
        for name in _OUTSIDE:
            rows[f"{form}: {name}"] = functools.partial(_outside, pack, name), "leads outside"
    for kind in _TAR_KINDS:
        rows[f"tar: member of type {kind!r}"] = functools.partial(_tarred_special, kind), "link or a device"
    for mode in _ZIP_KINDS:
        rows[f"zip: member of type {mode:o}"] = functools.partial(_zipped_special, mode), "link or a device"
    for names in _TWICE:
        rows[f"zip: {' and '.join(names)}"] = functools.partial(_zipped_twice, names), "occurs twice"
        rows[f"tar: {' and '.join(names)}"] = functools.partial(_tarred_twice, names), "occurs twice"
    for compression in ("w:gz", "w:xz", "w:bz2"):
        rows[f"tar: bomb, {compression[2:]}"] = functools.partial(_tar_bomb, compression), "expected at most"
    for header in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        rows[f"tar: header {header!r} of 8 GB"] = functools.partial(_header_of_gigabytes, header), "claims"
    return rows | {
        "zip: bomb": (_zip_bomb, "expected at most"),
        "zip: wrong size in a header": (_wrong_size, "damaged"),
        "tar: endless headers": (_endless_headers, "damaged"),
        "tar: a hole of 4 GB": (_sparse, "expected at most"),
        "tar: a damaged header": (_damaged_header, "a header is damaged"),
        "zip: damaged data": (_damaged_data, "damaged"),
        "zip: encrypted": (_encrypted, "encrypted"),
        "zip: another method than deflate": (_exotic, "by another method than deflate"),
    }


HOSTILE_ARCHIVES = _rows()
"""Name -> function that makes the archive, and words of the message that refuses it."""
