"""What is taken of a zip that broke off: members that came whole, and nothing else, wherever it broke."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from model.files.partial_zip import keep_whole_members
from tests.support.files import content_of


class Stream(io.RawIOBase):
    """What zipfile cannot seek in, so that it tells sizes and sums behind each member, as a Nextcloud does."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, content: Any) -> int:
        self.content += bytes(content)
        return len(content)

    def writable(self) -> bool:
        return True


def zipped(contents: dict[str, bytes], method: int, streamed: bool, large: bool = False) -> bytes:
    stream = Stream() if streamed else io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:  # type: ignore[arg-type]
        archive.writestr("photos/a/", b"")
        for name, content in contents.items():
            with archive.open(f"photos/{name}", "w", force_zip64=large) as member:
                member.write(content)
    return stream.content if isinstance(stream, Stream) else stream.getvalue()


CONTENTS = {"a/1.bin": os.urandom(700), "a/2 ü.bin": b"", "PK.bin": b"PK\x07\x08PK\x03\x04" * 9, "z.bin": b"z" * 500}
SIZES = {name: len(content) for name, content in CONTENTS.items()}


@pytest.mark.parametrize("large", [True, False], ids=["zip64", "zip"])
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_wherever_it_breaks_only_whole_members_are_taken(
    method: int, streamed: bool, large: bool, tmp_path: Path
) -> None:
    content = zipped(CONTENTS, method, streamed, large)
    numbers = []
    for end in (*range(0, len(content), 17), len(content)):
        (tmp_path / "broken.zip").write_bytes(content[:end])
        out = tmp_path / str(end)
        kept = keep_whole_members(tmp_path / "broken.zip", SIZES, "photos/", out)
        assert kept == list(CONTENTS)[: len(kept)] and content_of(out) == {name: CONTENTS[name] for name in kept}
        numbers.append(len(kept))
    assert numbers == sorted(numbers) and set(numbers) == {0, 1, 2, 3, 4}


def test_a_changed_byte_is_seen_by_the_sum(tmp_path: Path) -> None:
    content = zipped(CONTENTS, zipfile.ZIP_STORED, streamed=True)
    (tmp_path / "broken.zip").write_bytes(content.replace(b"z" * 500, b"z" * 499 + b"y")[:-30])
    assert keep_whole_members(tmp_path / "broken.zip", SIZES, "photos/", tmp_path / "out") == list(CONTENTS)[:3]


@pytest.mark.parametrize("name", ["../out.bin", "/tmp/out.bin", "a\\b.bin"], ids=["outside", "absolute", "a backslash"])
def test_a_name_that_leads_elsewhere_is_not_written_whatever_the_listing_says(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "broken.zip", "w") as archive:
        archive.writestr(name, b"evil")
    assert keep_whole_members(tmp_path / "broken.zip", {name: 4}, "photos/", tmp_path / "in" / "out") == []
    assert content_of(tmp_path).keys() == {"broken.zip"}


def test_what_is_not_listed_or_could_be_two_files_is_not_taken(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "broken.zip", "w") as archive:
        archive.writestr("photos/x.bin", b"what")
    for sizes in ({}, {"x.bin": 3}, {"x.bin": 4, "photos/x.bin": 4}):
        assert keep_whole_members(tmp_path / "broken.zip", sizes, "photos/", tmp_path / "out") == []


def test_what_is_no_zip_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(b"<html>")
    assert keep_whole_members(tmp_path / "page.html", {"x": 1}, "photos/", tmp_path / "out") == []
