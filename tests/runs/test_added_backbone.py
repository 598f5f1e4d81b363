"""A model on a backbone that the user added: trained without Keras, served, exported and imported elsewhere."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from model import schema
from model.bundle import Bundle
from model.config import TrainConfig
from model.errors import ConfigError, ModelError, WeightsError
from model.export.formats import export_form
from model.importing.backbone_import import add_backbone, remove_backbone
from model.networks.feature_network import FeatureNetworkOptions
from model.publishing.archive import write_archive
from model.registry import find_bundle
from model.runs.import_run import import_model
from model.runs.trainer import train
from model.serving.occlusion import CELLS, explain
from model.serving.predictor import load_predictor
from model.workspace import Workspace
from tests.support.feature_networks import SIZE, transformer

LICENSE = "Apache-2.0 <b>"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("added")


@pytest.fixture(scope="module", autouse=True)
def _added(home: Path) -> object:
    """A transformer that takes one image at a time, under the name mine."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TOPGRAFT_BACKBONES", str(home / "backbones"))
        (home / "vit.onnx").write_bytes(transformer().SerializeToString())
        add_backbone(home / "vit.onnx", "mine", FeatureNetworkOptions(pooling="first"), LICENSE)
        yield


@pytest.fixture(scope="module")
def model(home: Path, shapes: Path) -> Bundle:
    workspace = Workspace(home)
    options = {"dataset": str(shapes), "backbone": "mine", "name": "trained", "epochs": 3, "fine_tune": "auto"}
    result = train(schema.load(TrainConfig, options), workspace)
    assert "fine_tune = auto chose none: mine is a network in ONNX" in result.remarks
    return find_bundle(workspace, "trained")


def test_the_network_is_a_part_of_the_model(model: Bundle) -> None:
    manifest = model.manifest
    assert (manifest.backbone, manifest.image_size, manifest.engine) == ("mine", SIZE, "onnx")
    assert manifest.parity["max_difference"] < 1e-5 and "model.keras" not in manifest.files
    card = (model.directory / "MODEL_CARD.md").read_text()
    assert r"| network | mine, weights of vit.onnx |" in card.replace("\\", "")
    assert "| license of the backbone | Apache-2.0" in card.replace("\\", "") and "<b>" not in card


def test_its_explanation_covers_regions(model: Bundle) -> None:
    predictor = load_predictor(model)
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    assert predictor.activation_maps(image).shape[:2] == (1, 1)
    assert explain(predictor, image, 0).shape == (CELLS, CELLS)


def test_it_is_exported_in_onnx_only(model: Bundle, tmp_path: Path) -> None:
    assert export_form(model, "onnx", tmp_path / "onnx").max_difference < 1e-5
    with pytest.raises(ModelError, match=r"added in ONNX\. Use the format onnx"):
        export_form(model, "keras", tmp_path / "keras")


def test_another_machine_needs_the_model_only(model: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "trained.tar.xz"
    write_archive(model, archive)
    monkeypatch.setenv("TOPGRAFT_BACKBONES", str(tmp_path / "none"))
    (tmp_path / "other" / "models").mkdir(parents=True)
    other = Workspace(tmp_path / "other")
    import_model(archive, other)
    images = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    imported, original = (load_predictor(one) for one in (find_bundle(other, "trained"), model))
    np.testing.assert_array_equal(imported.probabilities(images), original.probabilities(images))


def test_it_becomes_an_int8_model(home: Path, shapes: Path) -> None:
    options = {"dataset": str(shapes), "backbone": "mine", "name": "small", "epochs": 3, "precision": "int8"}
    result = train(schema.load(TrainConfig, options), Workspace(home))
    manifest = find_bundle(Workspace(home), "small").manifest
    assert manifest.precision == "int8" or any("precision = int8 was refused" in one for one in result.warnings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fine_tune": "all"}, "fine_tune: expected none or auto, because mine is a network in ONNX"),
        ({"weights": "none"}, "weights: expected imagenet, because mine has the weights"),
        ({"image_size": 64}, "image_size: expected 32, that of mine, received 64"),
        ({"backbone": "min"}, "Did you mean: mine"),
    ],
)
def test_options_that_need_another_network_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        schema.load(TrainConfig, {"backbone": "mine"} | options)


def test_a_removed_backbone_is_unknown_and_its_models_stay(model: Bundle, home: Path, shapes: Path) -> None:
    config = schema.load(TrainConfig, {"backbone": "mine"})
    remove_backbone("mine")
    with pytest.raises(ConfigError, match=r"backbone: .*eceived:? 'mine'"):
        schema.load(TrainConfig, dataclasses.asdict(config))
    assert load_predictor(model).bundle.name == "trained"
    add_backbone(home / "vit.onnx", "mine", FeatureNetworkOptions(pooling="first"), LICENSE)
    (home / "backbones" / "mine" / "network.onnx").unlink()
    with pytest.raises(WeightsError, match="Add it again"):
        train(dataclasses.replace(config, dataset=str(shapes)), Workspace(home))
