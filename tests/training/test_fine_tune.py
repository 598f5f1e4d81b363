"""Fine-tuning: trained and frozen weights, time limit, averaged weights, resumption."""

import math
from pathlib import Path

import keras
import numpy as np
import pytest

from model.backbones import BACKBONES
from model.config import TrainConfig
from model.dataset.images import read_image
from model.dataset.prepare import prepare_dataset
from model.dataset.training_data import TrainingData
from model.networks.pretrained import build_backbone
from model.results import InputSpec, no_progress
from model.training.checkpoints import Checkpoints
from model.training.deadline import Deadline
from model.training.epochs import cross_entropy
from model.training.fine_tuning import fine_tune as fine_tuning
from model.training.fine_tuning.fine_tune import Tuned, fine_tune
from model.training.head import random_head


@pytest.fixture(scope="module")
def data(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return prepare_dataset(shapes, TrainConfig(), tmp_path_factory.mktemp("prepared")).training_data


def _tune(
    backbone: keras.Model, part: str, data: TrainingData, directory: Path, deadline: Deadline | None = None, **options
) -> Tuned:
    features = backbone.output.shape[-1]
    return fine_tune(
        backbone,
        random_head(features, 3, 0),
        part,
        data,
        np.ones(len(data.rows("train")), np.float32),
        np.ones(len(data.rows("val")), np.float32),
        TrainConfig(**{"fine_tune_epochs": 2, "fine_tune_learning_rate": 1e-3} | options),
        directory,
        no_progress,
        deadline or Deadline.after_minutes(None),
    )


@pytest.mark.parametrize("part", ["top", pytest.param("all", marks=pytest.mark.slow)])
def test_weights_are_trained_but_batch_normalization_is_frozen(part, data, tmp_path):
    backbone = build_backbone(BACKBONES["EfficientNetLite0"], 64, "imagenet")
    before = {weight.path: weight.numpy() for weight in backbone.weights}
    tuned = _tune(backbone, part, data, tmp_path)
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


class _OverAfter(Deadline):
    """A deadline that passes after a number of checks."""

    def __init__(self, times: int) -> None:
        super().__init__(math.inf)
        object.__setattr__(self, "_left", iter(range(times)))

    def is_over(self) -> bool:
        return next(vars(self)["_left"], None) is None


@pytest.mark.parametrize(
    ("part", "steps", "epochs"),
    [("top", None, 0), ("top", 0, 0), ("top", 1, 1), pytest.param("scratch", 0, 1, marks=pytest.mark.slow)],
)
def test_an_epoch_ends_early_when_the_time_is_over_and_inputs_without_an_epoch_are_not_made(
    part, steps, epochs, data, tmp_path
):
    backbone = build_backbone(BACKBONES["MobileNetV3Small"], 32, "none")
    before = backbone.get_weights()
    batches_of_inputs = sum(-(-len(data.rows(split)) // 6) for split in ("train", "val")) if part == "top" else 0
    deadline = _OverAfter(1 if steps is None else batches_of_inputs + steps)
    tuned = _tune(backbone, part, data, tmp_path, deadline, batch_size=6, fine_tune_epochs=9, epochs=9)
    assert len(tuned.head.history) == tuned.head.best_epoch == epochs
    assert tuned.val_logits.shape == (0 if steps is None else len(data.rows("val")), 3)
    assert bool(list(tmp_path.glob("*.npy"))) == (steps is not None)
    unchanged = all(np.array_equal(old, new) for old, new in zip(before, backbone.get_weights(), strict=True))
    assert unchanged == (epochs == 0)


def test_the_averaged_weights_are_measured_and_kept(data, tmp_path):
    backbone = build_backbone(BACKBONES["EfficientNetLite0"], 64, "imagenet")
    tuned = _tune(backbone, "top", data, tmp_path, batch_size=6)
    images = np.stack([read_image(sample.path, InputSpec.square(64)) for sample in data.samples("val")])
    logits = tuned.head.logits(np.asarray(backbone.predict_on_batch(images)).mean(axis=(1, 2)))
    np.testing.assert_allclose(tuned.val_logits, logits, atol=1e-3)
    labels = data.labels[data.rows("val")]
    assert tuned.head.best.val_loss == pytest.approx(cross_entropy(logits, labels, np.ones(len(labels))), abs=1e-3)
    arrays, _ = Checkpoints(tmp_path / "checkpoints").latest()
    now = {values.tobytes() for name, values in arrays.items() if name.startswith("now_")}
    kept = [values for name, values in arrays.items() if name.startswith("best_") and values.ndim == 4]
    assert kept and all(values.tobytes() in now for values in kept) == (tuned.head.best_epoch == 2)


@pytest.mark.parametrize(
    "precisions",
    [("mixed_float16", "float32"), ("float32", "mixed_float16")],
    ids=" to ".join,
)
@pytest.mark.slow
def test_fine_tuning_is_resumed_with_or_without_the_gpu_it_began_with(precisions, data, tmp_path, monkeypatch):
    rows = []
    for epochs, precision in zip((1, 2), precisions, strict=True):
        monkeypatch.setattr(fine_tuning, "precision", lambda present, requested=precision: requested)
        backbone = build_backbone(BACKBONES["MobileNetV3Small"], 32, "none")
        rows.append(_tune(backbone, "top", data, tmp_path, fine_tune_epochs=epochs).head.history)
    assert len(rows[1]) == 2 and rows[1][0] == rows[0][0]
    assert all(math.isfinite(row.val_loss) for row in rows[1])
