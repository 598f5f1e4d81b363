"""Datasets pulled from remote storage: incremental, never deleting, verified, by one zip where the server offers it."""

import io
import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.errors import ArchiveError, StorageFullError, StorageNotFoundError, StorageRefusedError
from model.files.packing import pack_folder
from model.files.streamed_zip import iter_streamed_zip
from model.storage import nextcloud as nextcloud_module
from model.storage import pulling
from model.storage.copies import cached_copy_path, dataset_folder, local_paths, output_file
from model.storage.nextcloud import fetch_as_zip
from model.storage.pulling import pull
from model.workspace import Workspace
from tests.support.files import content_of, write_files
from tests.support.storage_servers import Fault, FaultyProxy, StorageServer, use


def test_only_changed_files_of_a_folder_are_pulled_again(remote_folder: Path, tmp_path: Path) -> None:
    contents = write_files(remote_folder)
    local_folder = tmp_path / "here"
    assert (pull(f"rshare:{remote_folder.name}", local_folder).way, content_of(local_folder)) == ("files", contents)
    assert pull(f"rshare:{remote_folder.name}", local_folder).way == "unchanged"
    (remote_folder / "a" / "0 ü.bin").write_bytes(b"another size")
    pulled = pull(f"rshare:{remote_folder.name}", local_folder)
    assert (pulled.fetched, (local_folder / "a" / "0 ü.bin").read_bytes()) == (1, b"another size")


def test_no_local_file_is_deleted_even_by_an_empty_listing(remote_folder: Path, tmp_path: Path) -> None:
    write_files(remote_folder)
    local_folder = tmp_path / "here"
    local_folder.mkdir()
    (local_folder / "mine.txt").write_text("mine")
    assert pull(f"rshare:{remote_folder.name}", local_folder).only_here == 1
    kept = content_of(local_folder)
    for path in remote_folder.rglob("*.bin"):
        path.unlink()
    with pytest.raises(StorageNotFoundError, match="empty listing"):
        pull(f"rshare:{remote_folder.name}", local_folder)
    assert content_of(local_folder) == kept


def test_a_packed_dataset_is_pulled_unchanged(remote_folder: Path, tmp_path: Path) -> None:
    contents = write_files(tmp_path / "photos")
    pack_folder(tmp_path / "photos", remote_folder / "photos.tar")
    local_folder = tmp_path / "here"
    assert pull(f"rshare:{remote_folder.name}/photos.tar", local_folder).way == "archive"
    assert content_of(local_folder) == contents
    assert pull(f"rshare:{remote_folder.name}/photos.tar", local_folder).way == "unchanged"
    (local_folder / "b" / "1 ü.bin").unlink()
    assert pull(f"rshare:{remote_folder.name}/photos.tar", local_folder).way == "archive"
    assert content_of(local_folder) == contents


def test_an_unsafe_archive_leaves_no_files(remote_folder: Path, tmp_path: Path) -> None:
    with tarfile.open(remote_folder / "evil.tar", "w") as tar:
        member = tarfile.TarInfo("../evil.txt")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(ArchiveError, match="leads outside"):
        pull(f"rshare:{remote_folder.name}/evil.tar", tmp_path / "in" / "here")
    assert content_of(tmp_path / "in") == {} and not (tmp_path / "evil.txt").exists()


