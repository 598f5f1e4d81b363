"""Archives: intact ones are unpacked; unsafe ones are refused and leave no files."""

import io
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import ArchiveError
from model.files.archive_limits import ArchiveLimits
from model.files.archives import count_zip_files, is_archive, iter_zip_images, unpack_archive
from tests.support.files import content_of, tarred, zipped
from tests.support.hostile_archives import HOSTILE_ARCHIVES

FILES = {"a/1.jpg": b"one", "a/2 3.jpg": b"two" * 1000, "b/empty": b""}


def refusal(tmp_path: Path, content: bytes, limits: ArchiveLimits | None = None) -> str:
    """The message of the refusal; nothing must be left but the archive."""
    room = tmp_path / "room"
    room.mkdir(exist_ok=True)
    archive = room / "archive"
    archive.write_bytes(content)
    with pytest.raises(ArchiveError) as caught:
        unpack_archive(archive, room / "out", limits or ArchiveLimits())
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["archive", "room"]
    return caught.value.message


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_archive_formats_are_recognised_by_content(tmp_path: Path, mode: str) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(zipped(FILES) if mode == "zip" else tarred(FILES, mode))
    assert is_archive(archive)
    assert content_of(unpack_archive(archive, tmp_path / "deep" / "out")) == FILES
    assert content_of(unpack_archive(archive, tmp_path / "deep" / "out")) == FILES
    assert os.listdir(tmp_path / "deep") == ["out"]


@pytest.mark.parametrize("kind", HOSTILE_ARCHIVES)
def test_hostile_archives_are_refused(tmp_path: Path, kind: str) -> None:
    make, reason = HOSTILE_ARCHIVES[kind]
    assert reason in refusal(tmp_path, make())


def test_other_files_are_no_archives(tmp_path: Path) -> None:
    assert not is_archive(tmp_path)
    assert not is_archive(tmp_path / "missing")
    assert "expected a .zip, .tar" in refusal(tmp_path, b"hello")


def _file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "archive"
    path.write_bytes(content)
    return path


def test_folders_may_be_named_before_their_files(tmp_path: Path) -> None:
    content = zipped({"./": b"", "a/": b"", "a/1": b"x"})
    assert content_of(unpack_archive(_file(tmp_path, content), tmp_path / "out")) == {"a/1": b"x"}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_limits_of_number_and_size_apply(tmp_path: Path, pack: Callable[[Mapping[str, bytes]], bytes]) -> None:
    content = pack({"1": b"x" * 600, "2": b"y" * 600})
    assert "at most 1 files and folders" in refusal(tmp_path, content, ArchiveLimits(entries=1))
    assert "at most 1,000 bytes when unpacked" in refusal(tmp_path, content, ArchiveLimits(total_bytes=1000))
    assert "files of at most 500 bytes, '1' is larger" in refusal(tmp_path, content, ArchiveLimits(entry_bytes=500))


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:xz"])
def test_truncated_archives_are_refused(tmp_path: Path, mode: str, keep: float) -> None:
    files = {str(number): os.urandom(20_000) for number in range(5)}
    content = zipped(files) if mode == "zip" else tarred(files, mode)
    assert refusal(tmp_path, content[: int(len(content) * keep)])


def test_an_unwritable_target_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArchiveError, match="cannot be unpacked into"):
        unpack_archive(_file(tmp_path, zipped(FILES)), tmp_path / "file" / "out")
    with pytest.raises(ArchiveError, match="File name too long"):
        unpack_archive(_file(tmp_path, zipped({"x" * 300: b""})), tmp_path / "out")


@settings(max_examples=100, deadline=None)
@given(
    names=st.lists(st.text("ab./\\:", min_size=1, max_size=8), min_size=1, max_size=5),
    as_tar=st.booleans(),
)
def test_any_names_are_unpacked_inside_the_target(names: list[str], as_tar: bool) -> None:
    files = dict.fromkeys(names, b"x")
    with tempfile.TemporaryDirectory() as directory:
        room = Path(directory, "room")
        room.mkdir()
        archive = _file(room, tarred(files) if as_tar else zipped(files))
        try:
            unpack_archive(archive, room / "out")
            assert all((room / "out") in path.parents for path in (room / "out").rglob("*"))
        except ArchiveError:
            assert os.listdir(room) == ["archive"]
        assert os.listdir(directory) == ["room"]


