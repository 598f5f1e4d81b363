"""The commands of the tutorial: from photos in Nextcloud to the repository of a child module.

The Nextcloud is on loopback, the photos are drawn. Of the image, all is done that needs no container engine: the
instruction of the Dockerfile that fetches the model runs, and the child module's own test asks what it brought.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.command import ROOT, environment_of_tests
from tests.support.nextcloud_server import TOKEN, Nextcloud, nextcloud
from tests.support.photos import CLASSES, write_image, write_photos
from tests.support.storage_servers import PASSWORD, USER

PAGE = ROOT / "docs" / "tutorial.md"
CHILD = Path("published/pets/pets-of-the-street")


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def values_of_the_reader(cloud: Nextcloud) -> dict[str, str]:
    return {"NEXTCLOUD": cloud.url, "NEXTCLOUD_USER": USER, "NEXTCLOUD_PASSWORD": PASSWORD}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Nextcloud]:
    with nextcloud(tmp_path / "cloud", "/models/pets.tar.xz") as running:
        yield running


@pytest.fixture
def working_folder(tmp_path: Path) -> Path:
    """The folder to work in, with photos, and one that the model will not have seen."""
    folder = tmp_path / "work"
    (folder / "models").mkdir(parents=True)
    write_photos(folder / "data" / "photos")
    write_image(folder / "new-photo.jpg", "red", seed=999)
    return folder


def shell(script: str, working_folder: Path, **environment: str) -> str:
    """Run it as a person types it, up to the first command that fails; what it wrote."""
    usual = {
        name: value for name, value in environment_of_tests(working_folder).items() if not name.startswith("RCLONE_")
    }
    usual |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RCLONE_CONFIG": os.devnull}
    ran = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=working_folder,
        env=usual | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout + ran.stderr


@pytest.mark.slow  # a training, two services
def test_the_tutorial_runs_from_photos_in_nextcloud_to_a_child_module(cloud: Nextcloud, working_folder: Path) -> None:
    fill_in, *steps, image = blocks()
    values = values_of_the_reader(cloud)
    assert set(re.findall(r"\bNEXTCLOUD\w*", fill_in)) == set(values) and image.startswith("docker build")

    said = shell("".join(steps), working_folder, **values)

    assert PASSWORD not in said
    assert "No problems found." in said and "PROBLEM" not in said
    assert "uploaded to rshare:models/pets.tar.xz" in said
    assert re.search(r"^new-photo\.jpg: red \d", said, re.M), said
    assert (working_folder / "answer.png").is_file() and (cloud.root / "datasets" / "photos.tar").is_file()
    link = f"{cloud.url}/s/{TOKEN}/download"
    assert f"{link}: created" in said and f"{link}: reused" in said, "one link, used again"
    assert len(cloud.shares) == 1
    check_child_module(working_folder / CHILD, link, cloud)
    check_image_contents(working_folder / CHILD, working_folder)


def check_child_module(child: Path, link: str, cloud: Nextcloud) -> None:
    metadata = yaml.safe_load((child / "ai4-metadata.yml").read_text())
    assert (metadata["title"], metadata["links"]["weights"]) == ("Pets of the street", link)
    assert metadata["links"]["dataset"] == "https://zenodo.org/records/1"
    assert (child / ".git").is_dir() and "A. Person" in (child / "README.md").read_text()
    expected = json.loads((child / "tests" / "data" / "expected.json").read_text())
    assert expected["model"] == "pets" and expected["label"] in CLASSES
    remote_archive, kept = cloud.shared_file, child.parent / "pets.tar.xz"
    assert remote_archive.read_bytes() == kept.read_bytes()
    assert sorted(path.name for path in remote_archive.parent.iterdir()) == ["pets.tar.xz", "pets.tar.xz.sha256"]


def check_image_contents(child: Path, working_folder: Path) -> None:
    """Run what the build would, into another workspace, and the test of the child module there."""
    text = (child / "Dockerfile").read_text().replace("\\\n", "")
    arguments = dict(shlex.split(line)[1].split("=", 1) for line in re.findall(r"^ARG weights_\w+=.*", text, re.M))
    [instruction] = re.findall(r"^RUN (.*)", text, re.M)
    image = working_folder / "image"
    (image / "models" / "of-the-base").mkdir(parents=True)
    shell(instruction, working_folder, TOPGRAFT_HOME=str(image), **arguments)
    assert [path.name for path in (image / "models").iterdir() if not path.name.startswith(".")] == ["pets"]
    own_test = f"python3 {shlex.quote(str(child / 'tests' / 'test_served_model.py'))}"
    assert "\nOK" in shell(own_test, working_folder, TOPGRAFT_HOME=str(image), TOPGRAFT_TENSORBOARD="0")
