"""Run by a test in a process of its own, with KERAS_BACKEND=jax.

Predicts images by a saved model, and fine-tunes a network. Writes a line of JSON: the backend, the probabilities,
and the loss of each epoch.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from model.backbones import BACKBONES
from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.networks.pretrained import build_backbone
from model.results import no_progress
from model.training.fine_tuning.fine_tune import fine_tune
from model.training.head import random_head


def main(model: str, pixels: str, photos: str, work: str) -> None:
    network = keras.models.load_model(model, compile=False, safe_mode=True)
    probabilities = network.predict_on_batch(np.load(pixels))
    print(
        json.dumps(
            {
                "backend": keras.backend.backend(),
                "probabilities": np.asarray(probabilities).tolist(),
                "losses": _losses(Path(photos), Path(work)),
            }
        )
    )


def _losses(photos: Path, work: Path) -> list[float]:
    config = TrainConfig(fine_tune_epochs=3, batch_size=12)
    data = prepare_dataset(photos, config, work).training_data
    backbone = build_backbone(BACKBONES["EfficientNetLite0"], 64, "imagenet")
    weights = (np.ones(len(data.rows(split)), np.float32) for split in ("train", "val"))
    start = random_head(backbone.output.shape[-1], len(data.classes), 0)
    tuned = fine_tune(backbone, start, "top", data, *weights, config, work, no_progress)
    return [row.loss for row in tuned.head.history]


if __name__ == "__main__":
    main(*sys.argv[1:])
