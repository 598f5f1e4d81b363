"""Every command works on a file system without file locks, and warns of what is not guaranteed there."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import topgraft
from tests.support.nextcloud_server import FOLDER, NAME, nextcloud
from tests.support.photos import write_photos
from tests.support.small_model import write_model

WITHOUT_LOCKS = "#include <errno.h>\nint flock(int file, int operation) { errno = ERROR; return -1; }\n"
COUNT = """
import sys
from pathlib import Path
from model.usage.store import UsageStore
from model.provenance import utc_today
from model.workspace import Workspace
from tests.usage.records import PETS, record
assert UsageStore(Workspace(Path(sys.argv[1]))).add(PETS, utc_today(), record()).photos == 1
"""

# As on NFS without lockd, and on Lustre mounted without flock.
ERRORS = (errno.ENOLCK, errno.ENOSYS)


@pytest.fixture(scope="module", params=ERRORS, ids=errno.errorcode.get)
def preload(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables under which no file can be locked."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler, gcc or cc, to replace flock()")
    folder = tmp_path_factory.mktemp("preload")
    (folder / "noflock.c").write_text(WITHOUT_LOCKS)
    library = folder / "noflock.so"
    options = ("-shared", "-fPIC", f"-DERROR={errno.errorcode[request.param]}")
    subprocess.run([compiler, *options, "-o", str(library), str(folder / "noflock.c")], check=True)
    return {"LD_PRELOAD": str(library)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace with a model and photos."""
    write_photos(tmp_path / "data" / "photos")
    write_model(tmp_path / "models" / NAME)
    return tmp_path


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment variables of a Nextcloud as the remote `rshare:`."""
    with nextcloud(tmp_path / "cloud") as cloud:
        (cloud.root / FOLDER).mkdir(parents=True)
        write_photos(cloud.root / "photos")
        yield cloud.environment() | {"RCLONE_CONFIG": os.devnull}


def warnings_of(ran: "subprocess.CompletedProcess[str]") -> str:
    """The standard error of a command that must have worked; on one line."""
    assert ran.returncode == 0, ran.stderr
    return " ".join(ran.stderr.split())


def test_models_are_promoted(home: Path, preload: dict[str, str]) -> None:
    said = warnings_of(topgraft("models", "promote", NAME, cwd=home, **preload))
    assert f"{home / 'models'}: cannot be locked" in said
    assert "Do not promote or roll back from two processes" in said
    warnings_of(topgraft("models", "rollback", cwd=home, **preload))


def test_predictions_are_written(home: Path, preload: dict[str, str]) -> None:
    ran = topgraft("predict", NAME, "data/photos", "--output", "answers.csv", cwd=home, **preload)
    assert "Do not write the same output from two commands" in warnings_of(ran)
    assert len((home / "answers.csv").read_text().splitlines()) == 17


def test_models_are_published(home: Path, preload: dict[str, str], remote: dict[str, str]) -> None:
    command = ("publish", NAME, "--to", f"rshare:{FOLDER}", "--author", "A. Author")
    ran = topgraft(*command, cwd=home, **preload, **remote)
    said = warnings_of(ran)
    assert str(home / "published" / NAME) in said and "Do not publish the same model from two commands" in said


def test_folders_are_pulled(home: Path, preload: dict[str, str], remote: dict[str, str]) -> None:
    said = warnings_of(topgraft("pull", "rshare:photos", "copy", cwd=home, **preload, **remote))
    assert "Do not pull into it while something else uses it" in said
    assert len(list((home / "copy").rglob("*.jpg"))) == 16


def test_use_is_counted(home: Path, preload: dict[str, str]) -> None:
    command = [sys.executable, "-c", COUNT, str(home)]
    said = warnings_of(subprocess.run(command, env=os.environ | preload, capture_output=True, text=True))
    assert str(home / "models" / ".monitor") in said and "can be lost" in said


@pytest.mark.slow  # a training
def test_models_are_trained(home: Path, preload: dict[str, str]) -> None:
    options = ("--epochs", "2", "--folds", "0", "--fine-tune", "none")
    said = warnings_of(topgraft("train", "--dataset", "photos", "--name", "pets", *options, cwd=home, **preload))
    assert said.count(f"{home / 'models' / '.running'}: cannot be locked") == 1
    assert "two that start at the same moment can both run" in said
    assert not (home / "models" / ".running" / "pets").exists()
