"""Uploads that replace a file: its public link stays valid, and what fails changes neither it nor its checksum."""

import hashlib
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from model.errors import (
    StorageBusyError,
    StorageDamagedError,
    StorageError,
    StorageFullError,
    StorageRefusedError,
    StorageRequestTooLargeError,
    StorageUnreachableError,
)
from model.publishing.public_link import PublicLink, SharedFiles
from model.storage import in_place, open_storage, parse_place, uploading
from model.storage.settings import webdav_account
from model.storage.webdav import move_over
from model.workspace import cache_directory
from tests.support.command import ROOT
from tests.support.nextcloud_server import Nextcloud, nextcloud
from tests.support.storage_servers import Fault, FaultyProxy, StorageServer, use

FOLDER, NAME = "models", "pets.tar.xz"
CHECKSUM = f"{NAME}.sha256"
CHUNK = "100k"
OLD, NEW = random.Random(1).randbytes(250_000), random.Random(2).randbytes(260_000)
_PUSH = """
import sys
from pathlib import Path
from model.storage import open_storage

source = Path(sys.argv[1])
sys.stdin.readline()
open_storage("rshare:models").push(source, source.name, checksum=source.with_name(f"{source.name}.sha256"))
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nextcloud]:
    with nextcloud(tmp_path_factory.mktemp("nextcloud") / "files") as cloud:
        yield cloud


@pytest.fixture
def cloud(running: Nextcloud, monkeypatch: pytest.MonkeyPatch) -> Nextcloud:
    """A Nextcloud without faults as `rshare:`; files larger than `CHUNK` are sent in chunks."""
    use(monkeypatch, running.environment() | {"RCLONE_CONFIG_RSHARE_NEXTCLOUD_CHUNK_SIZE": CHUNK})
    monkeypatch.setattr(in_place, "_accepted", {})
    running.faults.clear()
    running.requests.clear()
    running.shares.clear()
    running.max_body = 1 << 40
    (running.root / FOLDER).mkdir(exist_ok=True)
    for path in (running.root / FOLDER).iterdir():
        path.unlink()
    in_place._has_status_page.cache_clear()
    return running


def archive_of(content: bytes, directory: Path) -> Path:
    """A local archive and its checksum file, as `write_archive` writes them."""
    directory.mkdir(exist_ok=True)
    (directory / NAME).write_bytes(content)
    (directory / CHECKSUM).write_text(f"{hashlib.sha256(content).hexdigest()}  {NAME}\n")
    return directory / NAME


def push(source: Path, with_checksum: bool = True) -> None:
    checksum = source.with_name(CHECKSUM) if with_checksum else None
    open_storage(f"rshare:{FOLDER}").push(source, NAME, checksum=checksum)


@pytest.fixture
def webdav_root(proxy: FaultyProxy) -> Path:
    """The folder of a WebDAV server that is no Nextcloud, behind a proxy as `rshare:`."""
    for path in (proxy.upstream.folder / FOLDER).glob("*"):
        path.unlink()
    return proxy.upstream.folder


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return archive_of(OLD, tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return archive_of(NEW, tmp_path / "new")


def remote_content(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / FOLDER).iterdir()}


def local_content(source: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in source.parent.iterdir()}


def link_of(cloud: Nextcloud) -> PublicLink:
    return SharedFiles(webdav_account("rshare")).link(parse_place(f"rshare:{FOLDER}/{NAME}"))


def test_a_move_over_a_file_ends_its_public_link_on_this_server_as_on_a_real_one(cloud: Nextcloud, old: Path) -> None:
    push(old)
    url = link_of(cloud).url
    open_storage(f"rshare:{FOLDER}").push(old, "other")
    move_over(webdav_account("rshare"), f"{FOLDER}/other", f"{FOLDER}/{NAME}", "move")
    assert requests.get(url, timeout=10).status_code == 404


@pytest.mark.parametrize("with_checksum", [True, False], ids=["with its checksum", "alone"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"NEXTCLOUD_CHUNK_SIZE": "10Mi"},
        {"VENDOR": "other"},
        {"VENDOR": "owncloud"},
    ],
    ids=["in chunks", "in one chunk", "vendor other", "vendor owncloud"],
)
def test_replacing_a_file_keeps_its_public_link(
    cloud: Nextcloud,
    old: Path,
    new: Path,
    with_checksum: bool,
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, {f"RCLONE_CONFIG_RSHARE_{name}": value for name, value in settings.items()})
    push(old, with_checksum)
    url = link_of(cloud).url
    assert requests.get(url, timeout=10).content == OLD
    push(new, with_checksum)
    assert requests.get(url, timeout=10).content == NEW
    assert remote_content(cloud.root) == (local_content(new) if with_checksum else {NAME: NEW})
    assert cloud.chunks == {}


def test_moving_a_file_over_another_keeps_the_public_link(cloud: Nextcloud, old: Path, new: Path) -> None:
    push(old)
    url = link_of(cloud).url
    storage = open_storage(f"rshare:{FOLDER}")
    storage.push(new, "next.tar.xz")
    storage.move("next.tar.xz", NAME)
    assert requests.get(url, timeout=10).content == NEW and not storage.exists("next.tar.xz")


STEPS = {
    "the folder for chunks": ("MKCOL", "/uploads/"),
    "the second chunk": ("PUT", "/00002"),
    "the checksum": ("PUT", ".sha256"),
    "the last step": ("MOVE", ".file"),
}
FAULTS = {
    "423": (Fault("", "status", status=423), StorageBusyError),
    "500": (Fault("", "status", status=500), StorageBusyError),
    "503": (Fault("", "status", status=503), StorageBusyError),
    "507": (Fault("", "status", status=507), StorageFullError),
    "403": (Fault("", "status", status=403), StorageRefusedError),
    "401": (Fault("", "status", status=401), StorageRefusedError),
    "413": (Fault("", "status", status=413), StorageRequestTooLargeError),
    "connection lost": (Fault("", "hang up"), StorageUnreachableError),
}


def table(steps: dict[str, tuple[str, str]]) -> Iterator[object]:
    """Every fault at every step; one fault of each step is among the fast tests."""
    for row, (step, request) in enumerate(steps.items()):
        for column, (fault, outcome) in enumerate(FAULTS.items()):
            marks = [] if column == row % len(FAULTS) else [pytest.mark.slow]
            yield pytest.param(*request, *outcome, id=f"{step}: {fault}", marks=marks)


@pytest.mark.parametrize(("method", "where", "fault", "kind"), list(table(STEPS)))
def test_a_failed_upload_leaves_all_as_it_was(
    cloud: Nextcloud, old: Path, new: Path, method: str, where: str, fault: Fault, kind: type[StorageError]
) -> None:
    push(old)
    url = link_of(cloud).url
    cloud.faults.append(Fault(method, fault.act, status=fault.status, where=where))
    with pytest.raises(kind):
        push(new)
    assert remote_content(cloud.root) == local_content(old)
    assert requests.get(url, timeout=10).content == OLD
    assert cloud.chunks == {}
    cloud.faults.clear()
    push(new)
    assert remote_content(cloud.root) == local_content(new)
    assert requests.get(url, timeout=10).content == NEW


@pytest.mark.parametrize(("method", "where"), STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("act", ["hang up", "lost answer"])
def test_an_upload_survives_a_lost_request_or_answer(
    cloud: Nextcloud, old: Path, new: Path, method: str, where: str, act: str
) -> None:
    push(old)
    cloud.faults.append(Fault(method, act, times=1, where=where))
    push(new)
    assert remote_content(cloud.root) == local_content(new)


@pytest.mark.slow
@pytest.mark.parametrize("act", ["kill", "kill after"])
@pytest.mark.parametrize(("method", "where"), STEPS.values(), ids=STEPS)
def test_a_killed_upload_leaves_a_complete_file_that_matches_its_checksums(
    cloud: Nextcloud, old: Path, new: Path, method: str, where: str, act: str
) -> None:
    push(old)
    url = link_of(cloud).url
    command = [sys.executable, "-c", _PUSH, str(new)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as child:
        cloud.faults.append(Fault(method, act, where=where, status=child.pid))
        child.communicate(b"\n")
    assert child.returncode == -signal.SIGKILL
    found = remote_content(cloud.root)
    assert found[NAME] in (OLD, NEW)
    assert hashlib.sha256(found[NAME]).hexdigest() in found[CHECKSUM].decode()
    assert requests.get(url, timeout=10).content == found[NAME]
    if where in ("/uploads/", "/00002"):
        assert found == local_content(old)
    cloud.faults.clear()
    push(new)
    assert remote_content(cloud.root) == local_content(new)
    assert cloud.chunks == {}


def test_the_chunks_of_a_killed_upload_are_removed_by_the_next(
    cloud: Nextcloud, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_place.InPlaceUpload, "discard", lambda upload: None)
    cloud.faults.append(Fault("PUT", "hang up", where="/00002"))
    with pytest.raises(StorageError):
        push(old)
    assert len(cloud.chunks) == 1
    cloud.faults.clear()
    push(new)
    assert cloud.chunks == {}
    assert remote_content(cloud.root) == local_content(new)


@pytest.mark.parametrize("name", ["topgraft-" + "0" * 31, "../files", "topgraft-" + "0" * 32 + "/../x"])
def test_a_damaged_note_removes_nothing(cloud: Nextcloud, old: Path, new: Path, name: str) -> None:
    push(old)
    next((cache_directory() / "uploads").iterdir()).write_text(name)
    push(new)
    assert [request for request in cloud.requests if request.startswith("DELETE")] == []


def test_a_file_damaged_on_the_way_is_uploaded_again(
    cloud: Nextcloud, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    push(old)
    compare, compared = uploading.compare, []

    def damaged_once(*arguments: object) -> None:
        compared.append(arguments)
        if len(compared) == 1:
            raise StorageDamagedError("other content was read back.")
        compare(*arguments)

    monkeypatch.setattr(uploading, "compare", damaged_once)
    push(new)
    assert len(compared) == 2 and "uploaded again" in caplog.text
    assert remote_content(cloud.root) == local_content(new)


def test_an_upload_that_cannot_be_read_back_is_complete_and_warns(
    cloud: Nextcloud, old: Path, new: Path, caplog: pytest.LogCaptureFixture
) -> None:
    push(old)
    cloud.faults.append(Fault("GET", "status", status=503, where=NAME))
    caplog.set_level(logging.WARNING)
    with pytest.raises(StorageBusyError):
        push(new)
    assert remote_content(cloud.root) == local_content(old), "the previous checksum could not be read"
    cloud.faults = [Fault("GET", "status", status=503, where=f"{FOLDER}/{NAME}")]
    push(new, with_checksum=False)
    assert "could not be read back" in caplog.text and remote_content(cloud.root)[NAME] == NEW


@pytest.mark.parametrize("limit", [1024**2, 600_000, 150_000])
def test_smaller_chunks_are_used_where_a_proxy_refuses_larger_requests(
    cloud: Nextcloud, tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RCLONE_CONFIG_RSHARE_NEXTCLOUD_CHUNK_SIZE", "10Mi")
    source = archive_of(random.Random(3).randbytes(1_300_000), tmp_path / "large")
    cloud.max_body = limit
    push(source)
    assert remote_content(cloud.root) == local_content(source)
    assert "a proxy refuses requests" in caplog.text and "413" in caplog.text
    caplog.clear()
    push(source)
    assert "proxy" not in caplog.text, "the size that was accepted is kept"


def test_a_limit_below_all_chunks_is_explained_with_the_setting(cloud: Nextcloud, new: Path) -> None:
    cloud.max_body = 10_000
    with pytest.raises(StorageRequestTooLargeError, match=r"not a full storage.*NEXTCLOUD_CHUNK_SIZE"):
        push(new)
    assert remote_content(cloud.root) == {} and cloud.chunks == {}


STAGED_STEPS = {
    "the temporary file": ("PUT", ".uploading"),
    "read back": ("GET", ".uploading"),
    "the checksum": ("PUT", ".sha256"),
    "the last step": ("MOVE", ""),
}


@pytest.mark.parametrize(("method", "where", "fault", "kind"), list(table(STAGED_STEPS)))
def test_a_failed_upload_to_another_webdav_server_leaves_all_as_it_was(
    proxy: FaultyProxy,
    webdav_root: Path,
    old: Path,
    new: Path,
    method: str,
    where: str,
    fault: Fault,
    kind: type[StorageError],
) -> None:
    push(old)
    proxy.faults = [Fault(method, fault.act, status=fault.status, where=where)]
    with pytest.raises(kind):
        push(new)
    assert remote_content(webdav_root) == local_content(old)
    proxy.faults = []
    push(new)
    assert remote_content(webdav_root) == local_content(new)


def test_a_file_and_its_checksum_are_replaced_in_every_kind_of_storage(root: str, old: Path, new: Path) -> None:
    storage = open_storage(root)
    for source in (old, new):
        storage.push(source, NAME, checksum=source.with_name(CHECKSUM))
        assert [entry.name for entry in storage.list()] == [NAME, CHECKSUM]
        for name in (NAME, CHECKSUM):
            storage.fetch(name, source.parent / "back" / name)
            assert (source.parent / "back" / name).read_bytes() == source.with_name(name).read_bytes()


def test_a_killed_rclone_is_named(webdav: StorageServer, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = new.with_name("rclone")
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(StorageError, match="SIGKILL"):
        open_storage("rshare:").entry(new.name)


def test_the_temporary_file_of_a_killed_upload_is_removed_by_the_next(
    proxy: FaultyProxy, webdav_root: Path, old: Path, new: Path
) -> None:
    push(old)
    note = next((cache_directory() / "uploads").iterdir())
    left = webdav_root / FOLDER / f".{NAME}.0123456789ab.uploading"
    open_storage(f"rshare:{FOLDER}").push(new, left.name)
    note.write_text(left.name)
    push(new)
    assert remote_content(webdav_root) == local_content(new)
