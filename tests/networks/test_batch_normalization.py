"""Statistics of batch normalization stay as they are in a pretrained network, however it is trained further."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from model.backbones import BACKBONES
from model.networks.network import build_classifier
from model.networks.pretrained import build_backbone
from tests.support.tiny_network import REPLACED

SIZE = 16
IMAGES = np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3), np.uint8)
LABELS = np.arange(16) % 2


def _statistics(network: keras.Model) -> list[np.ndarray]:
    found = [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    assert found
    return [np.asarray(values) for layer in found for values in (layer.moving_mean, layer.moving_variance)]


def _fit(network: keras.Model) -> None:
    network.fit(IMAGES, LABELS, verbose=0)


def _train_step(network: keras.Model) -> None:
    network.train_on_batch(IMAGES, LABELS)


@pytest.mark.parametrize("learn", [_fit, _train_step])
@pytest.mark.parametrize("reloaded", [False, True], ids=["built", "reloaded"])
def test_statistics_do_not_move(
    tiny_network: None, learn: Callable[[keras.Model], None], reloaded: bool, tmp_path: Path
) -> None:
    backbone = build_backbone(BACKBONES[REPLACED], SIZE, "none")
    kernel = np.zeros((backbone.output.shape[-1], 2), np.float32)
    network = build_classifier(backbone, kernel, np.zeros(2, np.float32), 1.0)
    if reloaded:
        network.save(tmp_path / "model.keras")
        network = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    network.compile("sgd", "sparse_categorical_crossentropy")
    before, weights = _statistics(network), [np.asarray(one) for one in network.trainable_weights]
    learn(network)
    for then, now in zip(before, _statistics(network), strict=True):
        np.testing.assert_array_equal(then, now)
    assert any((then != np.asarray(now)).any() for then, now in zip(weights, network.trainable_weights, strict=True))
