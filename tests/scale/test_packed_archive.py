"""The packed archive of `pipelines/spark/pack.sh`, used by a machine whose own Python has no packages."""

import json
import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pillow_heif
import pyarrow.parquet as pq
import pytest
from PIL import Image

from model.scale import probe
from tests.support.command import COMMAND, ROOT, environment_of_tests, topgraft
from tests.support.photos import write_photos
from tests.support.small_model import NAME, write_small_model

pytestmark = [pytest.mark.slow, pytest.mark.system]
IMAGE_SIZE = 64
_UNREACHABLE = ("Could not find a version", "NewConnectionError", "Read timed out")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive, with the versions of the libraries of this environment."""
    folder = tmp_path_factory.mktemp("packed")
    converter, constraints = folder / "converter", folder / "constraints.txt"
    converter.write_text(f"#!/bin/sh\nexec {COMMAND[0]} -c '{COMMAND[2]}' \"$@\"\n")
    converter.chmod(0o755)
    compared = [name for name in probe.COMPARED if name not in ("topgraft", "pydicom")]
    constraints.write_text("".join(f"{name}=={version(name)}\n" for name in compared))
    python = f"{sys.base_prefix}/bin/python3.{sys.version_info.minor}"
    variables = {"PYTHON": python, "CONVERTER": str(converter), "PIP_CONSTRAINT": str(constraints)}
    ran = subprocess.run(
        [ROOT / "pipelines" / "spark" / "pack.sh", "EfficientNetLite0", str(IMAGE_SIZE)],
        cwd=folder,
        env=environment_of_tests(folder) | variables,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if ran.returncode and any(sign in ran.stderr for sign in _UNREACHABLE):
        pytest.skip(f"the package registry cannot be reached: {ran.stderr.strip()[-300:]}")
    assert ran.returncode == 0, ran.stderr
    with tarfile.open(folder / "environment.tar.gz") as archive:
        archive.extractall(folder / "environment", filter="tar")
    return folder / "environment"


def _run(packed: Path, *arguments: object, cwd: Path = Path("/")) -> str:
    """Run the Python of the archive without any variable, and without the user's packages and this folder."""
    variables = {"TOPGRAFT_CACHE": str(packed / "share" / "topgraft-cache")}
    command = [packed / "bin" / "python", "-I", *map(str, arguments)]
    ran = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_archive_reads_every_format_and_computes_the_same_features(packed: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8))
    for suffix in ("jpg", "webp", "tif", "png", "avif", "jp2"):
        photo.save(photos / f"photo.{suffix}")
    pillow_heif.from_pillow(photo).save(photos / "photo.heic")
    _run(packed, packed / "bin" / "topgraft", "featurize", photos, tmp_path / "remote", "--image-size", IMAGE_SIZE)
    ran = topgraft("featurize", photos, tmp_path / "local", "--image-size", IMAGE_SIZE, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    remote, local = (pq.read_table(tmp_path / name / "part-00000.parquet") for name in ("remote", "local"))
    assert remote["error"].to_pylist() == [None] * 7
    assert remote.equals(local)
    plans = [json.loads((tmp_path / name / "plan.json").read_text()) for name in ("remote", "local")]
    assert plans[0]["graph_sha256"] == plans[1]["graph_sha256"]


def test_the_archive_predicts_photos(packed: Path, tmp_path: Path) -> None:
    write_small_model(tmp_path / "models" / NAME)
    photos = write_photos(tmp_path / "photos")
    command = (packed / "bin" / "topgraft", "predict", NAME, photos, "--engine", "local", "--output", "scores")
    _run(packed, *command, cwd=tmp_path)
    assert pq.read_table(tmp_path / "scores" / "part-00000.parquet")["error"].to_pylist() == [None] * 16


def test_the_archive_runs_the_programs_of_spark_with_its_own_packages(packed: Path) -> None:
    for name in ("featurize", "predict"):
        usage = _run(packed, ROOT / "pipelines" / "spark" / f"{name}.py", "--help")
        assert usage.startswith("Usage:"), usage
    found = _run(packed, "-c", "import sys, model, numpy; print(model.__file__, numpy.__file__, *sys.path, sep='\\n')")
    outside = [line for line in found.splitlines() if "site-packages" in line and not line.startswith(str(packed))]
    assert outside == [] and not os.path.relpath(found.splitlines()[0], packed).startswith("..")
