"""A failure is classified by its cause, never by the names of the files."""

from pathlib import Path

import pytest

from model.errors import (
    StorageBusyError,
    StorageDamagedError,
    StorageError,
    StorageFullError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageSettingsError,
    StorageUnreachableError,
)
from model.storage.failures import failure
from model.storage.pulling import pull
from tests.support.storage_servers import Fault, FaultyProxy

URL = "https://cloud.example/remote.php/dav/files/alice"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (f'Get "{URL}/a/403.jpg": read tcp 10.0.0.2:401->10.0.0.1:507: connection reset', StorageUnreachableError),
        (
            f'Failed to copy: failed to open source object: Get "{URL}/forbidden/404": EOF',
            StorageUnreachableError,
        ),
        ("/forbidden_city/1.jpg i/o timeout", StorageUnreachableError),
        ("507.jpg: EOF", StorageUnreachableError),
        ("quota/413.jpg: Failed to copy: unexpected EOF", StorageUnreachableError),
        ("open /data/locked/423/401: i/o timeout", StorageUnreachableError),
        (f"Get {URL}/404/quota/403.jpg: dial tcp 10.0.0.1:403: i/o timeout", StorageUnreachableError),
        (
            "HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: /a/403/507.zip",
            StorageUnreachableError,
        ),
        ("connection aborted: IncompleteRead(404 bytes read, 507 more expected)", StorageUnreachableError),
        ("corrupted on transfer: sizes differ src(webdav root 'forbidden') 403 vs dst(/a) 507", StorageDamagedError),
        ('Failed to copy: 503 Service Unavailable: "forbidden/401.jpg"', StorageBusyError),
        (f'Failed to copy: Get "{URL}/503/timeout.jpg": 403 Forbidden', StorageRefusedError),
        ('open file failed: Sabre\\DAV\\Exception\\Forbidden: "locked/503.jpg"', StorageRefusedError),
        ("operation error S3: GetObject, https response error StatusCode: 403, RequestID: 1-404", StorageRefusedError),
        ("HTTP error 401 (401 Unauthorized) returned body: ''", StorageRefusedError),
        ('Put "https://h/eof/timeout.jpg": 507 Insufficient Storage', StorageFullError),
        ("403/1.jpg: write /data/403/1.jpg: no space left on device", StorageFullError),
        ("googleapi: Error: storageQuotaExceeded", StorageFullError),
        ("couldn't list files: 404 Not Found", StorageNotFoundError),
        ("couldn't connect: can't read '403/quota.jpg': timeout", StorageUnreachableError),
        ('Propfind "cloud.example/403": unsupported protocol scheme ""', StorageSettingsError),
        ("401.jpg is a strange file", StorageError),
    ],
)
def test_names_in_a_message_do_not_affect_its_classification(message: str, kind: type[StorageError]) -> None:
    error = failure("fetch rshare:photos", [message])
    assert type(error) is kind and "photos" in error.message


@pytest.mark.parametrize("name", ["quota 403 full.jpg", "a 404 /not found.jpg", "forbidden", "507"])
def test_known_names_with_blanks_do_not_affect_the_classification(name: str) -> None:
    messages = [f"{name}: i/o timeout", f"open /here and 401/{name}.1a2b3c4d.partial: i/o timeout"]
    error = failure("fetch", messages, [name, "rshare:photos", "/here and 401"])
    assert type(error) is StorageUnreachableError and name in error.message


@pytest.mark.parametrize("name", ["403", "Forbidden", "forbidden", "e"])
def test_a_name_hides_nothing_of_the_message(name: str) -> None:
    assert type(failure("fetch", ["open file failed: 403 Forbidden"], [name, f"rshare:{name}"])) is StorageRefusedError


def test_a_dropped_connection_is_retried_for_any_file_name(proxy: FaultyProxy, tmp_path: Path) -> None:
    names = ("403.jpg", "507.jpg", "quota/1.jpg", "forbidden_city/1.jpg", "404/1.jpg")
    remote_folder = proxy.upstream.folder / tmp_path.name
    for name in names:
        (remote_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (remote_folder / name).write_bytes(b"a photo")
    proxy.faults = [Fault("GET", "hang up", times=2, where=name) for name in names]
    pull(f"rshare:{tmp_path.name}", tmp_path / "here")
    assert all((tmp_path / "here" / name).read_bytes() == b"a photo" for name in names)
    assert proxy.count("GET") >= 3 * len(names) and proxy.faults[0].times == 0
