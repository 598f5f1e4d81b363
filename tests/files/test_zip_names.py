"""Names in zips: with the UTF-8 flag or without, with Info-ZIP's Unicode path field, in code pages of Windows."""

import io
import logging
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from model.files.archives import first_name, iter_zip_images, unpack_archive
from model.files.streamed_zip import iter_streamed_zip

_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")
UTF8_FLAG = 0x800
CONTENT = b"content"


def unicode_path(name: str, raw: bytes, version: int = 1) -> bytes:
    """Info-ZIP's field with a UTF-8 name, for the member with the raw name `raw`."""
    content = struct.pack("<BI", version, zlib.crc32(raw)) + name.encode()
    return struct.pack("<2H", 0x7075, len(content)) + content


def zip_with(raw: bytes, flags: int = 0, extra: bytes = b"") -> bytes:
    """A zip of one stored file whose raw name, flags and extra fields are these."""
    crc, size = zlib.crc32(CONTENT), len(CONTENT)
    local = (
        _LOCAL.pack(b"PK\x03\x04", 20, flags, 0, 0, 0, crc, size, size, len(raw), len(extra)) + raw + extra + CONTENT
    )
    central = _CENTRAL.pack(b"PK\x01\x02", 20, 20, flags, 0, 0, 0, crc, size, size, len(raw), len(extra), 0, 0, 0, 0, 0)
    central += raw + extra
    return local + central + _END.pack(b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)


NAMES = {
    "plain": (zip_with(b"plain.jpg"), "plain.jpg"),
    "UTF-8 with the flag": (zip_with("Crème/ü.jpg".encode(), UTF8_FLAG), "Crème/ü.jpg"),
    "UTF-8 without the flag": (zip_with("Brûlée/1.jpg".encode()), "Brûlée/1.jpg"),
    "decomposed UTF-8 without the flag": (zip_with("Cre\u0300me/1.jpg".encode()), "Cre\u0300me/1.jpg"),
    "Chinese without the flag": (zip_with("猫/一.jpg".encode()), "猫/一.jpg"),
    "emoji without the flag": (zip_with("🐈/1.jpg".encode()), "🐈/1.jpg"),
    "code page 437": (zip_with("Möwe/é.jpg".encode("cp437")), "Möwe/é.jpg"),
    "Unicode path": (
        zip_with("кот.jpg".encode("cp866"), extra=unicode_path("кот.jpg", "кот.jpg".encode("cp866"))),
        "кот.jpg",
    ),
    "Unicode path after another field": (
        zip_with(
            b"cat?.jpg", extra=struct.pack("<2H5s", 0x5455, 5, b"\1abcd") + unicode_path("cat猫.jpg", b"cat?.jpg")
        ),
        "cat猫.jpg",
    ),
    "Unicode path of another name": (
        zip_with(b"renamed.jpg", extra=unicode_path("猫.jpg", b"old.jpg")),
        "renamed.jpg",
    ),
    "Unicode path of a later version": (zip_with(b"a.jpg", extra=unicode_path("猫.jpg", b"a.jpg", 2)), "a.jpg"),
    "extra field cut off": (zip_with("ä.jpg".encode(), extra=b"\x75\x70\xff"), "ä.jpg"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_are_read_alike_by_every_reader(kind: str, tmp_path: Path) -> None:
    content, name = NAMES[kind]
    assert list(iter_zip_images(content)) == [(name, CONTENT)]

    (tmp_path / "x.zip").write_bytes(content)
    folder = unpack_archive(tmp_path / "x.zip", tmp_path / "unpacked")
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == [name]

    streamed = iter_streamed_zip([content], {name: len(CONTENT)}, "", "x.zip")
    assert [(entry, b"".join(blocks)) for entry, blocks in streamed] == [(name, CONTENT)]


def test_the_first_name_is_read_by_the_same_rule() -> None:
    assert first_name(NAMES["UTF-8 without the flag"][0]) == "Brûlée/1.jpg"


def test_a_unicode_path_cannot_lead_outside() -> None:
    content = zip_with(b"safe.jpg", extra=unicode_path("../../outside.jpg", b"safe.jpg"))
    with pytest.raises(Exception, match="its path leads outside"):
        list(iter_zip_images(content))


@pytest.mark.parametrize("code_page", ["cp866", "cp850", "cp1251", "shift_jis", "gbk"])
def test_names_in_a_code_page_are_reported(code_page: str, caplog: pytest.LogCaptureFixture) -> None:
    name = {"cp866": "кот", "cp850": "Ã§", "cp1251": "кот", "shift_jis": "猫の写真", "gbk": "照片"}[code_page]
    with caplog.at_level(logging.WARNING, "model"):
        assert len(list(iter_zip_images(zip_with(f"{name}/1.jpg".encode(code_page))))) == 1
    [record] = caplog.records
    assert "1 names are not UTF-8 and were read in code page 437, such as" in record.getMessage()


@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind != "code page 437"])
def test_nothing_is_reported_about_other_names(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "model"):
        list(iter_zip_images(NAMES[kind][0]))
    assert not caplog.records


def test_zips_of_zipfile_are_read_as_before() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("Möwe/1.jpg", CONTENT)
    assert list(iter_zip_images(stream.getvalue())) == [("Möwe/1.jpg", CONTENT)]
