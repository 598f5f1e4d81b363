"""Folders of a dataset in which no photo is found: they are reported with what is in them."""

from pathlib import Path

import pytest

from model.dataset.layouts import find_layout
from tests.dataset.test_folders import refusal, write

# First bytes of a file, and what it is called.
UNREAD = {
    "1.npy": (b"\x93NUMPY\1\0", "a NumPy array: save it as PNG or JPEG"),
    "1.h5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file: export it as TIFF"),
    "1.mp4": (b"\0\0\0\x18ftypisom", "a video (MP4 or QuickTime): extract its frames as images"),
    "1.zip": (b"PK\x03\x04", "a zip archive (or an office document): unpack it"),
    "1.xyz": (b"\1\2\3", "files ending in .xyz"),
    "photo": (b"", "files without an ending"),
}


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("place", ["owl", "train/owl", "test/cat"])
def test_a_folder_without_a_photo_is_reported_with_its_files(tmp_path: Path, name: str, place: str) -> None:
    start = "train/" if "/" in place else ""
    write(tmp_path, start + "{cat,dog}/{1,2}.jpg", "test/dog/3.jpg" if start else "dog/3.jpg")
    content, kind = UNREAD[name]
    (tmp_path / place).mkdir()
    (tmp_path / place / name).write_bytes(content)
    warnings = find_layout(tmp_path).warnings
    assert any(f"{place}/ was left out" in text and f"{name} ({kind})" in text for text in warnings), warnings


def test_a_missing_second_class_is_reported_with_the_files_found(tmp_path: Path) -> None:
    write(tmp_path, "cat/{1,2}.jpg", "dog/{1,2}.npy")
    message = refusal(tmp_path)
    assert "found images of one: cat; the folder dog/ was left out" in message
    assert "1.npy, 2.npy (files ending in .npy)" in message


def test_empty_folders_are_reported_together(tmp_path: Path) -> None:
    write(tmp_path, "train/{cat,dog}/{1,2}.jpg", "train/owl/.gitkeep", "train/jay/Thumbs.db", "test/cat/.gitkeep")
    assert "folders that contain no images, 2 of them, are no classes: jay, owl" in find_layout(tmp_path).warnings
