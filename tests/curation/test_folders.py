"""The walk over the folders of a dataset, which serves its version and its numbers of photos."""

import os
import time
from pathlib import Path

import pytest

from model.curation import folders
from model.curation.folders import walk_folders
from model.curation.places import version_of
from tests.support.photos import write_photos


def counts(dataset: Path) -> dict[str, int]:
    return {folder.path: folder.photos for folder in walk_folders(dataset)}


def aged(dataset: Path) -> None:
    """Set the times of all folders back, as if nothing had been written for an hour."""
    past = time.time() - 3600
    for folder, _, _ in os.walk(dataset):
        os.utime(folder, (past, past))


def test_every_folder_is_counted_and_hidden_ones_are_not(tmp_path: Path) -> None:
    dataset = write_photos(tmp_path / "colours")
    nested = dataset / "red" / "one" / "two"
    nested.mkdir(parents=True)
    (nested / "9.jpg").write_bytes(b"x")
    (dataset / ".hidden").mkdir()
    (dataset / "back").symlink_to(dataset)
    found = counts(dataset)
    assert [found[name] for name in (".", "./blue", "./red", "./red/one", "./red/one/two")] == [0, 8, 8, 0, 1]
    assert "./.hidden" not in found and "./back" not in found
    assert counts(tmp_path / "none") == {}


@pytest.mark.parametrize("change", ["add", "rename", "remove"])
def test_a_change_in_a_nested_folder_is_another_version(tmp_path: Path, change: str) -> None:
    dataset = write_photos(tmp_path / "colours")
    nested = dataset / "red" / "one" / "two"
    nested.mkdir(parents=True)
    (nested / "9.jpg").write_bytes(b"x")
    before, read = version_of(dataset), counts(dataset)
    if change == "add":
        (nested / "10.jpg").write_bytes(b"x")
    elif change == "rename":
        (nested / "9.jpg").rename(nested / "10.jpg")
    else:
        (nested / "9.jpg").unlink()
    assert version_of(dataset) != before
    assert (counts(dataset) != read) == (change != "rename")


def test_folders_without_changes_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_photos(tmp_path / "colours")
    aged(dataset)
    counts(dataset)
    scanned: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(folders.os, "scandir", lambda folder: scanned.append(Path(folder).name) or scandir(folder))
    assert counts(dataset)["./red"] == 8 and scanned == []
    (dataset / "red" / "new.jpg").write_bytes(b"x")
    assert counts(dataset)["./red"] == 9 and scanned == ["red"]
