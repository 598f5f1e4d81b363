"""Zips unpacked while they arrive: only complete files, for any truncation, within limits."""

import io
import itertools
import os
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from model.errors import ArchiveError, ArchiveTooLargeError
from model.files.archive_limits import ArchiveLimits
from model.files.streamed_zip import iter_streamed_zip
from tests.support.files import zipped


class Unseekable(io.RawIOBase):
    """A stream in which zipfile cannot seek, so that it writes sizes and checksums behind each file, like Nextcloud."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, content: Any) -> int:
        self.content += bytes(content)
        return len(content)

    def writable(self) -> bool:
        return True


def zipped_folder(contents: Mapping[str, bytes], method: int, streamed: bool, large: bool = False) -> bytes:
    stream = Unseekable() if streamed else io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("photos/a/", b"")
        for name, content in contents.items():
            with archive.open(f"photos/{name}", "w", force_zip64=large) as member:
                member.write(content)
    return stream.content if isinstance(stream, Unseekable) else stream.getvalue()


def unpacked(
    blocks: Iterable[bytes], sizes: Mapping[str, int], limits: ArchiveLimits | None = None
) -> tuple[dict[str, bytes], str]:
    """The files that came whole, and the error that ended it."""
    whole = {}
    try:
        for name, content in iter_streamed_zip(blocks, sizes, "photos/", "the zip", limits or ArchiveLimits()):
            whole[name] = b"".join(content)
    except ArchiveError as error:
        return whole, error.message
    return whole, ""


CONTENTS = {"a/1.bin": os.urandom(700), "a/2 ü.bin": b"", "PK.bin": b"PK\x07\x08PK\x03\x04" * 9, "z.bin": b"z" * 500}
SIZES = {name: len(content) for name, content in CONTENTS.items()}


@pytest.mark.parametrize("large", [True, False], ids=["zip64", "zip"])
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_truncated_stream_gives_only_complete_files(method: int, streamed: bool, large: bool) -> None:
    content = zipped_folder(CONTENTS, method, streamed, large)
    table = content.index(b"PK\x01\x02")
    numbers = []
    for end in (*range(0, len(content), 17), len(content)):
        whole, error = unpacked([content[:end]], SIZES)
        assert list(whole.items()) == list(CONTENTS.items())[: len(whole)]
        assert bool(error) == (end < table + 4) or end < table + 46
        numbers.append(len(whole))
    assert numbers == sorted(numbers) and set(numbers) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("length", [1, 7, 100])
def test_the_chunk_size_of_the_stream_does_not_matter(method: int, length: int) -> None:
    content = zipped_folder(CONTENTS, method, streamed=True)
    blocks = [content[start : start + length] for start in range(0, len(content), length)]
    assert unpacked([b"", *blocks], SIZES) == (CONTENTS, "")


def test_a_changed_byte_is_found_by_the_checksum() -> None:
    content = zipped_folder(CONTENTS, zipfile.ZIP_STORED, streamed=True)
    whole, error = unpacked([content.replace(b"z" * 500, b"z" * 499 + b"y")], SIZES)
    assert list(whole) == list(CONTENTS)[:3] and "'photos/z.bin' with 500 bytes and their CRC-32" in error


@pytest.mark.parametrize(
    "name", ["../out.bin", "/tmp/out.bin", "a\\b.bin", "photos//etc/x", "C:x"], ids=["up", "absolute", "\\", "//", "C:"]
)
def test_an_unsafe_name_is_refused_even_if_it_is_listed(name: str) -> None:
    content = zipped({"photos/good.bin": b"good", name: b"evil"})
    whole, error = unpacked([content], {"good.bin": 4, name.removeprefix("photos/"): 4})
    assert whole == {"good.bin": b"good"} and ("leads outside" in error or repr(name) in error)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for content in (b"1", b"2"):
            archive.writestr("photos/x.bin", content)
    whole, error = unpacked([stream.getvalue()], {"x.bin": 1})
    assert whole == {"x.bin": b"1"} and "occurs twice" in error


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_with_another_size_than_listed_is_refused(size: int, method: int) -> None:
    whole, error = unpacked([zipped({"photos/x.bin": b"what"}, method)], {"x.bin": size})
    assert whole == {} and "photos/x.bin" in error


@pytest.mark.parametrize("large", [True, False], ids=["zip64", "zip"])
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("name", CONTENTS)
def test_an_unlisted_file_is_skipped(name: str, method: int, streamed: bool, large: bool) -> None:
    content = zipped_folder(CONTENTS, method, streamed, large)
    listed = {other: size for other, size in SIZES.items() if other != name}
    expected = {other: CONTENTS[other] for other in listed}
    for length in (1, 10, len(content)):
        blocks = [content[start : start + length] for start in range(0, len(content), length)]
        assert unpacked(blocks, listed) == (expected, "")


def test_files_whose_listed_name_is_ambiguous_are_skipped() -> None:
    content = zipped_folder({"x.bin": b"outer", "photos/x.bin": b"inner"}, zipfile.ZIP_STORED, streamed=True)
    assert unpacked([content], {"x.bin": 5, "photos/x.bin": 5}) == ({"photos/x.bin": b"inner"}, "")


@pytest.mark.parametrize("large", [True, False], ids=["zip64", "zip"])
def test_beginnings_of_a_data_descriptor_do_not_end_an_unlisted_file(large: bool) -> None:
    signature = b"PK\x07\x08"
    added = b"".join(signature[:length] + b"x" * gap + signature for length in range(5) for gap in range(26))
    other = zipped_folder({"inner.bin": b"inner"}, zipfile.ZIP_STORED, streamed=True, large=large)
    for ending in (b"", *(signature[:length] for length in range(1, 5))):
        contents = {"added.bin": added + other + ending, "z.bin": b"z"}
        content = zipped_folder(contents, zipfile.ZIP_STORED, streamed=True, large=large)
        for length in (1, 7, len(content)):
            blocks = [content[start : start + length] for start in range(0, len(content), length)]
            assert unpacked(blocks, {"z.bin": 1}) == ({"z.bin": b"z"}, "")


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_that_is_truncated_or_damaged_in_an_unlisted_file_is_refused(method: int, streamed: bool) -> None:
    contents = {"a.bin": b"a", "added.bin": os.urandom(300), "z.bin": b"z"}
    content = zipped_folder(contents, method, streamed)
    start, end = content.index(b"added.bin") + len(b"added.bin"), content.index(b"photos/z.bin") - 30
    damaged = content[: start + 200] + bytes([content[start + 200] ^ 1]) + content[start + 201 :]
    for broken in (*(content[:stop] for stop in range(start, end)), damaged):
        whole, error = unpacked([broken], {"a.bin": 1, "z.bin": 1})
        assert whole == {"a.bin": b"a"} and "damaged" in error


def test_an_unsafe_name_is_refused_even_if_it_is_not_listed() -> None:
    whole, error = unpacked([zipped({"photos/good.bin": b"good", "../out.bin": b"evil"})], {"good.bin": 4})
    assert whole == {"good.bin": b"good"} and "leads outside" in error


def test_unlisted_files_count_towards_the_limits() -> None:
    content = zipped_folder({str(number): b"x" * 100 for number in range(3)}, zipfile.ZIP_STORED, streamed=True)
    assert "at most 150 bytes when unpacked" in unpacked([content], {}, ArchiveLimits(total_bytes=150))[1]


def test_a_link_is_read_as_a_file_with_its_target() -> None:
    info = zipfile.ZipInfo("photos/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert unpacked([stream.getvalue()], {"link": 11}) == ({"link": b"/etc/passwd"}, "")


def test_encrypted_and_exotic_zips_are_refused() -> None:
    content = bytearray(zipped({"x.bin": b"x"}))
    content[6] |= 1
    for refused in (bytes(content), zipped({"x.bin": b"x"}, zipfile.ZIP_LZMA)):
        assert "encrypted, or compressed by another method" in unpacked([refused], {"x.bin": 1})[1]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (ArchiveLimits(entries=2), "at most 2 files and folders"),
        (ArchiveLimits(total_bytes=150), "at most 150 bytes when unpacked"),
        (ArchiveLimits(entry_bytes=99), "at most 99 bytes"),
    ],
)
def test_number_and_sizes_are_limited(limits: ArchiveLimits, message: str) -> None:
    files = {str(number): b"x" * 100 for number in range(3)}
    assert message in unpacked([zipped(files)], dict.fromkeys(files, 100), limits)[1]


def test_a_zip_that_unpacks_to_many_times_its_size_is_refused() -> None:
    size = 80 * 1024**2
    with pytest.raises(ArchiveTooLargeError, match="bytes when unpacked"):
        for _, content in iter_streamed_zip([zipped({"zeros": bytes(size)})], {"zeros": size}, "", "the zip"):
            for _ in content:
                pass


def test_an_endless_stream_of_folders_is_refused() -> None:
    header = struct.Struct("<4s5H3I2H")

    def folders() -> Iterator[bytes]:
        for number in itertools.count():
            name = f"{number}/".encode()
            yield header.pack(b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name

    assert "at most 1,000 files and folders" in unpacked(folders(), {}, ArchiveLimits(entries=1_000))[1]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_large_file_takes_little_memory(method: int) -> None:
    size = 48 * 1024**2
    content = zipped({"zeros": bytes(size)}, method)
    blocks = (content[start : start + 65_536] for start in range(0, len(content), 65_536))
    tracemalloc.start()
    try:
        for _, parts in iter_streamed_zip(blocks, {"zeros": size}, "", "the zip"):
            assert sum(map(len, parts)) == size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024**2


def test_what_is_not_a_zip_is_refused() -> None:
    assert unpacked([b"<html>"], {"x": 1})[1] and unpacked([], {"x": 1})[1]
