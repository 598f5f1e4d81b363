"""Configuration of remote storage, its check by doctor, and the secrecy of its password."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from model.errors import StorageSettingsError, StorageUnreachableError
from model.storage import open_storage, webdav_account
from model.storage.diagnosis import Check, check_remote
from model.storage.rclone_process import run_rclone
from model.storage.settings import remote_names
from tests.support.command import topgraft
from tests.support.storage_servers import BUCKET, PASSWORD, USER, Fault, FaultyProxy, StorageServer, use
from tests.support.waiting import wait_until


def found(where: str) -> tuple[Check, ...]:
    return tuple(check_remote(where))


def failing(where: str) -> Check:
    *before, last = found(where)
    assert all(check.works for check in before) and not last.works
    return last


def test_a_working_remote_passes_the_check(webdav: StorageServer) -> None:
    (webdav.folder / "photos").mkdir(exist_ok=True)
    checks = {check.name: check for check in found("rshare:")}
    assert all(check.works for check in checks.values())
    assert "photos/" in checks["path"].detail and set(checks) == {"rclone", "settings", "path", "space"}


def test_remotes_of_the_environment_and_of_the_file_are_named_without_their_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "rclone.conf").write_text("[disk]\ntype = local\n")
    monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "rclone.conf"))
    monkeypatch.setenv("RCLONE_CONFIG_CLOUD_TYPE", "webdav")
    monkeypatch.setenv("RCLONE_CONFIG_CLOUD_PASS", "secret")
    names = remote_names()
    assert {"cloud", "disk"} <= set(names)
    assert not any("secret" in name or ":" in name for name in names)
    (tmp_path / "rclone.conf").write_text("not a configuration [")
    with pytest.raises(StorageSettingsError):
        remote_names()


def test_missing_rclone_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert "topgraft[storage]" in failing("rshare:").detail


@pytest.mark.parametrize("platform", [True, False], ids=["empty variables, as the platform sets them", "no variables"])
def test_an_unconfigured_remote_is_reported(platform: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if platform:
        use(monkeypatch, {f"RCLONE_CONFIG_RSHARE_{name}": "" for name in ("TYPE", "VENDOR", "URL", "USER", "PASS")})
    check = failing("rshare:")
    assert (
        check.name == "settings" and "RCLONE_CONFIG_RSHARE_URL=https://HOST/remote.php/dav/files/USER" in check.detail
    )
    with pytest.raises(StorageSettingsError, match="expected a configured remote"):
        open_storage("rshare:x")


def test_empty_variables_do_not_override_the_configuration_of_rclone(
    s3_process: StorageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"{name} = {value}\n" for name, value in s3_process.settings.items())
    (tmp_path / "rclone.conf").write_text(f"[rshare]\n{lines}")
    use(monkeypatch, {"RCLONE_CONFIG": str(tmp_path / "rclone.conf"), "RCLONE_CONFIG_RSHARE_TYPE": ""})
    assert open_storage(f"rshare:{BUCKET}").list() == []


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        (
            "https://u:p@cloud.example/remote.php/webdav/",
            "expected https://...@cloud.example/remote.php/dav/files/USER",
        ),
        ("cloud.example", "expected https://HOST"),
    ],
)
def test_an_invalid_address_is_reported(
    url: str, advice: str, webdav: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, webdav.environment(url=url, vendor="nextcloud"))
    check = failing("rshare:")
    assert check.name == "settings" and advice in check.detail and "u:p" not in check.detail


def test_wrong_password_is_tried_once(proxy: FaultyProxy) -> None:
    proxy.faults = [Fault("", "status", status=401)]
    assert "401" in failing("rshare:").detail
    assert len(proxy.seen) == 1


def test_a_missing_path_is_reported(webdav: StorageServer) -> None:
    check = failing("rshare:no/such")
    assert check.name == "path" and "404" in check.detail


def test_a_full_remote_is_reported(proxy: FaultyProxy) -> None:
    proxy.faults = [Fault("PROPFIND", "quota")]
    check = failing("rshare:")
    assert check.name == "space" and "too little" in check.detail


def test_an_unreachable_remote_is_reported(webdav: StorageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, webdav.environment(url="http://127.0.0.1:1/dav/files/u"))
    assert "connection refused" in failing("rshare:").detail


def test_the_webdav_account_is_read_from_the_configuration(
    webdav: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = webdav_account("rshare")
    assert (account.url, account.user, account.password) == (webdav.url, USER, PASSWORD)
    assert PASSWORD not in repr(account)
    monkeypatch.setenv("RCLONE_CONFIG_RSHARE_PASS", "not obscured!")
    with pytest.raises(StorageSettingsError, match="rclone obscure"):
        webdav_account("rshare")


def test_a_remote_of_another_type_has_no_webdav_account(
    s3_process: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, s3_process.environment())
    with pytest.raises(StorageSettingsError, match="type webdav"):
        webdav_account("rshare")


def test_a_silent_server_times_out(monkeypatch: pytest.MonkeyPatch, webdav: StorageServer) -> None:
    monkeypatch.setenv("TOPGRAFT_STORAGE_SECONDS", "0.5")
    (webdav.folder / "slow.bin").write_bytes(os.urandom(100_000))
    started = time.monotonic()
    with pytest.raises(StorageUnreachableError, match="no progress"):
        run_rclone("read slowly", ["cat", "--bwlimit", "1", "--buffer-size", "0", "rshare:slow.bin"])
    assert time.monotonic() - started < 10
    monkeypatch.setenv("TOPGRAFT_STORAGE_SECONDS", "soon")
    assert open_storage("rshare:").exists("slow.bin")


def test_rclone_ends_with_its_parent_and_no_command_line_has_the_password(webdav: StorageServer) -> None:
    (webdav.folder / "endless.bin").write_bytes(os.urandom(2_000_000))
    arguments = ["cat", "--bwlimit", "1k", "rshare:endless.bin"]
    code = f"from model.storage.rclone_process import run_rclone; run_rclone('x', {arguments})"
    parent = psutil.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    child = _wait_for_rclone(parent)
    shown = [" ".join(process.cmdline()) for process in (parent, child)]
    parent.kill()
    parent.wait()
    child.wait(5)
    secrets = (PASSWORD, os.environ["RCLONE_CONFIG_RSHARE_PASS"])
    assert "endless.bin" in shown[1] and not any(secret in line for secret in secrets for line in shown)


def _wait_for_rclone(parent: psutil.Process) -> psutil.Process:
    def started() -> psutil.Process | None:
        for child in parent.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                # For a moment it has the name already, and no command line yet.
                if child.name() == "rclone" and child.cmdline():
                    return child
        return None

    return wait_until(started, 20)


def test_the_command_reports_the_check_in_json_and_by_its_exit_status(webdav: StorageServer, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith("RCLONE_")}
    ran = topgraft("doctor", "--storage", "rshare:none", "--json", cwd=tmp_path, **kept)
    assert ran.returncode == 2 and '"status": "problems"' in ran.stdout and "404" in ran.stdout
    assert PASSWORD not in ran.stdout + ran.stderr
