"""Run by a test in a process of its own, where the CPU is divided into two devices before TensorFlow starts.

Fine-tunes the same network three times: on one device, on both, and on both in mixed precision. Writes a line of
JSON: for each, the loss of each epoch, the validation logits, and the types of the weights.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from model.backbones import BACKBONES
from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.networks.pretrained import build_backbone
from model.results import no_progress
from model.training.fine_tuning import fine_tune
from model.training.fine_tuning.replicas import Devices, Mirrored, OneDevice
from model.training.head import random_head
from tests.support.tiny_network import REPLACED, use_tiny_network


def main(photos: str) -> None:
    [processor] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    use_tiny_network()
    both = ("CPU:0", "CPU:1")
    print(
        json.dumps(
            {
                "one": _tuned(Path(photos), OneDevice(), "float32"),
                "two": _tuned(Path(photos), Mirrored(both), "float32"),
                "mixed": _tuned(Path(photos), Mirrored(both), "mixed_float16"),
            }
        )
    )


def _tuned(photos: Path, used: Devices, precision: str) -> dict:
    fine_tune.devices = lambda present, smallest_batch: used
    fine_tune.precision = lambda present: precision
    config = TrainConfig(fine_tune_epochs=3, fine_tune_learning_rate=2e-2, batch_size=9)
    with tempfile.TemporaryDirectory() as directory:
        data = prepare_dataset(photos, config, Path(directory)).training_data
        backbone = build_backbone(BACKBONES[REPLACED], 32, "imagenet")
        weights = (np.linspace(0.5, 1.5, len(data.rows(split))).astype(np.float32) for split in ("train", "val"))
        start = random_head(backbone.output.shape[-1], 3, 0)
        tuned = fine_tune.fine_tune(backbone, start, "top", data, *weights, config, Path(directory), no_progress)
    return {
        "losses": [row.loss for row in tuned.head.history],
        "logits": tuned.val_logits.tolist(),
        "types": sorted({str(weight.dtype) for weight in backbone.weights}),
    }


if __name__ == "__main__":
    main(sys.argv[1])
