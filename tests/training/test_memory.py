"""Insufficient memory is reported before the process is killed."""

import subprocess
import sys

import pytest

from model.config import TrainConfig
from model.errors import TrainingError
from model.runs.trainer import train
from model.training import memory
from model.training.memory import refuse_too_many_features


def test_the_error_of_features_that_do_not_fit_names_the_options_to_lower(monkeypatch):
    monkeypatch.setattr(memory, "spare_memory", lambda: 2_000_000_000)
    refuse_too_many_features(images=50_000, features=1280, views=0)
    with pytest.raises(TrainingError, match=r"5 views, about 5\.1 GB, found 2\.0 GB. Lower augmented_views"):
        refuse_too_many_features(images=50_000, features=1280, views=4)
    with pytest.raises(TrainingError, match="Lower the backbone's size"):
        refuse_too_many_features(images=500_000, features=1280, views=0)


@pytest.mark.slow  # TensorFlow is loaded
def test_a_training_without_memory_for_its_views_fails_before_extracting_them(workspace, shapes, monkeypatch):
    monkeypatch.setattr(memory, "spare_memory", lambda: 1_000_000)
    config = TrainConfig(dataset=str(shapes), name="m", image_size=96, augmentation="light", augmented_views=50)
    with pytest.raises(TrainingError, match="51 views"):
        train(config, workspace)


MEASURE = """
import numpy as np
from model.backbones import find_backbone
from model.training.fine_tuning.fine_tune import trainable_network
from model.training.head import random_head
from model.training.memory import fine_tuning_bytes
from model.networks.pretrained import build_backbone

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

batch = 32
network = build_backbone(find_backbone("MobileNetV3Small"), 224, "none", 0)
trained = trainable_network(network, random_head(576, 3, 0), "scratch", None, 10)
before = peak()
images = np.zeros((batch, 224, 224, 3), np.uint8)
for _ in range(3):
    trained.train_on_batch(images, np.eye(3, dtype=np.float32)[np.arange(batch) % 3], np.ones(batch, np.float32))
print(peak() - before, fine_tuning_bytes(network, batch, True))
"""


@pytest.mark.slow  # TensorFlow in a process of its own
def test_the_estimate_of_fine_tuning_is_of_the_right_size():
    ran = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    measured, estimated = map(int, ran.stdout.split()[-2:])
    assert estimated / 2 < measured < estimated * 2


@pytest.mark.slow  # trains a network
def test_the_result_says_that_fine_tuning_may_not_fit(workspace, shapes, monkeypatch):
    monkeypatch.setattr(memory, "spare_memory", lambda: 100_000_000)
    config = TrainConfig(
        dataset=str(shapes),
        name="m",
        backbone="MobileNetV3Small",
        weights="none",
        image_size=32,
        epochs=1,
        fine_tune_epochs=1,
    )
    assert any("lower batch_size (now 32)" in warning for warning in train(config, workspace).warnings)
