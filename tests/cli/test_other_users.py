"""Every command works for a user ID without a name and a home folder, as OpenShift and strict clusters choose it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.nextcloud_server import FOLDER, nextcloud
from tests.support.photos import photo, write_photos
from tests.support.ports import free_port
from tests.support.small_model import NAME, write_model
from tests.support.users import ANY_USER, bare_environment, command_of, give, make_reachable, missing_requirements
from tests.support.waiting import answers, wait_until

pytestmark = pytest.mark.skipif(bool(missing_requirements()), reason=missing_requirements())

HOMES = {"not set": None, "empty": "", "the root": "/", "missing": "/nowhere/home"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace of the user, with a model and photos that it may only read."""
    workspace = tmp_path / "workspace"
    write_photos(workspace / "data" / "photos")
    write_model(workspace / "models" / NAME)
    (workspace / "tmp").mkdir()
    make_reachable(workspace)
    give(workspace, ANY_USER)
    give(workspace / "data", 0)
    return workspace


def environment(home: Path, user_home: str | None = None) -> dict[str, str]:
    variables = {} if user_home is None else {"HOME": user_home}
    return bare_environment(home, TMPDIR=str(home / "tmp"), **variables)


def run(
    home: Path, *arguments: object, user_home: str | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command_of(ANY_USER, *arguments),
        cwd=home,
        env=environment(home, user_home) | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


@contextlib.contextmanager
def started(home: Path, url: str, *arguments: str) -> Iterator[None]:
    """A server in the background, once it answers."""
    process = subprocess.Popen(command_of(ANY_USER, *arguments), cwd=home, env=environment(home))
    try:
        wait_until(lambda: answers(url), seconds=120)
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("user_home", HOMES.values(), ids=HOMES)
def test_photos_are_predicted_without_a_home_folder(home: Path, user_home: str | None) -> None:
    ran = run(home, "predict", NAME, "data/photos", "--output", "answers.csv", user_home=user_home)
    assert ran.returncode == 0, ran.stderr
    assert len((home / "answers.csv").read_text().splitlines()) == 17
    assert not (home / "~").exists()


def test_the_installation_is_checked(home: Path) -> None:
    ran = run(home, "doctor")
    assert ran.returncode == 0, ran.stdout
    assert f"{home}/tmp/topgraft-home-{ANY_USER}" in ran.stdout and "Set TOPGRAFT_CACHE" in ran.stdout
    assert f"{home}/data: can only be read" in ran.stdout


def test_a_model_is_published_to_a_folder_of_a_nextcloud(home: Path, tmp_path: Path) -> None:
    with nextcloud(tmp_path / "cloud") as cloud:
        (cloud.root / FOLDER).mkdir(parents=True)
        remote = cloud.environment() | {"RCLONE_CONFIG": os.devnull}
        ran = run(home, "publish", NAME, "--to", f"rshare:{FOLDER}", "--author", "A. Author", **remote)
        assert ran.returncode == 0, ran.stderr
        assert [path.name for path in (cloud.root / FOLDER).glob("*.xz")] == [f"{NAME}.tar.xz"]
    assert (home / "published" / NAME).stat().st_uid == ANY_USER


def test_a_dataset_is_packed(home: Path) -> None:
    ran = run(home, "pack", "photos")
    assert ran.returncode == 0, ran.stderr
    assert (home / "photos.tar").stat().st_uid == ANY_USER


@pytest.mark.slow  # a training
def test_a_model_is_trained_from_data_that_can_only_be_read(home: Path) -> None:
    options = ("--epochs", "2", "--folds", "0", "--fine-tune", "none")
    ran = run(home, "train", "--dataset", "photos", "--name", "mine", *options)
    assert ran.returncode == 0, ran.stderr
    assert (home / "models" / "mine" / "manifest.json").stat().st_uid == ANY_USER
    assert not (home / "~").exists()


@pytest.mark.slow  # two servers
def test_the_service_and_the_page_run(home: Path) -> None:
    service, page = free_port(), free_port()
    url = f"http://127.0.0.1:{service}/v2/models/topgraft/"
    with started(home, url, "serve", "--port", str(service), "--workers", "2"):
        answer = requests.post(f"{url}predict/", files={"image": ("photo.jpg", photo())}, timeout=60)
        assert answer.json()["model"] == NAME
        address = f"http://127.0.0.1:{page}/"
        with started(home, address, "page", "--port", str(page), "--api", f"http://127.0.0.1:{service}"):
            assert "<html" in requests.get(address, timeout=10).text
