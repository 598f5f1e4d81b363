"""Models of every format version that Topgraft has ever written: each of them loads and predicts for ever."""

import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from model.bundle import open_bundle, write_manifest
from model.bundle_files import BUNDLE_FILES
from model.config import TrainConfig
from model.errors import ModelDamagedError
from model.intensity import IntensityRange
from model.manifest_migration import FORMAT_VERSION, STEPS
from model.registry import Registry
from model.schema import load
from model.serving.predictor import load_predictor
from model.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
FORMATS = ROOT / "tests" / "bundle_formats"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the model in the current format."""
    return Path(shutil.copytree(FORMATS / f"format_{FORMAT_VERSION}", tmp_path / "model"))


def edit_manifest(model: Path, **changes: object) -> None:
    path = model / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_a_model_of_every_format_version_loads_and_predicts(version: int) -> None:
    directory = FORMATS / f"format_{version}"
    assert json.loads((directory / "manifest.json").read_text())["format_version"] == version
    bundle = open_bundle(directory)
    bundle.verify()
    photo = io.BytesIO()
    Image.new("RGB", (32, 24), (200, 40, 40)).save(photo, "PNG")
    (prediction,) = load_predictor(bundle).predict_stream([("red.png", photo.getvalue())])
    assert (prediction.labels[0], prediction.unknown, bundle.manifest.format_version) == ("red", False, FORMAT_VERSION)
    assert load(TrainConfig, bundle.manifest.train_config).target_accuracy == 0.95


def test_a_model_of_a_newer_format_version_is_listed_with_its_problem(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for name in (f"format_{FORMAT_VERSION}", "format_1"):
        shutil.copytree(FORMATS / name, workspace.models / name)
    edit_manifest(workspace.models / f"format_{FORMAT_VERSION}", format_version=FORMAT_VERSION + 1)
    listed = {model.name: model.summary for model in Registry().models(workspace)}
    newer = listed[f"format_{FORMAT_VERSION}"]
    assert "install that version" in newer["problem"] and "accuracy" not in newer
    assert listed["format_1"]["accuracy"] == 0.9 and "problem" not in listed["format_1"]


def test_there_is_a_migration_step_from_every_older_version() -> None:
    assert list(STEPS) == list(range(1, FORMAT_VERSION))


def test_reading_an_older_model_changes_no_file_of_it(tmp_path: Path) -> None:
    model = Path(shutil.copytree(FORMATS / "format_1", tmp_path / "model"))
    before = (model / "manifest.json").read_bytes()
    assert "wanted_accuracy" not in open_bundle(model).manifest.train_config
    assert (model / "manifest.json").read_bytes() == before


def test_a_newer_format_version_is_refused_with_the_version_to_install(model: Path) -> None:
    edit_manifest(model, format_version=FORMAT_VERSION + 1, versions={"topgraft": "7.1.0"})
    with pytest.raises(ModelDamagedError, match=r"written by Topgraft 7\.1\.0: install that version or a newer one"):
        open_bundle(model)


@pytest.mark.parametrize("version", [0, -1, True, "2", None, 1.5])
def test_an_invalid_format_version_is_refused(model: Path, version: object) -> None:
    edit_manifest(model, format_version=version)
    with pytest.raises(ModelDamagedError, match=rf"expected format_version 1 to {FORMAT_VERSION}"):
        open_bundle(model)


@pytest.mark.parametrize("version", [1, 2])
def test_deep_photos_have_the_full_range_of_their_type_in_models_of_older_versions(version: int) -> None:
    manifest = open_bundle(FORMATS / f"format_{version}").manifest
    assert (manifest.intensity, manifest.input_spec.intensity) == ("full", "full")


def test_the_intensity_range_of_a_model_is_read_and_written(model: Path) -> None:
    manifest = open_bundle(FORMATS / "format_3").manifest
    assert manifest.input_spec.intensity == IntensityRange(0, 4095)
    write_manifest(model, manifest)
    assert open_bundle(model).manifest.intensity == IntensityRange(0, 4095)


@pytest.mark.parametrize(
    "intensity",
    [
        *("photo", "auto", "0,4095", None, [0, 4095], {}, {"low": 0}, {"low": 5, "high": 5}, {"low": "0", "high": "9"}),
        *({"low": True, "high": 9}, {"low": 0, "high": 1e999}, {"low": 0, "high": 9, "gamma": 2}),
    ],
)
def test_an_invalid_intensity_range_is_refused(model: Path, intensity: object) -> None:
    edit_manifest(model, intensity=intensity)
    with pytest.raises(ModelDamagedError, match="intensity"):
        open_bundle(model)


@pytest.mark.parametrize("missing", ["format_version", "train_config", "classes"])
def test_a_manifest_without_a_field_is_damaged(model: Path, missing: str) -> None:
    path = model / "manifest.json"
    content = json.loads(path.read_text())
    del content[missing]
    path.write_text(json.dumps(content | ({"format_version": 1} if missing != "format_version" else {})))
    with pytest.raises(ModelDamagedError, match="expected the manifest of a trained model"):
        open_bundle(model)


def test_the_docs_name_every_file_of_a_model() -> None:
    page = (ROOT / "docs" / "model-on-disk.md").read_text(encoding="utf-8")
    assert [row.path for row in BUNDLE_FILES if f"`{row.path}`" not in page] == []
