"""Packing: every file that a training reads is in the tar and is unpacked unchanged."""

import json
import logging
import os
import tarfile
from pathlib import Path

import pytest

from model.dataset.folder_tree import read_tree
from model.errors import ArchiveError, DatasetError
from model.files.archives import unpack_archive
from model.files.packing import INDEX, pack_folder, verify_unpacked
from tests.support.files import LINKED_FILES, content_of, write_files, write_linked_folder


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    write_files(tmp_path / "photos")
    packed = pack_folder(tmp_path / "photos", tmp_path / "1.tar")
    os.utime(tmp_path / "photos" / "a" / "0 ü.bin", (1, 1))
    assert pack_folder(tmp_path / "photos", tmp_path / "2.tar").sha256 == packed.sha256


def test_linked_folders_are_followed_when_packing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    linked = write_linked_folder(tmp_path)
    (linked / "cats" / "gone.jpg").symlink_to(tmp_path / "gone.jpg")
    assert pack_folder(linked, tmp_path / "photos.tar").files == len(LINKED_FILES)
    unpacked = unpack_archive(tmp_path / "photos.tar", tmp_path / "out")
    verify_unpacked(unpacked)
    assert sorted(content_of(unpacked)) == LINKED_FILES
    assert {name for name in read_tree(linked).images_below() if "gone" not in name} == set(LINKED_FILES)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{linked}: left out links to missing files: cats/gone.jpg"
    ]


@pytest.mark.parametrize("name", ["x\\y.jpg", "a/\\1.jpg", "c:1.jpg", "C:/1.jpg"])
def test_a_name_that_an_archive_cannot_store_is_refused_before_packing(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "photos" / "1.jpg", tmp_path / "photos" / name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    with pytest.raises(DatasetError, match="Rename them") as refused:
        pack_folder(tmp_path / "photos", tmp_path / "photos.tar")
    assert name in refused.value.message and not (tmp_path / "photos.tar").exists()


def test_an_archive_that_does_not_match_its_index_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path / "photos")
    pack_folder(tmp_path / "photos", tmp_path / "photos.tar")
    with tarfile.open(tmp_path / "photos.tar") as tar:
        tar.extractall(tmp_path / "out", filter="data")
    (tmp_path / "out" / "a" / "0 ü.bin").write_bytes(b"x" * 50)
    (tmp_path / "out" / "b" / "1 ü.bin").unlink()
    with pytest.raises(ArchiveError, match=r"0 ü\.bin has another content .*1 ü\.bin is missing"):
        verify_unpacked(tmp_path / "out")
    assert json.loads((tmp_path / "out" / INDEX).read_text())["format"] == 1