@settings(max_examples=100, deadline=None)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    as_tar=st.booleans(),
)
def test_any_damage_is_an_error_or_harmless(changes: list[tuple[float, int]], as_tar: bool) -> None:
    content = bytearray(tarred(FILES) if as_tar else zipped(FILES))
    for place, value in changes:
        content[int(place * len(content))] = value
    with tempfile.TemporaryDirectory() as directory:
        archive = _file(Path(directory), bytes(content))
        try:
            unpack_archive(archive, Path(directory, "out"))
        except ArchiveError:
            assert os.listdir(directory) == ["archive"]


def test_zip_images_skip_files_of_operating_systems() -> None:
    content = zipped(
        {"a/": b"", "a/1.jpg": b"one", "__MACOSX/a/._1.jpg": b"", ".DS_Store": b"", "readme.txt": b"hello"}
    )
    assert list(iter_zip_images(content)) == [("a/1.jpg", b"one"), ("readme.txt", b"hello")]


def test_zip_images_are_read_from_a_path(tmp_path: Path) -> None:
    assert dict(iter_zip_images(_file(tmp_path, zipped(FILES)))) == FILES


def test_zip_images_report_a_bad_entry_and_continue() -> None:
    content = bytearray(zipped({"1": b"x" * 100, "2": b"y" * 100, "3": b"z" * 5000}, zipfile.ZIP_STORED))
    content[content.index(b"x" * 100)] ^= 1
    errors: dict[str, str] = {}
    limits = ArchiveLimits(entry_bytes=1000)
    assert list(iter_zip_images(bytes(content), limits, errors.__setitem__)) == [("2", b"y" * 100)]
    assert list(errors) == ["1", "3"]
    assert "damaged" in errors["1"]
    assert "at most 1,000 bytes" in errors["3"]
    with pytest.raises(ArchiveError, match="damaged"):
        list(iter_zip_images(bytes(content), limits))


@pytest.mark.parametrize(
    ("content", "limits", "message"),
    [
        (b"no zip", ArchiveLimits(), "damaged"),
        (zipped({}), ArchiveLimits(), "found no file"),
        (zipped({".hidden": b"x"}), ArchiveLimits(), "found no file"),
        (zipped({"../x": b"x"}), ArchiveLimits(), "leads outside"),
        (zipped({"1": b"", "2": b""}), ArchiveLimits(entries=1), "at most 1 files"),
        (zipped({"1": b"x" * 60, "2": b"y" * 60}), ArchiveLimits(total_bytes=100), "at most 100 bytes"),
    ],
)
def test_zips_of_images_that_are_refused_as_a_whole(content: bytes, limits: ArchiveLimits, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        list(iter_zip_images(content, limits, lambda name, why: None))


def test_the_files_of_a_zip_are_counted_without_unpacking(tmp_path: Path) -> None:
    content = zipped({"a/": b"", "a/1.jpg": b"one", "2.jpg": b"", "__MACOSX/a/._1.jpg": b"", ".DS_Store": b""})
    assert count_zip_files(_file(tmp_path, content)) == 2
    stream = io.BytesIO(content)
    assert count_zip_files(stream) == 2 and not stream.closed
    assert count_zip_files(_file(tmp_path, b"no zip")) == count_zip_files(tmp_path / "missing") == 0


def test_a_central_directory_longer_than_the_limit_is_not_read(tmp_path: Path) -> None:
    """Two hundred thousand entries of one byte each would be objects of a hundred megabytes before any is counted."""
    entry = zipped({"x": b""})
    table_at = entry.index(b"PK\x01\x02")
    table = entry[table_at : entry.index(b"PK\x05\x06")] * 200_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(table), table_at, 0)
    content = entry[:table_at] + table + end
    limits = ArchiveLimits(entries=10_000)
    assert "table of contents" in refusal(tmp_path, content, limits)
    with pytest.raises(ArchiveError, match="table of contents"):
        next(iter_zip_images(content, limits))
    assert count_zip_files(io.BytesIO(content), limits) == 0
