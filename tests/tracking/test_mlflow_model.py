"""A model logged to MLflow states how a photo becomes the input of the network."""

from pathlib import Path

import pytest
import yaml

from model.intensity import FULL, Intensity, IntensityRange
from model.tracking.mlflow_model import write_model_files
from tests.support.small_model import write_model


@pytest.mark.parametrize(("intensity", "stated"), [(FULL, "full"), (IntensityRange(200, 710.5), "200,710.5")])
def test_the_preprocessing_is_in_the_metadata(tmp_path: Path, intensity: Intensity, stated: str) -> None:
    bundle = write_model(tmp_path / "colours", intensity=intensity)
    write_model_files(bundle.directory, bundle, "a-run")
    described = yaml.safe_load((bundle.directory / "MLmodel").read_text(encoding="utf-8"))
    assert described["metadata"] == {"image_size": 8, "resize": "squash", "intensity": stated}


def test_versions_of_a_hostile_manifest_add_no_line_to_the_requirements(tmp_path: Path) -> None:
    versions = {"numpy": "2.0\n--index-url https://x.example", "onnx": "1.23.2", "onnxruntime": "@ https://x.example"}
    bundle = write_model(tmp_path / "model", versions=versions)
    write_model_files(tmp_path, bundle, "0" * 32)
    lines = (tmp_path / "requirements.txt").read_text().splitlines()
    assert lines[1:] == ["numpy", "onnx==1.23.2", "onnxruntime"] and lines[0].startswith("mlflow")