@pytest.fixture
def nextcloud(webdav: StorageServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A server that hands out folders as zips."""
    with FaultyProxy(webdav, zips=True) as proxy:
        use(monkeypatch, proxy.environment(vendor="nextcloud"))
        yield proxy


def test_many_small_files_are_pulled_as_one_zip(nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path) -> None:
    contents = write_files(remote_folder, 30)
    pulled = pull(f"rshare:{remote_folder.name}", tmp_path / "here")
    assert (pulled.way, content_of(tmp_path / "here")) == ("zip", contents)
    assert nextcloud.count("GET") == 1
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "unchanged"


def test_files_missing_from_a_truncated_zip_are_pulled_one_by_one(
    nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path
) -> None:
    contents = write_files(remote_folder, 25)
    nextcloud.faults = [Fault("GET", "hang up", times=1)]
    assert (pull(f"rshare:{remote_folder.name}", tmp_path / "here").way, content_of(tmp_path / "here")) == (
        "files",
        contents,
    )


@pytest.mark.parametrize("mirror", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_only_files_missing_from_a_truncated_zip_are_pulled_again(
    mirror: bool, nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path
) -> None:
    contents = write_files(remote_folder, 40, size=30_000)
    nextcloud.faults = [Fault("GET", "cut download", times=1, fraction=0.9)]
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here", mirror=mirror).way == "files"
    assert content_of(tmp_path / "here") == contents and sorted(os.listdir(tmp_path)) == ["cache", "here"]
    assert 2 <= nextcloud.count("GET") <= 1 + 8, "the members that came whole are not asked for again"
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "unchanged", (
        "they have the times of the storage"
    )


def add_to_zip(name: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the zip of a folder begin with a file that its listing does not have."""
    write = zipfile.ZipFile.write

    def write_after(archive: zipfile.ZipFile, path: Path, arcname: str) -> None:
        if not archive.namelist():
            archive.writestr(f"{arcname.split('/')[0]}/{name}", content)
        write(archive, path, arcname)

    monkeypatch.setattr(zipfile.ZipFile, "write", write_after)


def test_a_photo_added_between_listing_and_zip_is_skipped(
    nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = write_files(remote_folder, 25)
    add_to_zip("a/added.bin", os.urandom(5_000), monkeypatch)
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "zip"
    assert content_of(tmp_path / "here") == contents and nextcloud.count("GET") == 1


def test_names_that_rclone_marks_are_found_in_a_zip(
    nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path
) -> None:
    contents = write_files(remote_folder, 25)
    for name in ("a/\u2421.bin", "b/line\u240a.bin"):
        contents[name] = name.encode()
        (remote_folder / name).write_bytes(contents[name])
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "zip"
    assert content_of(tmp_path / "here") == contents and nextcloud.count("GET") == 1
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "unchanged"


def test_a_truncated_zip_is_reported_as_such(
    nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    contents = write_files(remote_folder, 25, size=30_000)
    nextcloud.faults = [Fault("GET", "cut download", times=1)]
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "files"
    assert content_of(tmp_path / "here") == contents
    remaining = nextcloud.count("GET", 200) - 1
    assert 0 < remaining < 25
    assert "the zip could not be used completely: " in caplog.text and "connection" in caplog.text
    assert f"the remaining {remaining} files are downloaded one by one." in caplog.text


def test_an_unsafe_name_in_a_zip_is_reported_as_such(
    nextcloud: FaultyProxy,
    remote_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    contents = write_files(remote_folder, 25)
    add_to_zip("../../out.bin", b"evil", monkeypatch)
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "files"
    assert content_of(tmp_path / "here") == contents and not list(tmp_path.parent.rglob("out.bin"))
    assert "its path leads outside" in caplog.text and "truncated" not in caplog.text
    assert "the remaining 25 files are downloaded one by one." in caplog.text


def killed_while_fetching(source: str, local_folder: Path) -> None:
    """Pull in a process that is killed in the middle of a file, when half of the zip has arrived."""
    code = (
        "import sys, os, signal; from pathlib import Path; from model.storage import nextcloud\n"
        "unzip = nextcloud.iter_streamed_zip\n"
        "def die_halfway(blocks, sizes, *arguments):\n"
        "    def half_and_die(content):\n"
        "        yield next(content)[:5]\n"
        "        (Path(sys.argv[2]).parent / '.here.unpacking' / 'arriving').stat()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    for number, (name, content) in enumerate(unzip(blocks, sizes, *arguments)):\n"
        "        yield name, half_and_die(content) if number == len(sizes) // 2 else content\n"
        "nextcloud.iter_streamed_zip = die_halfway\n"
        "from model.storage.pulling import pull; pull(sys.argv[1], Path(sys.argv[2]))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code, source, str(local_folder)], check=False).returncode
        == -signal.SIGKILL
    )


def test_a_pull_killed_within_a_zip_is_resumed(nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path) -> None:
    contents = write_files(remote_folder, 40)
    killed_while_fetching(f"rshare:{remote_folder.name}", tmp_path / "here")
    kept = content_of(tmp_path / "here")
    assert len(kept) == 20 and kept.items() <= contents.items(), "whole files only"
    (remote_folder / sorted(contents)[-1]).unlink()
    del contents[sorted(contents)[-1]]
    nextcloud.seen.clear()
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "files"
    assert content_of(tmp_path / "here") == contents and sorted(os.listdir(tmp_path)) == ["cache", "here"]
    assert nextcloud.count("GET") == 19


def small_disk(room: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a disk have so much room, less what is in the pulled folder and what is staged beside it."""

    def usage(path: Path) -> shutil._ntuple_diskusage:
        staged = [path for path in folder.iterdir() if path.is_file()]
        used = sum(path.stat().st_size for path in [*staged, *(folder / "here").rglob("*")] if path.is_file())
        return shutil._ntuple_diskusage(room, used, room - used)

    monkeypatch.setattr(shutil, "disk_usage", usage)


def test_leftovers_of_a_killed_pull_count_as_free_space(
    nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = write_files(remote_folder, 40, size=10_000)
    killed_while_fetching(f"rshare:{remote_folder.name}", tmp_path / "here")
    small_disk(410_000, tmp_path, monkeypatch)
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").fetched == 20
    assert content_of(tmp_path / "here") == contents and sorted(os.listdir(tmp_path)) == ["cache", "here"]


def test_a_zip_needs_no_more_space_than_its_files(
    nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = write_files(remote_folder, 25, size=10_000)
    small_disk(sum(map(len, contents.values())), tmp_path, monkeypatch)
    taken = []

    def unzip_and_measure(*arguments: Any) -> Iterator[tuple[str, Iterator[bytes]]]:
        for name, content in iter_streamed_zip(*arguments):
            taken.append(sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))
            yield name, content

    monkeypatch.setattr(nextcloud_module, "iter_streamed_zip", unzip_and_measure)
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "zip"
    assert content_of(tmp_path / "here") == contents and nextcloud.count("GET") == 1
    whole = [0, *itertools.accumulate(len(contents[name]) for name in sorted(contents))][:-1]
    assert taken == whole, "only the files that have arrived are on the disk"


def test_a_disk_full_within_a_zip_loses_no_complete_file_and_leaves_no_partial_one(
    nextcloud: FaultyProxy,
    remote_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    contents = write_files(remote_folder, 25)
    (remote_folder / "b" / "large.bin").write_bytes(contents.setdefault("b/large.bin", os.urandom(9_000)))

    def fetch_onto_a_full_disk(*arguments: Any) -> bool:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
        try:
            return fetch_as_zip(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    monkeypatch.setattr(pulling, "fetch_as_zip", fetch_onto_a_full_disk)
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "files"
    assert content_of(tmp_path / "here") == contents and sorted(os.listdir(tmp_path)) == ["cache", "here"]
    assert nextcloud.count("GET") == 2, "the files that came whole are not asked for again"
    assert f"cannot write to {tmp_path / 'here'}: File too large; the remaining 1 files" in caplog.text


def test_a_disk_that_stays_full_is_an_error_of_its_own(
    nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path
) -> None:
    write_files(remote_folder, 25)
    (remote_folder / "b" / "large.bin").write_bytes(os.urandom(900_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
    try:
        with pytest.raises(StorageFullError):
            pull(f"rshare:{remote_folder.name}", tmp_path / "here")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert len(content_of(tmp_path / "here")) == 25, "complete files are kept"


@pytest.mark.slow
def test_leftovers_of_a_pull_of_an_older_folder_are_not_used(
    nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path
) -> None:
    contents = write_files(remote_folder, 40)
    killed_while_fetching(f"rshare:{remote_folder.name}", tmp_path / "here")
    first = remote_folder / "a" / "0 ü.bin"
    contents["a/0 ü.bin"] = os.urandom(50)
    first.write_bytes(contents["a/0 ü.bin"])
    os.utime(first, (1_700_000_000, 1_700_000_000))
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "zip"
    assert content_of(tmp_path / "here") == contents and sorted(os.listdir(tmp_path)) == ["cache", "here"]


def test_a_partially_unpacked_archive_does_not_stop_a_later_pull(
    nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path
) -> None:
    contents = write_files(remote_folder, 30)
    for left in (".here.unpacking", "..here.unpacking.0123"):
        (tmp_path / left / "a").mkdir(parents=True)
        (tmp_path / left / "a" / "old.bin").write_bytes(b"old")
    assert pull(f"rshare:{remote_folder.name}", tmp_path / "here").way == "zip"
    assert content_of(tmp_path / "here") == contents and sorted(os.listdir(tmp_path)) == ["cache", "here"]


@pytest.mark.parametrize("count", [3, 30], ids=["one by one", "zip"])
def test_a_file_that_became_a_folder_is_mirrored(
    count: int, nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path
) -> None:
    contents = write_files(remote_folder, count)
    local_folder = tmp_path / "here"
    (local_folder / "b" / "1 ü.bin").mkdir(parents=True)
    (local_folder / "b" / "1 ü.bin" / "old.bin").write_bytes(b"a folder that became a file")
    (local_folder / "a").write_bytes(b"a file that became a folder")
    assert pull(f"rshare:{remote_folder.name}", local_folder, mirror=True).fetched == count
    assert content_of(local_folder) == contents


def test_a_refused_zip_is_not_retried_file_by_file(nextcloud: FaultyProxy, remote_folder: Path, tmp_path: Path) -> None:
    write_files(remote_folder, 25)
    nextcloud.faults = [Fault("GET", "status", status=401)]
    with pytest.raises(StorageRefusedError):
        pull(f"rshare:{remote_folder.name}", tmp_path / "here")
    assert nextcloud.count("GET") == 1


def test_the_copy_of_a_dataset_follows_the_remote(remote_folder: Path, tmp_path: Path) -> None:
    write_files(remote_folder)
    workspace, name = Workspace(tmp_path), f"rshare:{remote_folder.name}"
    with dataset_folder(workspace, name, "a test") as folder:
        assert folder == cached_copy_path(name)
    (remote_folder / "b" / "1 ü.bin").unlink()
    with dataset_folder(workspace, name, "a test", may_be_old=True) as folder:
        assert sorted(content_of(folder)) == ["a/0 ü.bin", "a/2 ü.bin", "b/1 ü.bin"]
    with dataset_folder(workspace, name, "a test") as folder:
        assert sorted(content_of(folder)) == ["a/0 ü.bin", "a/2 ü.bin"]


def test_files_and_folders_keep_their_remote_names(remote_folder: Path, tmp_path: Path) -> None:
    write_files(remote_folder)
    folder, file = f"rshare:{remote_folder.name}", f"rshare:{remote_folder.name}/a/0 ü.bin"
    with local_paths([folder, file, str(tmp_path)], "a test") as paths:
        assert paths.name_of(paths.paths[0] / "b" / "1 ü.bin") == f"{folder}/b/1 ü.bin"
        assert paths.name_of(paths.paths[1]) == file and paths.paths[1].read_bytes()
        assert paths.paths[2] == tmp_path


def test_an_output_is_uploaded_when_complete(remote_folder: Path) -> None:
    where = Path(f"rshare:{remote_folder.name}/answers.csv")
    with pytest.raises(KeyError), output_file(where) as local:
        local.write_text("half")
        raise KeyError
    assert os.listdir(remote_folder) == []
    with output_file(where) as local:
        assert local.read_text() == "half", "a partial file can be resumed"
        local.write_text("whole")
    assert (remote_folder / "answers.csv").read_text() == "whole" and not local.exists()


def test_files_of_any_name_in_a_zip_keep_their_content(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a/1.bin", b"1")
    assert pull(str(tmp_path / "photos.zip"), tmp_path / "here").way == "archive"
    assert content_of(tmp_path / "here") == {"a/1.bin": b"1"}


def test_a_local_disk_that_is_too_small_is_reported_before_the_transfer(
    remote_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(remote_folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(StorageFullError, match="found 10"):
        pull(f"rshare:{remote_folder.name}", tmp_path / "here")
    assert not (tmp_path / "here").exists()
