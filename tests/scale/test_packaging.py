"""The files for clusters: valid scripts and documents, with the same packages and bounds as the installation."""

import configparser
import json
import os
import runpy
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from model.scale import probe

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "pipelines" / "spark"


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_are_valid_and_executable(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)


def test_the_documents_have_the_shapes_of_the_commands_that_read_them() -> None:
    groups, configurations, steps, job = (
        json.loads((FOLDER / f"{name}.json").read_text())
        for name in ("emr-instance-groups", "emr-configurations", "emr-steps", "emr-serverless-job")
    )
    assert [sorted(group) for group in groups] == [["InstanceCount", "InstanceGroupType", "InstanceType", "Name"]] * 2
    assert [group["InstanceGroupType"] for group in groups] == ["MASTER", "CORE"]
    assert [sorted(one) for one in configurations] == [["Classification", "Configurations", "Properties"]]
    [step] = steps
    assert sorted(step) == ["ActionOnFailure", "Args", "Jar", "Name", "Type"]
    assert step["Args"][0] == "spark-submit" and step["Args"][-2:] == ["--engine", "spark"]
    assert sorted(job["sparkSubmit"]) == ["entryPoint", "entryPointArguments", "sparkSubmitParameters"]
    application = yaml.safe_load((FOLDER / "spark-application.yaml").read_text())
    assert application["spec"]["executor"]["env"] == application["spec"]["driver"]["env"]


def test_the_packed_packages_are_those_of_the_installation_that_executors_use() -> None:
    module = runpy.run_path(str(FOLDER / "requirements.py"))
    packed = {Requirement(line).name for line in module["requirements"]()}
    assert packed >= {*probe.COMPARED} - {"topgraft", "pydicom"}
    assert not packed & {"tensorflow", "keras", "tf2onnx", "deepaas"}
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"].splitlines()
    installed = {Requirement(line).name for line in lines if line and not line.startswith("#")}
    assert installed - packed == module["NOT_PACKED"], "a name of NOT_PACKED that is not installed either"


@pytest.fixture
def submit(tmp_path: Path) -> Callable[[], "subprocess.CompletedProcess[str]"]:
    """Run submit.sh, whose spark-submit prints the content of the unpacked environment."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "spark-submit").write_text("#!/bin/sh\ncat environment/version.txt\n")
    (programs / "spark-submit").chmod(0o755)
    variables = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    command = [FOLDER / "submit.sh", "s3://bucket/photos", "s3://bucket/features"]
    return lambda: subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)


def _pack(folder: Path, version: str) -> None:
    (folder / "version.txt").write_text(version)
    with tarfile.open(folder / "environment.tar.gz", "w:gz") as archive:
        archive.add(folder / "version.txt", "version.txt")


def test_a_new_archive_replaces_the_unpacked_one(
    submit: Callable[[], "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    for version in ("first", "second"):
        _pack(tmp_path, version)
        for _ in range(2):
            assert submit().stdout == version
            (tmp_path / "environment" / "kept.txt").touch()
        assert (tmp_path / "environment" / "kept.txt").exists()
    (tmp_path / "environment" / "unpacked-archive.txt").write_text("incomplete\n")
    assert submit().stdout == "second" and not (tmp_path / "environment" / "kept.txt").exists()


def test_another_folder_environment_is_kept(
    submit: Callable[[], "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    _pack(tmp_path, "first")
    (tmp_path / "environment").mkdir()
    ran = submit()
    assert ran.returncode == 1 and f"Remove {tmp_path}/environment." in ran.stderr
    assert (tmp_path / "environment").is_dir()
