"""A model on other weights of a known network: they are used, and the model has every format."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from model import schema
from model.backbones import BACKBONES, find_backbone
from model.config import TrainConfig
from model.errors import ConfigError, ModelError
from model.features.extractor import FeatureExtractor
from model.importing.backbone_import import add_weights
from model.networks.converted_backbone import converted_backbone
from model.networks.pretrained import build_backbone
from model.registry import find_bundle
from model.results import InputSpec
from model.runs.trainer import train
from model.workspace import Workspace

ARCHITECTURE = "MobileNetV3Small"
SIZE = 64


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> keras.Model:
    """The network with random weights, which are neither zero nor those of ImageNet."""
    monkeypatch.setenv("TOPGRAFT_BACKBONES", str(tmp_path / "backbones"))
    return build_backbone(BACKBONES[ARCHITECTURE], SIZE, "none", seed=11)


@pytest.mark.slow
def test_a_model_is_trained_on_added_weights(network: keras.Model, tmp_path: Path, shapes: Path) -> None:
    file = tmp_path / "plants.weights.h5"
    network.layers[-1].save_weights(file)
    record = add_weights(file, "plants", ARCHITECTURE, "CC0-1.0")
    assert (record.image_size, record.features) == (224, network.output.shape[-1])
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    extract = FeatureExtractor(converted_backbone(find_backbone("plants"), SIZE), InputSpec.square(SIZE))
    expected = np.asarray(network.predict_on_batch(images)).mean((1, 2))
    np.testing.assert_allclose(extract(images), expected, rtol=1e-3, atol=1e-4)
    options = {"dataset": str(shapes), "backbone": "plants", "name": "trained", "image_size": SIZE, "epochs": 2}
    train(schema.load(TrainConfig, options), Workspace(tmp_path))
    manifest = find_bundle(Workspace(tmp_path), "trained").manifest
    assert manifest.scaling == "built_in" and {"model.keras", "model.onnx"} <= set(manifest.files)
    assert manifest.train_config["added_backbone"] == {"source": "plants.weights.h5", "license": "CC0-1.0"}
    with pytest.raises(ConfigError, match="weights: expected imagenet, because plants has the weights it was added"):
        schema.load(TrainConfig, options | {"weights": "none"})


@pytest.mark.slow
def test_the_older_format_is_read_and_weights_of_another_network_are_refused(
    network: keras.Model, tmp_path: Path
) -> None:
    file = tmp_path / "plants.h5"
    with h5py.File(file, "w") as opened:
        legacy_h5_format.save_weights_to_hdf5_group(opened, network.layers[-1])
    assert add_weights(file, "plants", ARCHITECTURE).architecture == ARCHITECTURE
    with pytest.raises(ModelError, match=r"plants\.h5: expected weights of MobileNetV3Large without its top"):
        add_weights(file, "others", "MobileNetV3Large")
    with h5py.File(file, "w") as opened:
        opened["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ModelError, match=r"plants\.h5: expected all weights in the file itself"):
        add_weights(file, "others", ARCHITECTURE)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean: MobileNet"):
        add_weights(tmp_path / "plants.weights.h5", "plants", "MobilNet")
