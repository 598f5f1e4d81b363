"""Links in a folder are followed when pushing and pulling, but never in a loop."""

from pathlib import Path

import pytest

from model.storage import open_storage
from tests.support.files import LINKED_FILES, content_of, write_linked_folder
from tests.support.storage_servers import StorageServer


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A dataset with links, one of them back to the top."""
    return write_linked_folder(tmp_path)


def test_linked_folders_are_pushed_and_pulled(linked: Path, root: str, tmp_path: Path) -> None:
    storage = open_storage(root)
    storage.push(linked, "set")
    assert [entry.name for entry in storage.list("set")] == LINKED_FILES
    storage.fetch("set", tmp_path / "back")
    assert sorted(content_of(tmp_path / "back")) == LINKED_FILES


def test_every_name_of_a_folder_with_a_link_loop_is_pushed(linked: Path, webdav: StorageServer) -> None:
    """rclone skips names in a list of files that end in a carriage return, or have its own mark for others."""
    names = ["cats/line end\r", "cats/ blank", "cats/#1", "cats/[a]*", "cats/not UTF-8 \udcff"]
    for name in names:
        (linked / name).write_bytes(b"1")
    open_storage("rshare:").push(linked, "loop")
    assert len(open_storage("rshare:loop").list()) == len(LINKED_FILES + names)


def test_a_local_remote_follows_links_but_no_loops(linked: Path, tmp_path: Path) -> None:
    storage = open_storage(str(linked))
    assert [entry.name for entry in storage.list()] == LINKED_FILES
    storage.fetch("", tmp_path / "back")
    assert sorted(content_of(tmp_path / "back")) == LINKED_FILES
