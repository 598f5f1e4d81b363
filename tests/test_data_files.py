"""Presets, pipelines and templates are found however Topgraft is installed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from model.data_files import data_folders
from tests.support.command import ROOT

KINDS = {"presets": "presets", "pipelines": "pipelines", "child": "docker/child"}
FIND = """
import json
from model.data_files import data_folders
found = {kind: data_folders(kind, "none") for kind in ("presets", "pipelines", "child")}
print(json.dumps({kind: [str(folder) for folder in folders if folder.is_dir()] for kind, folders in found.items()}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # In a copy, because a build leaves files in its sources, which the next one would take.
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "data", "models", "docs", "tests", "benchmarks")
    shutil.copytree(ROOT, folder / "sources", ignore=ignored)
    command = [find_uv_bin(), "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*command, "--out-dir", folder, folder / "sources"], check=True, timeout=300)
    [found] = folder.glob("*.whl")
    return found


def test_the_checkout_comes_first() -> None:
    assert {kind: data_folders(kind, checkout)[0] for kind, checkout in KINDS.items()} == {
        kind: ROOT / checkout for kind, checkout in KINDS.items()
    }


@pytest.mark.slow  # builds a wheel
@pytest.mark.parametrize("is_user", [False, True])
def test_the_files_of_a_wheel_are_found(wheel: Path, tmp_path: Path, is_user: bool) -> None:
    command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
    subprocess.run([*command, "--prefix" if is_user else "--target", tmp_path, wheel], check=True, timeout=300)
    [package] = tmp_path.rglob("model/data_files.py")
    # A user's folder is a prefix that Python knows by this variable.
    environment = {"PYTHONPATH": str(package.parents[1])} | ({"PYTHONUSERBASE": str(tmp_path)} if is_user else {})
    ran = subprocess.run(
        [sys.executable, "-c", FIND], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = json.loads(ran.stdout)
    assert found == {kind: [str(tmp_path / "share" / "topgraft" / kind)] for kind in KINDS}
    assert (tmp_path / "share" / "topgraft" / "pipelines" / "traffic-signs" / "pipeline.yaml").is_file()
