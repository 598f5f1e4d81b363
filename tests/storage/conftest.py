"""Real storages on loopback: rclone's WebDAV and S3 servers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.storage import failures
from tests.support.storage_servers import (
    BUCKET,
    NEXTCLOUD_ROOT,
    FaultyProxy,
    StorageServer,
    s3_server,
    use,
    webdav_server,
)


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No remote but those of the tests, a cache of their own, and short pauses between tries."""
    for name in [name for name in os.environ if name.startswith("RCLONE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RCLONE_CONFIG", os.devnull)
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(failures, "SECONDS_BETWEEN_TRIES", (0.05, 0.05, 0.05))


@pytest.fixture(scope="module")
def webdav_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    with webdav_server(tmp_path_factory.mktemp("webdav"), NEXTCLOUD_ROOT) as server:
        yield server


@pytest.fixture
def webdav(webdav_process: StorageServer, monkeypatch: pytest.MonkeyPatch) -> StorageServer:
    """A WebDAV server as `rshare:`."""
    use(monkeypatch, webdav_process.environment())
    return webdav_process


@pytest.fixture
def remote_folder(webdav: StorageServer, tmp_path: Path) -> Path:
    """An empty folder in the remote storage, with a name of its own."""
    folder = webdav.folder / tmp_path.name
    folder.mkdir()
    return folder


@pytest.fixture
def proxy(webdav_process: StorageServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """The same server behind a proxy that can inject faults, as `rshare:`."""
    with FaultyProxy(webdav_process) as between:
        use(monkeypatch, between.environment())
        yield between


@pytest.fixture(scope="module")
def s3_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["webdav", "s3", "local"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty folder of each kind of storage."""
    name = tmp_path.name
    if request.param == "local":
        return str(tmp_path / "storage")
    server: StorageServer = request.getfixturevalue(f"{request.param}_process")
    use(monkeypatch, server.environment())
    return f"rshare:{BUCKET}/{name}" if request.param == "s3" else f"rshare:{name}"
