"""Options of learning in fine-tuning: each changes the result, and none makes a resumed training differ."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from model.config import TrainConfig
from model.runs.trainer import resume, train
from model.training.epochs import Epoch
from model.workspace import Workspace
from tests.support.shapes import write_shapes
from tests.support.trainings import FINE_TUNED, Interruption, rows

pytestmark = pytest.mark.usefixtures("tiny_network")
DRAWN_AT_RANDOM = {"imbalance": "sampling", "label_smoothing": 0.2, "mixup": 0.4}


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve circles, twelve squares and six triangles."""
    folder = write_shapes(tmp_path_factory.mktemp("uneven") / "uneven", 12)
    for number in range(6, 12):
        (folder / "triangle" / f"{number:03}.jpg").unlink()
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, uneven: Path, tiny_network: None) -> list[list[str]]:
    """The rows of a training without any of the options."""
    workspace = Workspace(tmp_path_factory.mktemp("plain"))
    workspace.models.mkdir()
    train(_config(uneven, "plain"), workspace)
    return rows(workspace, "plain")


@pytest.mark.slow
def test_adjusted_logits_change_the_result(workspace, uneven, plain):
    train(_config(uneven, "adjusted", imbalance="logit_adjustment"), workspace)
    assert rows(workspace, "adjusted") != plain


@pytest.mark.slow
def test_random_options_change_the_result_and_a_resumed_training_repeats_it(workspace, uneven, plain):
    train(_config(uneven, "whole", **DRAWN_AT_RANDOM), workspace)
    assert rows(workspace, "whole") != plain

    def stop(phase: str, done: int, _total: int, /, **_metrics: float) -> None:
        if phase == "fine_tune" and done == 1:
            raise Interruption

    with pytest.raises(Interruption):
        train(_config(uneven, "cut", **DRAWN_AT_RANDOM), workspace, stop)
    resume("cut", workspace)
    assert rows(workspace, "cut") == rows(workspace, "whole")


def test_logits_are_adjusted_in_training_only():
    import keras

    from model.training.fine_tuning.fine_tune import trainable_network
    from model.training.head_candidates import Head

    entrance = keras.Input((2, 2, 3))
    block = keras.Model(entrance, keras.layers.ReLU()(entrance))
    row = Epoch("head", 1, 1.0, 0.5, 1.0, 0.5, 1.0, 0.1, 0.5)
    head = Head(np.ones((3, 2), np.float32), np.zeros(2, np.float32), 0.0, 1, (row,))
    adjustment = np.array([-0.1, -2.0], np.float32)
    network = trainable_network(block, head, "all", adjustment, 10)
    inputs = np.ones((1, 2, 2, 3), np.float32)
    np.testing.assert_allclose(network(inputs, training=True), [[2.9, 1.0]], rtol=1e-6)
    np.testing.assert_allclose(network.predict_on_batch(inputs), [[3.0, 3.0]])


def _config(dataset: Path, name: str, **options: object) -> TrainConfig:
    return dataclasses.replace(FINE_TUNED, dataset=str(dataset), name=name, epochs=2, **options)
