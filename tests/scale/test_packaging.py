"""The files for clusters: valid scripts and documents, with the same packages and bounds as the installation."""

import configparser
import json
import runpy
import subprocess
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


def test_the_documents_are_valid() -> None:
    step = json.loads((FOLDER / "emr-step.json").read_text())
    arguments = step["Steps"][0]["HadoopJarStep"]["Args"]
    assert arguments[0] == "spark-submit" and arguments[-2:] == ["--engine", "spark"]
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
