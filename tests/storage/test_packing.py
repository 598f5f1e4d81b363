"""Packing loses nothing: what a training reads is in the tar, and comes out of it as it went in."""

import logging
from pathlib import Path

import pytest

from model.dataset.image_files import pictures_below
from model.errors import DatasetError
from model.files.archives import unpack_archive
from model.files.packing import pack_folder, verify_unpacked
from model.storage import open_storage
from tests.support.files import content_of
from tests.support.storage_servers import StorageServer


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A dataset of which one folder and one file are links, with a link back to the top and one to nowhere."""
    photos = tmp_path / "photos"
    for path in (photos / "cats" / "1.jpg", tmp_path / "elsewhere" / "deep" / "2.jpg", tmp_path / "3.jpg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    (photos / "dogs").symlink_to(tmp_path / "elsewhere")
    (photos / "puppies").symlink_to(photos / "dogs" / "deep")
    (photos / "cats" / "3.jpg").symlink_to(tmp_path / "3.jpg")
    (photos / "cats" / "all").symlink_to(photos)
    return photos


LINKED = ["cats/1.jpg", "cats/3.jpg", "dogs/deep/2.jpg", "puppies/2.jpg"]


def test_linked_folders_are_packed_as_they_are_read(
    linked: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (linked / "cats" / "gone.jpg").symlink_to(tmp_path / "gone.jpg")
    assert pack_folder(linked, tmp_path / "photos.tar").files == len(LINKED)
    unpacked = unpack_archive(tmp_path / "photos.tar", tmp_path / "out")
    verify_unpacked(unpacked)
    assert sorted(content_of(unpacked)) == LINKED
    for name in ("cats", "dogs", "puppies"):
        read = [picture for picture in pictures_below(linked / name, linked)[0] if "gone" not in picture]
        assert {Path(picture).name for picture in read} >= {Path(one).name for one in LINKED if one.startswith(name)}
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{linked}: left out, for they lead to no file: cats/gone.jpg"
    ]


@pytest.mark.parametrize("name", ["x\\y.jpg", "a/\\1.jpg", "c:1.jpg", "C:/1.jpg"])
def test_a_name_that_an_archive_does_not_keep_is_refused_before_packing(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "photos" / "1.jpg", tmp_path / "photos" / name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    with pytest.raises(DatasetError, match="Rename them") as refused:
        pack_folder(tmp_path / "photos", tmp_path / "photos.tar")
    assert name in refused.value.message and not (tmp_path / "photos.tar").exists()


def test_linked_folders_go_to_a_storage_and_come_from_it(linked: Path, root: str, tmp_path: Path) -> None:
    storage = open_storage(root)
    storage.push(linked, "set")
    assert [entry.name for entry in storage.list("set")] == LINKED
    storage.fetch("set", tmp_path / "back")
    assert sorted(content_of(tmp_path / "back")) == LINKED


def test_of_a_folder_with_a_circle_every_name_goes_to_a_storage(linked: Path, webdav: StorageServer) -> None:
    """rclone passes over names in a list of files that end in a line end, or have its own mark for others."""
    names = ["cats/line end\r", "cats/ blank", "cats/#1", "cats/[a]*", "cats/not UTF-8 \udcff"]
    for name in names:
        (linked / name).write_bytes(b"1")
    open_storage("rshare:").push(linked, "circle")
    assert len(open_storage("rshare:circle").list()) == len(LINKED + names)


def test_a_local_storage_follows_links_but_never_in_circles(linked: Path, tmp_path: Path) -> None:
    storage = open_storage(str(linked))
    assert [entry.name for entry in storage.list()] == LINKED
    storage.fetch("", tmp_path / "back")
    assert sorted(content_of(tmp_path / "back")) == LINKED
