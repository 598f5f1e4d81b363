"""Checksum files list the previous and the new checksum during a replacement; files of caches hold their own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.files.checksums import cached_content, replaced_checksum_file

PREVIOUS, NEW = b"0" * 64 + b"  model.tar.xz\n", b"1" * 64 + b"  model.tar.xz\n"
STATES = {"none before": None, "one before": PREVIOUS}


@pytest.fixture(params=STATES)
def checksum(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "model.tar.xz.sha256"
    previous = STATES[request.param]
    if previous is not None:
        path.write_bytes(previous)
    return path


def test_both_checksums_are_listed_until_the_file_is_replaced(checksum: Path) -> None:
    previous = checksum.read_bytes() if checksum.exists() else b""
    with replaced_checksum_file(checksum, NEW):
        assert checksum.read_bytes() == previous + NEW
    assert checksum.read_bytes() == NEW


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_the_previous_checksum_file_is_restored_after_an_error(checksum: Path, error: BaseException) -> None:
    previous = checksum.read_bytes() if checksum.exists() else None
    with pytest.raises(type(error)), replaced_checksum_file(checksum, NEW):
        raise error
    assert (checksum.read_bytes() if checksum.exists() else None) == previous


def test_content_of_a_cache_is_made_once_and_again_if_damaged(tmp_path, caplog):
    made: list[int] = []

    def make() -> bytes:
        made.append(len(made))
        return b"content " * 1000

    path = tmp_path / "folder" / "file"
    assert {cached_content(path, make, "the table") for _ in range(3)} == {b"content " * 1000} and made == [0]
    for damaged in (b"", path.read_bytes()[:-1], path.read_bytes()[:40] + b"?" + path.read_bytes()[41:]):
        path.write_bytes(damaged)
        assert cached_content(path, make, "the table") == b"content " * 1000
    assert len(made) == 4 and "the table is made again" in caplog.text


def test_processes_that_make_content_at_the_same_time_leave_one_whole_file(tmp_path):
    together = threading.Barrier(4)

    def make() -> bytes:
        together.wait()
        return b"content " * 100_000

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cached_content(tmp_path / "file", make, "the table"), range(4)))
    assert set(found) == {b"content " * 100_000} and [path.name for path in tmp_path.iterdir()] == ["file"]
    assert cached_content(tmp_path / "file", lambda: pytest.fail("it is there"), "the table") == found[0]


def test_content_is_used_where_the_cache_cannot_be_written(tmp_path, caplog):
    (tmp_path / "folder").write_text("a file where the folder should be")
    assert cached_content(tmp_path / "folder" / "file", lambda: b"content", "the table") == b"content"
    assert "the table could not be saved" in caplog.text
