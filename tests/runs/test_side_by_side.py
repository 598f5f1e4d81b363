"""A model on two embedded networks side by side: trained, served, explained, fine-tuned, reduced and exported."""

from pathlib import Path

import numpy as np
import pytest

from model import schema
from model.backbones import BACKBONES, find_backbone
from model.bundle import Bundle
from model.config import TrainConfig
from model.export.formats import export_form
from model.features.extractor import FeatureExtractor
from model.networks.converted_backbone import converted_backbone
from model.publishing.archive import write_archive
from model.registry import find_bundle
from model.results import InputSpec
from model.runs.import_run import import_model
from model.runs.trainer import train
from model.serving.predictor import load_predictor
from model.workspace import Workspace

NAME, SIZE = "EfficientNetLite0And2", 64
OPTIONS = {"backbone": NAME, "image_size": SIZE, "epochs": 3, "folds": 0}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)

pytestmark = pytest.mark.slow  # converts two networks by TensorFlow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("side_by_side")


@pytest.fixture(scope="module")
def model(home: Path, shapes: Path) -> Bundle:
    train(schema.load(TrainConfig, OPTIONS | {"dataset": str(shapes), "name": "trained"}), Workspace(home))
    return find_bundle(Workspace(home), "trained")


def test_its_features_in_onnx_are_those_of_both() -> None:
    both, *parts = (
        FeatureExtractor(converted_backbone(find_backbone(name), SIZE), InputSpec.square(SIZE))(IMAGES)
        for name in (NAME, *BACKBONES[NAME].parts)
    )
    np.testing.assert_allclose(both, np.concatenate(parts, axis=1), atol=1e-5)


def test_it_is_served_in_onnx_and_explained_by_the_maps_of_both(model: Bundle) -> None:
    assert (model.manifest.backbone, model.manifest.engine) == (NAME, "onnx")
    assert model.manifest.parity["max_difference"] < 1e-5
    maps = load_predictor(model).activation_maps(IMAGES[0])
    assert maps.shape[:2] == (SIZE // 32, SIZE // 32) and np.ptp(maps) > 0


def test_it_is_exported_for_phones(model: Bundle, tmp_path: Path) -> None:
    assert export_form(model, "litert", tmp_path / "litert").max_difference < 1e-4


def test_another_workspace_imports_it(model: Bundle, tmp_path: Path) -> None:
    write_archive(model, tmp_path / "trained.tar.xz")
    (tmp_path / "other" / "models").mkdir(parents=True)
    import_model(tmp_path / "trained.tar.xz", Workspace(tmp_path / "other"))
    imported = load_predictor(find_bundle(Workspace(tmp_path / "other"), "trained"))
    np.testing.assert_array_equal(imported.probabilities(IMAGES), load_predictor(model).probabilities(IMAGES))


def test_the_last_block_of_each_is_fine_tuned(home: Path, shapes: Path) -> None:
    options = OPTIONS | {"dataset": str(shapes), "name": "tuned", "fine_tune": "top", "fine_tune_epochs": 1}
    result = train(schema.load(TrainConfig, options), Workspace(home))
    assert any("fine-tuning reached" in remark for remark in result.remarks)


def test_it_becomes_an_int8_model(home: Path, shapes: Path) -> None:
    options = OPTIONS | {"dataset": str(shapes), "name": "small", "precision": "int8"}
    result = train(schema.load(TrainConfig, options), Workspace(home))
    manifest = find_bundle(Workspace(home), "small").manifest
    assert manifest.precision == "int8" or any("precision = int8 was refused" in one for one in result.warnings)
