"""A failure is classified by its cause, never by the names of the files."""

import logging
import os
from pathlib import Path

import pytest

from model.errors import (
    StorageBusyError,
    StorageDamagedError,
    StorageError,
    StorageFullError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageRequestTooLargeError,
    StorageSettingsError,
    StorageUnreachableError,
)
from model.storage import open_storage
from model.storage.failures import failure, with_retries
from model.storage.pulling import pull
from tests.support.ports import free_port
from tests.support.storage_servers import Fault, FaultyProxy, StorageServer, use

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


CAUSES = (
    ('Propfind "https://h/x/": dial tcp 127.0.0.1:1: connect: connection refused', StorageUnreachableError),
    ('Propfind "https://h/x/": tls: failed to verify certificate: x509: unknown authority', StorageUnreachableError),
    ('Propfind "https://h/x/": dial tcp: lookup h: no such host', StorageUnreachableError),
    ("read: connection reset by peer", StorageUnreachableError),
    ("i/o timeout", StorageUnreachableError),
    ("couldn't list files: 401 Unauthorized", StorageRefusedError),
    ("mkdir failed: 403 Forbidden", StorageRefusedError),
    ("error listing: directory not found", StorageNotFoundError),
    ("couldn't list files: 404 Not Found", StorageNotFoundError),
    ("Failed to copy: 423 Locked", StorageBusyError),
    ("Failed to copy: 503 Service Unavailable", StorageBusyError),
    ("Failed to copy: Insufficient Storage: 507 Insufficient Storage", StorageFullError),
    ("Failed to copy: 413 Request Entity Too Large", StorageRequestTooLargeError),
    ("corrupted on transfer: sizes differ 3 vs 4", StorageDamagedError),
    ("didn't find section in config file", StorageSettingsError),
    ("something that is new to us", StorageError),
)
NOTICES = {
    "missing configuration": 'Config file "~/.config/rclone/rclone.conf" not found - using defaults',
    "missing configuration, as text": (
        '2026/01/02 03:04:05 NOTICE: Config file "/home/quota/404/rclone.conf" not found - using defaults'
    ),
    "missing configuration, as JSON": (
        r'{"level":"notice","msg":"Config file \"/root/rclone.conf\" not found - using defaults","time":"2026-01-02"}'
    ),
    "no home": "Couldn't find home directory or read HOME or XDG_CONFIG_HOME environment variables.",
    "no entry in passwd": 'ERROR : Error was: exec: "getent": executable file not found in $PATH',
    "read-only configuration": "ERROR : Failed to save config after 10 tries: open /x: no such file or directory",
    "progress": "Transferred:   \t    403 B / 507 B, 100%, 0 B/s, ETA -\nErrors:                 1 (retrying may help)",
    "transferring": "Transferring:\n *   quota/404.jpg:  3% /507Mi, 1Mi/s, 10s",
    "retried": "2026/01/02 03:04:05 DEBUG : pacer: low level retry 1/10 (error 423 Locked)",
    "a skipped link": "2026/01/02 03:04:05 NOTICE: 404.jpg: Can't follow symlink without -L/--copy-links",
    "a warning": "WARNING: quota is low, certificate expires, forbidden fruit not found",
}


@pytest.mark.parametrize(("cause", "kind"), CAUSES)
@pytest.mark.parametrize("notice", NOTICES.values(), ids=NOTICES)
def test_text_that_is_not_about_the_failure_does_not_decide_its_kind(
    notice: str, cause: str, kind: type[StorageError]
) -> None:
    for messages in ([notice, cause], [cause, notice], [f"{notice}\n{cause}"], [*notice.splitlines(), cause]):
        error = failure("list rshare:photos", messages)
        assert type(error) is kind and not any(word in error.message for word in ("using defaults", "HOME", "getent"))


def test_notices_alone_are_shown_but_decide_nothing() -> None:
    error = failure("list rshare:photos", [NOTICES["missing configuration"]])
    assert type(error) is StorageError and "using defaults" in error.message


def test_a_failure_that_rclone_logs_as_a_notice_is_read() -> None:
    said = '2026/01/02 03:04:05 NOTICE: Failed to lsjson: Propfind "https://h/": dial tcp: connection refused'
    assert type(failure("list rshare:", [said])) is StorageUnreachableError


@pytest.mark.parametrize("configured", [True, False], ids=["with a file", "without a file"])
def test_a_server_that_is_down_is_unreachable_with_and_without_a_configuration_file(
    configured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}/remote.php/dav/files/alice"
    settings = {"type": "webdav", "vendor": "nextcloud", "url": url, "user": "alice"}
    use(monkeypatch, StorageServer(url, tmp_path, settings).environment())
    monkeypatch.setenv("RCLONE_CONFIG", os.devnull if configured else str(tmp_path / "missing.conf"))
    for ask in (open_storage("rshare:photos").entry, open_storage("rshare:photos").space):
        with pytest.raises(StorageUnreachableError, match="refused"):
            ask()


def test_a_retry_logs_the_cause_once_and_the_time_of_the_next_attempt(caplog: pytest.LogCaptureFixture) -> None:
    causes = ["503 Service Unavailable", "503 Service Unavailable", "423 Locked"]

    def work() -> None:
        if causes:
            raise failure("upload x to rshare:models", [causes.pop(0)])

    caplog.set_level(logging.WARNING)
    with_retries(work)
    first, second, third = (record.getMessage() for record in caplog.records)
    assert "503 Service Unavailable. Attempt 2 of 4 in 0.05 s." in first and "rshare:models" in first
    assert second == "The same error again. Attempt 3 of 4 in 0.05 s."
    assert "423 Locked. Attempt 4 of 4" in third
    assert not any("Try again later" in text for text in (first, second, third))


def test_the_last_error_states_the_number_of_attempts() -> None:
    def work() -> None:
        raise failure("upload x", ["423 Locked"])

    with pytest.raises(StorageBusyError, match=r"423 Locked\. It was tried 4 times within .* s\. Try again later\."):
        with_retries(work)
