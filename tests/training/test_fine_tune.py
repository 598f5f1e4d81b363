"""What fine-tuning changes in a network, and what it leaves alone."""

from pathlib import Path

import keras
import numpy as np
import pytest

from model.backbones import BACKBONES
from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.results import Dataset, no_progress
from model.training.deadline import Deadline
from model.training.fine_tune import Tuned, fine_tune
from model.training.head import random_head
from model.training.pretrained import build_backbone

LITE0_STAGES = {
    "7 x 7": {"head", "block15", "block14", "block13", "block12"},
    "14 x 14": {"block10", "block9", "block8", "block7", "block6"},
}


@pytest.fixture(scope="module")
def dataset(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_dataset(shapes, TrainConfig(), tmp_path_factory.mktemp("prepared")).dataset


def _tune(
    backbone: keras.Model, part: str, dataset: Dataset, directory: Path, deadline: Deadline | None = None, **options
) -> Tuned:
    features = backbone.output.shape[-1]
    return fine_tune(
        backbone,
        random_head(features, 3, 0),
        part,
        dataset,
        np.ones(len(dataset.train), np.float32),
        np.ones(len(dataset.val), np.float32),
        TrainConfig(**{"fine_tune_epochs": 2, "fine_tune_learning_rate": 1e-3} | options),
        directory,
        no_progress,
        deadline or Deadline.after_minutes(None),
    )


@pytest.mark.parametrize("part", ["top", "all"])
def test_weights_move_but_neither_statistics_nor_scale_of_batch_normalization(part, dataset, tmp_path):
    backbone = build_backbone(BACKBONES["EfficientNetLite0"], 64, "imagenet")
    before = {weight.path: weight.numpy() for weight in backbone.weights}
    tuned = _tune(backbone, part, dataset, tmp_path)
    assert len(tuned.head.history) == 2
    kernels = {path for path in before if "_bn" not in path}
    statistics = {path for path in before if path.endswith(("moving_mean", "moving_variance", "gamma", "beta"))}
    moved = {weight.path for weight in backbone.weights if not np.array_equal(before[weight.path], weight.numpy())}
    assert len(statistics) == len(before) - len(kernels) > 100
    if part == "all":
        assert moved == kernels
    else:
        blocks = {path.split("/")[-2].split("_")[0] for path in moved}
        assert moved < kernels and blocks == {"block12", "block13", "block14", "block15", "head"}
