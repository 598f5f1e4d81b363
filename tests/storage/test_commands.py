"""Commands with remote storage in place of paths: pack, pull, train, push, predict."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from model.runs import interrupted_trainings, running_trainings
from model.workspace import Workspace
from tests.support.command import COMMAND, environment_of_tests, heed_interrupts, topgraft
from tests.support.photos import write_photos
from tests.support.small_model import write_small_model
from tests.support.storage_servers import PASSWORD, Fault, FaultyProxy, StorageServer
from tests.support.waiting import wait_until


def rclone_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("RCLONE_")}


def test_a_dataset_is_pushed_packed_and_pulled(webdav: StorageServer, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write_photos(tmp_path / "data" / "photos")
    packed = topgraft("pack", "photos", "rshare:sets/p.tar", "--json", cwd=tmp_path, **rclone_variables())
    assert packed.returncode == 0, packed.stderr
    assert (json.loads(packed.stdout)["archive"], json.loads(packed.stdout)["files"]) == ("rshare:sets/p.tar", 16)
    pulled = topgraft("pull", "rshare:sets/p.tar", cwd=tmp_path, **rclone_variables())
    assert pulled.returncode == 0 and "16 files" in pulled.stdout, pulled.stderr
    names = [sorted(path.name for path in (tmp_path / "data" / name).rglob("*.jpg")) for name in ("photos", "p")]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("pull", "rshare:none", "here"), 5, "404"),
        (("pull", "elsewhere:x", "here"), 2, "RCLONE_CONFIG_ELSEWHERE_TYPE"),
        (("pull", "rshare,url=evil:x", "here"), 2, "remote:path"),
        (("check", "rshare:none"), 5, "404"),
        (("pull", "photos"), 2, "remote:path"),
        (("pack", "photos", "rshare:sets"), 2, "rshare:sets/photos.tar"),
        (("pack", "photos", "photos.zip"), 2, "photos.tar"),
        (("push", "pets", "rshare"), 2, "rshare:"),
    ],
)
def test_failures_of_commands_are_reported(
    arguments: tuple[str, ...], status: int, said: str, webdav: StorageServer, tmp_path: Path
) -> None:
    write_small_model(tmp_path / "models" / "pets")
    (tmp_path / "data" / "photos").mkdir(parents=True)
    ran = topgraft(*arguments, cwd=tmp_path, **rclone_variables())
    assert (ran.returncode, ran.stdout) == (status, "")
    assert said in ran.stderr and PASSWORD not in ran.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"data", "models", "cache"}


def test_a_password_that_is_not_obscured_is_reported_with_the_remedy(webdav: StorageServer, tmp_path: Path) -> None:
    variables = rclone_variables() | {"RCLONE_CONFIG_RSHARE_PASS": "my plain password"}
    ran = topgraft("doctor", "--storage", cwd=tmp_path, **variables)
    assert ran.returncode == 2 and "RCLONE_CONFIG_RSHARE_PASS" in ran.stdout and "rclone obscure -" in ran.stdout
    assert "CRITICAL" not in ran.stdout and "my plain password" not in ran.stdout + ran.stderr


def test_a_remote_dataset_keeps_the_name_it_was_given(webdav: StorageServer, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write_photos(webdav.folder / "named" / "photos")
    ran = topgraft("check", "rshare:named/photos", cwd=tmp_path, **rclone_variables())
    assert ran.stdout.startswith("Dataset   rshare:named/photos, fetched into /")
    assert "download" in ran.stderr and " kB" in ran.stderr and " 0/0" not in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_cancelling_a_training_ends_its_transfer(number: signal.Signals, webdav: StorageServer, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (webdav.folder / "large.tar").write_bytes(os.urandom(2_000_000))
    training = psutil.Popen(
        [*COMMAND, "train", "--dataset", "rshare:large.tar", "--name", "pets"],
        cwd=tmp_path,
        env=environment_of_tests(tmp_path) | rclone_variables() | {"RCLONE_BWLIMIT": "10k"},
        stderr=subprocess.DEVNULL,
        preexec_fn=heed_interrupts,
    )
    transfer = _wait_for(training, "cat")
    wait_until(lambda: any(status.phase == "download" for status in running_trainings(Workspace(tmp_path))), 30)
    training.send_signal(number)
    assert training.wait(10) == 130
    transfer.wait(2)
    [status] = interrupted_trainings(Workspace(tmp_path))
    assert (status.state, status.phase) == ("cancelled", "download")


def _wait_for(training: psutil.Process, argument: str) -> psutil.Process:
    def transfer() -> psutil.Process | None:
        for child in training.children():
            # One that has just ended has no command line any more.
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.name() == "rclone" and argument in child.cmdline():
                    return child
        return None

    return wait_until(transfer, 30)


@pytest.mark.slow
def test_a_training_reads_from_and_uploads_to_remote_storage(proxy: FaultyProxy, tmp_path: Path) -> None:
    """Its upload fails, which harms nothing; the command that the result names repeats it."""
    remote_folder = proxy.upstream.folder
    (tmp_path / "models").mkdir()
    write_photos(remote_folder / "photos")
    proxy.faults = [Fault("PUT", "status", status=403)]
    options = ("--dataset", "rshare:photos", "--name", "pets", "--epochs", "2", "--folds", "0")
    ran = topgraft("train", *options, "--upload-to", "rshare:models", "--json", cwd=tmp_path, **rclone_variables())
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    [warning] = [warning for warning in result["warnings"] if "upload" in warning]
    assert result["status"] == "done" and "403" in warning and "upload" not in result
    assert (
        json.loads((tmp_path / "models" / "pets" / "manifest.json").read_text())["dataset"]["path"] == "rshare:photos"
    )
    command = warning.partition("To upload it later: topgraft ")[2].split()
    proxy.faults.clear()
    pushed = topgraft(*command, cwd=tmp_path, **rclone_variables())
    assert pushed.returncode == 0, pushed.stderr
    assert sorted(os.listdir(remote_folder / "models")) == ["pets.tar.xz", "pets.tar.xz.sha256"]
    sha256 = (remote_folder / "models" / "pets.tar.xz.sha256").read_text().split()[0]
    assert sha256 in pushed.stdout

    arguments = ("rshare:photos/red", "--output", "rshare:answers.csv")
    predicted = topgraft("predict", "pets", *arguments, cwd=tmp_path, **rclone_variables())
    assert predicted.returncode == 0, predicted.stderr
    assert (remote_folder / "answers.csv").read_text().count("rshare:photos/red/") == 8
